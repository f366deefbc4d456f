"""Problems of the inventory."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class ChannelNotFound(NotFound):
    """No such channel, or the caller may not know of it."""

    slug, title = "channel-not-found", "There is no such channel"


class ChannelStepIllegal(Conflict):
    """The state of the channel does not allow this."""

    slug, title = "channel-step-illegal", "The channel cannot go there"


class ChannelInvalid(Invalid):
    """What is told of a channel does not fit together."""

    slug, title = "channel-invalid", "The channel is not valid"
