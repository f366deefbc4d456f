"""The problems of the log."""

from dxmesh_schemas.problem import Invalid, NotFound


class EntryTooLarge(Invalid):
    """The context attributes of an event do not fit into an entry bundle."""

    slug, title = "entry-too-large", "The event's attributes are too long to be logged"


class NoSuchTile(NotFound):
    """The tile's address is malformed, or the tile is not covered by the newest checkpoint."""

    slug, title = "no-such-tile", "There is no such tile"


class NoSuchEntry(NotFound):
    """The index is not covered by the newest checkpoint, or the caller may not read the entry."""

    slug, title = "no-such-entry", "There is no such entry"


class NoSuchTree(Invalid):
    """A tree size that was never reached, or sizes in the wrong order."""

    slug, title = "no-such-tree", "There is no consistency proof between these sizes"


class TreeCorrupt(RuntimeError):
    """What is stored contradicts itself or what was signed: the log must not go on."""
