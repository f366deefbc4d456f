"""The problems of information systems."""

from dxmesh_schemas.problem import Conflict, NotFound


class SystemNotFound(NotFound):
    """No system has this id, or it belongs to another organization."""

    slug, title = "system-not-found", "There is no such information system"


class SystemNameTaken(Conflict):
    """The organization has a system of this name; `system_id` names it."""

    slug, title = "system-name-taken", "The system is registered already"
