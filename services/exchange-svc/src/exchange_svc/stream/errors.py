"""Problems of streams."""

from dxmesh_schemas.problem import Conflict, NotFound, TooLarge, TooMany


class StreamNotFound(NotFound):
    """No row of such a stream was ever taken in, or the caller may not know of it."""

    slug, title = "stream-not-found", "There is no such stream"


class StreamConflict(Conflict):
    """The stream id stands for rows of another resource."""

    slug, title = "stream-conflict", "The stream is of another resource"


class StreamGap(Conflict):
    """The rows that are sent do not follow those that are there."""

    slug, title = "stream-gap", "Rows of the stream are missing"


class StreamTakenOver(Conflict):
    """The stream goes on over another connection; nothing more is taken from this one."""

    slug, title = "stream-taken-over", "The stream goes on elsewhere"


class StreamsTooMany(TooMany):
    """As many streams are open as this process serves."""

    slug, title = "streams-too-many", "Too many streams are open"


class LineTooLong(TooLarge):
    """A line is longer than a micro-batch may be."""

    slug, title = "line-too-long", "A line is too long"
