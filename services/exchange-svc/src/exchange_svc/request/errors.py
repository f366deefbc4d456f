"""Problems of sharing requests."""

from dxmesh_schemas.problem import Conflict, Forbidden, Invalid, NotFound


class RequestNotFound(NotFound):
    """No such request, or the caller may not know of it."""

    slug, title = "request-not-found", "There is no such request"


class ItemsUnknown(Invalid):
    """The request names items the resource does not have."""

    slug, title = "items-unknown", "The resource has no such items"


class OwnResource(Invalid):
    """An organization asks for what is its own."""

    slug, title = "own-resource", "The resource is the requester's own"


class UseUntilPast(Invalid):
    """The time the data is wanted until is over."""

    slug, title = "use-until-past", "The end of use is in the past"


class NotShared(Forbidden):
    """The resource, or an item asked for, is not shared; `basis` says why (GDSR Art. 14)."""

    slug, title = "not-shared", "This is not shared"


class NotTheProvider(Forbidden):
    """Only the provider's steward answers a request."""

    slug, title = "not-the-provider", "Only the provider decides"


class ReasonMissing(Invalid):
    """A refusal states its reasons (GDSR Art. 21)."""

    slug, title = "reason-missing", "A refusal needs a reason"


class RequestAnswered(Conflict):
    """The request is not in a state that allows this."""

    slug, title = "request-answered", "The request was answered before"
