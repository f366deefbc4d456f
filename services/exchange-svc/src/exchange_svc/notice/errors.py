"""Problems of notices."""

from dxmesh_schemas.problem import Conflict


class VersionNotInForce(Conflict):
    """A file was made by a version of the resource that is announced, or was replaced."""

    slug, title = "version-not-in-force", "That version of the resource is not in force"
