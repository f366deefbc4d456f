"""Problems of the catalogue's replica."""

from dxmesh_schemas.problem import Conflict, NotFound


class ResourceNotFound(NotFound):
    """No such resource, or the caller may not know of it."""

    slug, title = "resource-not-found", "There is no such data resource"


class ResourceWithdrawn(Conflict):
    """The resource takes no more batches and gives no more grants."""

    slug, title = "resource-withdrawn", "The resource is withdrawn"


class OrganizationUnknown(Conflict):
    """The caller's organization is not in this node's catalogue, or has not arrived here yet."""

    slug, title = "organization-unknown", "The organization is not known here"
