"""The problems of arbitration cases."""

from dxmesh_schemas.problem import Conflict, NotFound


class CaseNotFound(NotFound):
    """No case has this id, or it is between other organizations."""

    slug, title = "arbitration-not-found", "There is no such arbitration case"


class CaseOpen(Conflict):
    """The two items are before the authority already; `case_id` names the case."""

    slug, title = "arbitration-open", "The case is open already"


class CaseDecided(Conflict):
    """The authority has decided; `outcome` says how."""

    slug, title = "arbitration-decided", "The case is decided"


class NothingToArbitrate(Conflict):
    """No other organization's item holds the data element."""

    slug, title = "nothing-to-arbitrate", "No other source stands in the way"


class DecisionImpossible(Conflict):
    """The item that should be the source cannot be it any more."""

    slug, title = "decision-impossible", "This decision cannot take effect"
