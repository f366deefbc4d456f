"""Problems of grants that scenarios gave."""

from dxmesh_schemas.problem import Conflict, NotFound


class ScenarioGrantNotFound(NotFound):
    """No scenario gave such a grant, or the caller may not know of it."""

    slug, title = "scenario-grant-not-found", "There is no such grant by a scenario"


class ScenarioGrantStands(Conflict):
    """The grant has its ground, was confirmed before, or is over: there is nothing to confirm."""

    slug, title = "scenario-grant-stands", "Nothing is to be confirmed of this grant"
