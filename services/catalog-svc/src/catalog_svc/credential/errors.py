"""The problems of credentials."""

from dxmesh_schemas.problem import NotFound, Unavailable


class CredentialNotFound(NotFound):
    """The organization has no such credential."""

    slug, title = "credential-not-found", "There is no such credential"


class TooManyChecks(Unavailable):
    """More secrets wait to be checked than the node admits."""

    slug, title = "too-many-checks", "Too many secrets are being checked"
