"""What can be missing from the catalogue's replica."""

from dxmesh_schemas.problem import NotFound


class ResourceNotFound(NotFound):
    """No resource of this id is published on this node."""

    slug, title = "resource-not-found", "There is no such data resource"


class VersionNotArrived(Exception):
    """A batch names a resource version whose event has not arrived here yet: not a problem of the batch, so it waits."""
