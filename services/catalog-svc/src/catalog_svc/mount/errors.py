"""The problems of mounts."""

from dxmesh_schemas.problem import Conflict, Invalid


class MountInvalid(Invalid):
    """What was sent about a mount breaks a rule; `errors` says which and where."""

    slug, title = "mount-invalid", "The mount's entry is not valid"


class NotMountable(Conflict):
    """Only a resource in force is mounted; `state` says which this one is in."""

    slug, title = "not-mountable", "The resource is not in force"


class NotMounted(Conflict):
    """The resource is not mounted, or not in the way this is for."""

    slug, title = "not-mounted", "The resource is not mounted so"
