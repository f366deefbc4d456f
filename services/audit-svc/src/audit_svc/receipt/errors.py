"""The problems of receipts."""

from dxmesh_schemas.problem import NotFound


class NoSuchReceipt(NotFound):
    """The event has no entry that a checkpoint covers yet, or the caller may not read it."""

    slug, title = "no-such-receipt", "There is no such receipt"
