"""The kinds of file that are read and written here, and how a Content-Type names them."""

from email.message import Message
from enum import StrEnum
from typing import NamedTuple

from dxmesh_schemas.problem import UnsupportedMedia


class MediaType(StrEnum):
    """A file format, by its media type."""

    CSV = "text/csv"
    NDJSON = "application/x-ndjson"
    JSON = "application/json"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    PARQUET = "application/vnd.apache.parquet"
    ARROW_STREAM = "application/vnd.apache.arrow.stream"
    ARROW_FILE = "application/vnd.apache.arrow.file"

    @property
    def suffix(self) -> str:
        """Return the usual file name ending, with its point."""
        return _SUFFIXES[self]


class Content(NamedTuple):
    """What a Content-Type says: the format, and for text the encoding and delimiter it declares."""

    media: MediaType
    encoding: str | None
    delimiter: str | None


_SUFFIXES = {
    MediaType.CSV: ".csv",
    MediaType.NDJSON: ".ndjson",
    MediaType.JSON: ".json",
    MediaType.XLSX: ".xlsx",
    MediaType.PARQUET: ".parquet",
    MediaType.ARROW_STREAM: ".arrows",
    MediaType.ARROW_FILE: ".arrow",
}
_ALIASES = {
    "application/csv": MediaType.CSV,
    "text/tab-separated-values": MediaType.CSV,
    "application/ndjson": MediaType.NDJSON,
    "application/jsonl": MediaType.NDJSON,
    "application/x-jsonlines": MediaType.NDJSON,
    "application/x-parquet": MediaType.PARQUET,
} | {media.value: media for media in MediaType}


def parse_content_type(value: str | None) -> Content:
    """Read a Content-Type header. Raises: UnsupportedMedia (415), naming the types that are read."""
    message = Message()
    message["Content-Type"] = value or "none/none"
    name = message.get_content_type()
    if value is None or name not in _ALIASES:
        known = ", ".join(media.value for media in MediaType)
        raise UnsupportedMedia(
            f"Content-Type {value or '(none)'} is not read here; send one of: {known}", supported=[media.value for media in MediaType]
        )
    charset = message.get_param("charset")
    delimiter = "\t" if name == "text/tab-separated-values" else None
    return Content(_ALIASES[name], str(charset) if charset else None, delimiter)
