"""The problems of information systems."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class SystemNotFound(NotFound):
    """No system has this id, or it belongs to another organization."""

    slug, title = "system-not-found", "There is no such information system"


class SystemInvalid(Invalid):
    """A rule of systems is broken; `errors` says which and where."""

    slug, title = "system-invalid", "The system's entry is not valid"


class SystemNameTaken(Conflict):
    """The organization has a system of this name; `system_id` names it."""

    slug, title = "system-name-taken", "The system is registered already"


class SystemTransition(Conflict):
    """The system's state does not allow this; `state` says which it is in."""

    slug, title = "system-transition", "The system's state does not allow this"


class OffCloud(Conflict):
    """An organization's own system serves on the government cloud, or by the data authority's consent with its reason."""

    slug, title = "off-cloud", "The system is not on the government cloud"


class NothingCatalogued(Conflict):
    """No resource of the system is in force, so it does not go in service; `drafts` names those that wait."""

    slug, title = "nothing-catalogued", "Nothing of the system is catalogued"


class StillCatalogued(Conflict):
    """Resources of the system are in force, so it does not retire; `resources` names them."""

    slug, title = "still-catalogued", "Resources of the system are in force"
