"""The problems of tables: what may heal holds the partition up, so no batch is left out of a table."""

from dxmesh_schemas.problem import NotFound, Unavailable


class RowsMissing(Unavailable):
    """An accepted batch's object is not in the store."""

    slug, title = "rows-missing", "A batch's rows are not in the object store"


class VersionMissing(Unavailable):
    """The version of the resource that a batch was received under has not arrived from the catalogue yet."""

    slug, title = "version-missing", "The resource's version is not here yet"


class TableDamaged(Unavailable):
    """A table is lost, lacks batches it held, or a file of it cannot be read: it is rebuilt from the accepted batches."""

    slug, title = "table-damaged", "The resource's table is damaged"


class TableNotBegun(NotFound):
    """A resource has no table, as no batch of it was ever folded."""

    slug, title = "table-not-begun", "The resource has no table yet"
