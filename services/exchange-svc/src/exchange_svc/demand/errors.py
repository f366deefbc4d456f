"""Problems of demands."""

from dxmesh_schemas.problem import Conflict, Forbidden, NotFound


class DemandNotFound(NotFound):
    """No such demand on this node."""

    slug, title = "demand-not-found", "There is no such demand"


class DemandOver(Conflict):
    """The demand is done or cancelled; nothing is asked for by it any more."""

    slug, title = "demand-over", "The demand is over"


class NotYourDemand(Forbidden):
    """Only the department that has the demand asks by it."""

    slug, title = "not-your-demand", "The demand is another department's"
