"""The wire of dxmesh: events, problems, identifiers and the catalogue's words; pydantic only, no input or output."""
