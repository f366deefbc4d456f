"""The problems of data resources."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound, Problem


class ResourceNotFound(NotFound):
    """No resource, or no version of it, has this id, or it is another organization's draft."""

    slug, title = "resource-not-found", "There is no such data resource"


class ResourceInvalid(Invalid):
    """A rule of the catalogue is broken; `errors` says which and where."""

    slug, title = "resource-invalid", "The data resource's entry is not valid"


class ResourceNameTaken(Conflict):
    """The provider has a resource of this name; `resource_id` names it."""

    slug, title = "resource-name-taken", "The provider has a resource of this name"


class IllegalTransition(Conflict):
    """The resource's state does not allow this; `state` says which it is in."""

    slug, title = "illegal-transition", "The resource's state does not allow this"


class RevisionPassed(Problem):
    """Someone changed the resource since it was read; `revision` is the one in force."""

    status, slug, title = 412, "revision-passed", "The resource was changed meanwhile"
