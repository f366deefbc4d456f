"""Sinks: rows of a view kept in a table of the requester's own PostgreSQL, each batch and the place in one transaction of it."""
