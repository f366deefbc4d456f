"""Problems of packages."""

from dxmesh_schemas.problem import Conflict, Gone, NotFound


class PackageNotFound(NotFound):
    """No such package, or the caller may not fetch it."""

    slug, title = "package-not-found", "There is no such package"


class PackageGone(Gone):
    """The package's term is over, or it was fetched as often as it may be."""

    slug, title = "package-gone", "The package is kept no longer"


class PackageWaiting(Conflict):
    """A package is being made."""

    slug, title = "package-waiting", "The package is being made"
