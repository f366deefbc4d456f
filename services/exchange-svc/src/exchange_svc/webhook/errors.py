"""Problems of webhooks."""

from dxmesh_schemas.problem import Invalid


class EndpointUnproven(Invalid):
    """The address did not say that it wants this node's messages."""

    slug, title = "endpoint-unproven", "The address does not agree to be a webhook"
