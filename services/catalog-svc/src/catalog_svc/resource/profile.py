"""The metadata profile of the catalogue as JSON Schema 2020-12: what an entry must be, for those who write entries by program."""

from typing import Any

from catalog_svc.resource.definition import Definition
from dxmesh_schemas.catalog_attributes import FITTING_MODES, FORMAT_TYPES
from dxmesh_tabular.json_schema import DIALECT


def of() -> dict[str, Any]:
    """Return the schema of an entry; what it cannot say, the dictionary of formats, stands in `x-` members."""
    formats = {kind.value: {"types": [*types, "other"], "modes": [*FITTING_MODES[kind]]} for kind, types in FORMAT_TYPES.items()}
    return {"$schema": DIALECT, **Definition.model_json_schema(), "x-formats": formats}
