"""Problems of readers."""

from dxmesh_schemas.problem import Conflict, NotFound


class ReaderNotFound(NotFound):
    """No such reader, or the caller may not know of it."""

    slug, title = "reader-not-found", "There is no such reader"


class ReaderExists(Conflict):
    """The organization has a reader of that name."""

    slug, title = "reader-exists", "There is a reader of this name"


class ReaderRevoked(Conflict):
    """The reader was revoked: it is not given a password any more."""

    slug, title = "reader-revoked", "The reader was revoked"


class TooManyReaders(Conflict):
    """The organization has as many readers as one may have."""

    slug, title = "too-many-readers", "There are too many readers"


class ReadersNotOffered(Conflict):
    """This node's broker knows no users, so there is nobody to let in."""

    slug, title = "readers-not-offered", "This node has no users on its broker"
