"""The problems of tables: what may heal holds the partition up, so no batch is left out of a table."""

from dxmesh_schemas.problem import Unavailable


class RowsMissing(Unavailable):
    """An accepted batch's object is not in the store."""

    slug, title = "rows-missing", "A batch's rows are not in the object store"


class VersionMissing(Unavailable):
    """The version of the resource that a batch was received under has not arrived from the catalogue yet."""

    slug, title = "version-missing", "The resource's version is not here yet"
