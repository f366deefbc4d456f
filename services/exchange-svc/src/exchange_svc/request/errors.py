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


class RequestState(Conflict):
    """The request is not yet, or not now, where this can be done."""

    slug, title = "request-state", "The request's state does not allow this"


class NotTheRequester(Forbidden):
    """Only the requester does this to its request."""

    slug, title = "not-the-requester", "Only the requester may do this"


class MaterialsAsked(Conflict):
    """What is missing is asked for once, and all of it at once (GDSR Art. 21)."""

    slug, title = "materials-asked", "Missing material was asked for before"


class ExtensionAnswered(Conflict):
    """No extension waits for an answer, or the request was extended before: once only (GDSR Art. 21)."""

    slug, title = "extension-answered", "There is no extension to answer or to ask for"


class ExtensionTooLong(Invalid):
    """More working days are asked for than the jurisdiction's policy allows (GDSR Art. 21: at most 10)."""

    slug, title = "extension-too-long", "The extension is longer than allowed"


class RequestAnswered(Conflict):
    """The request is not in a state that allows this."""

    slug, title = "request-answered", "The request was answered before"
