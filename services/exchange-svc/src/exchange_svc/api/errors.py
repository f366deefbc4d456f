"""Problems of calling a shared API."""

from dxmesh_schemas.problem import Forbidden, TooMany


class SystemNotAdmitted(Forbidden):
    """The call names no system, or one that the grant is not for."""

    slug, title = "system-not-admitted", "The grant is not for this system"


class RateExceeded(TooMany):
    """The grant's calls of this minute are used up."""

    slug, title = "rate-exceeded", "The grant's calls of this minute are used up"
