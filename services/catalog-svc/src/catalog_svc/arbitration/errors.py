"""The problems of arbitration cases."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class CaseNotFound(NotFound):
    """No case has this id, or it is between other organizations."""

    slug, title = "arbitration-not-found", "There is no such arbitration case"


class CaseOpen(Conflict):
    """The two items are before the authority already; `case_id` names the case."""

    slug, title = "arbitration-open", "The case is open already"


class CaseDecided(Conflict):
    """The case is decided; `outcome` says how."""

    slug, title = "arbitration-decided", "The case is decided"


class CaseClosed(Conflict):
    """The claimant took the case back, or one of its items is gone; `state` says which."""

    slug, title = "arbitration-closed", "The case is closed"


class NotDecided(Conflict):
    """There is no decision yet to object to."""

    slug, title = "arbitration-not-decided", "The case is not decided"


class ObjectionLate(Conflict):
    """The days to object are over; `until` was the last."""

    slug, title = "objection-late", "The objection comes too late"


class DecisionInvalid(Invalid):
    """What was sent of a decision breaks a rule; `errors` says which and where."""

    slug, title = "arbitration-decision-invalid", "The decision's entry is not valid"


class NothingToArbitrate(Conflict):
    """No other organization's item holds the data element."""

    slug, title = "nothing-to-arbitrate", "No other source stands in the way"


class DecisionImpossible(Conflict):
    """The item that should be the source cannot be it any more."""

    slug, title = "decision-impossible", "This decision cannot take effect"
