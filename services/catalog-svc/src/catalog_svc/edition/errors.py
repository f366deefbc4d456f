"""The problems of editions."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound, Unavailable


class EditionNotFound(NotFound):
    """No edition of this year has been published."""

    slug, title = "edition-not-found", "There is no such edition"


class EditionTaken(Conflict):
    """The year has its edition, and an edition never changes; `content_sha256` is its digest."""

    slug, title = "edition-taken", "The year has its edition already"


class EditionEmpty(Conflict):
    """No resource is in force, so there is nothing to publish."""

    slug, title = "edition-empty", "There is nothing to publish"


class EditionYearInvalid(Invalid):
    """An edition is of this year or the last."""

    slug, title = "edition-year-invalid", "The year is not one an edition can have"


class EditionKeyMissing(Unavailable):
    """This node has no key to sign with: set SIGNING__KEY_FILE."""

    slug, title = "edition-key-missing", "The node has no signing key"
