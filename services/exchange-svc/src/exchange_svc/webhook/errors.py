"""Problems of webhooks."""

from dxmesh_schemas.problem import Invalid, NotFound


class EndpointUnproven(Invalid):
    """The address did not say that it wants this node's messages."""

    slug, title = "endpoint-unproven", "The address does not agree to be a webhook"


class MessageNotFound(NotFound):
    """No such message, or the caller may not know of it."""

    slug, title = "message-not-found", "There is no such message"
