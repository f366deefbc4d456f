"""Problems of what refers to the lists."""

from dxmesh_schemas.problem import Invalid


class EntryUnknown(Invalid):
    """A request names an entry of the scenario or demand list that is not there, or that it may not name."""

    slug, title = "entry-unknown", "There is no such entry to refer to"
