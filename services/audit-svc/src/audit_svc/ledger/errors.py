"""The problems of the ledger."""

from dxmesh_schemas.problem import NotFound


class NoSuchBatch(NotFound):
    """The ledger has no such batch, or the caller may not know of it."""

    slug, title = "no-such-batch", "There is no such batch"
