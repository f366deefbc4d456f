"""The problems of tables: what may heal holds the partition up, so no batch is left out of a table."""

from dxmesh_schemas.problem import NotFound, Unavailable


class VersionMissing(Unavailable):
    """The version of the resource that a batch was received under has not arrived from the catalogue yet."""

    slug, title = "version-missing", "The resource's version is not here yet"


class TableDamaged(Unavailable):
    """A table is lost, lacks batches it held, or a file of it cannot be read: it is rebuilt from the accepted batches."""

    slug, title = "table-damaged", "The resource's table is damaged"


class TableNotBegun(NotFound):
    """A resource has no table, as no batch of it was ever folded."""

    slug, title = "table-not-begun", "The resource has no table yet"
