"""Problems of disputes."""

from dxmesh_schemas.problem import Conflict, Forbidden, Invalid, NotFound


class DisputeNotFound(NotFound):
    """No such dispute, or the caller may not know of it."""

    slug, title = "dispute-not-found", "There is no such dispute"


class DisputeKnown(Conflict):
    """The request is, or was, in dispute; a refusal is disputed once, from negotiation to a government's decision."""

    slug, title = "dispute-known", "The request was disputed before"


class DisputeEarly(Conflict):
    """There is nothing to dispute yet: whoever is asked still has time to answer."""

    slug, title = "dispute-early", "It is too early for this"


class DisputeLate(Conflict):
    """The days in which a decision may be taken further are over."""

    slug, title = "dispute-late", "The time to take it further is over"


class DisputeOver(Conflict):
    """The dispute was decided or withdrawn; nobody's answer is owed."""

    slug, title = "dispute-over", "No answer to the dispute is owed"


class NotYourTurn(Forbidden):
    """The dispute is before somebody else (GDSR Art. 28)."""

    slug, title = "not-your-turn", "The dispute is before somebody else"


class DecisionInvalid(Invalid):
    """A decision lacks, or has too much of, something; `errors` names the field."""

    slug, title = "dispute-decision-invalid", "The decision cannot be entered so"
