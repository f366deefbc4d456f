"""The problems of lineage."""

from dxmesh_schemas.problem import Invalid


class LineageInvalid(Invalid):
    """A source cannot be one; `errors` says which and why."""

    slug, title = "lineage-invalid", "The lineage is not valid"


class LineageLoop(Invalid):
    """A source is derived from the resource itself; `path` leads from the resource back to it."""

    slug, title = "lineage-loop", "The lineage would make a loop"
