"""Problems of results and the keys they are signed with."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class ResultNotFound(NotFound):
    """No such result, or the caller may not know of it."""

    slug, title = "result-not-found", "There is no such result"


class ResultInvalid(Invalid):
    """The result, or the proof of a key, is not signed as it must be, or says what it may not."""

    slug, title = "result-invalid", "The result cannot be taken"


class ResultTaken(Conflict):
    """The result's id stands for another result, or its state does not allow this."""

    slug, title = "result-taken", "The result is there already"


class IssuerKeyTaken(Conflict):
    """The key belongs to another organization, or was ended."""

    slug, title = "issuer-key-taken", "The key cannot be used"


class IssuerKeyNotFound(NotFound):
    """The caller's organization has no such key."""

    slug, title = "issuer-key-not-found", "There is no such key"
