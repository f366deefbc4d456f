"""Problems of subscriptions."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound, TooMany


class SubscriptionNotFound(NotFound):
    """No such subscription, or the caller may not know of it."""

    slug, title = "subscription-not-found", "There is no such subscription"


class SubscriptionInvalid(Invalid):
    """The destination cannot be used as it is described; `errors` names what and how to put it right."""

    slug, title = "subscription-invalid", "The subscription cannot work so"


class SubscriptionState(Conflict):
    """The subscription's state does not allow this."""

    slug, title = "subscription-state", "The subscription's state does not allow this"


class SubscriptionsTooMany(TooMany):
    """The grant has as many subscriptions as it may."""

    slug, title = "subscriptions-too-many", "The grant has too many subscriptions"
