"""Problems of calling a shared API."""

from dxmesh_schemas.problem import Forbidden, Gone, Invalid, TooMany, Unavailable


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


class ChangesGone(Gone):
    """What changed behind the cursor is kept no longer, or comes by another topic now."""

    slug, title = "changes-gone", "These changes are kept no longer"


class ChangesAway(Unavailable):
    """The broker that keeps the changes cannot be reached."""

    slug, title = "changes-away", "The changes cannot be read now"
