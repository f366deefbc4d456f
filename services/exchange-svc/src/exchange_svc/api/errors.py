"""Problems of calling a shared API."""

from dxmesh_schemas.problem import Forbidden, Invalid, TooMany


class SystemNotAdmitted(Forbidden):
    """The call names no system, or one that the grant is not for."""

    slug, title = "system-not-admitted", "The grant is not for this system"


class RateExceeded(TooMany):
    """The grant's calls of this minute are used up."""

    slug, title = "rate-exceeded", "The grant's calls of this minute are used up"


class QuestionInvalid(Invalid):
    """A question cannot be asked by this grant; `errors` names what by its JSON pointer."""

    slug, title = "question-invalid", "The question cannot be asked"


class CountsUsedUp(TooMany):
    """The grant's different counts of this day are used up."""

    slug, title = "counts-used-up", "The grant's counts of this day are used up"
