"""Content-Encoding: a gzip or zstd body becomes the file it holds, no larger than allowed."""

from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from dxmesh_schemas.problem import Unreadable, UnsupportedMedia
from exchange_svc.batch.errors import BodyTooLarge

_PIECE_BYTES = 1 << 20


class ContentCoding(StrEnum):
    """A compression that is taken off a body (RFC 9110 section 8.4.1, RFC 8878)."""

    GZIP = "gzip"
    ZSTD = "zstd"


class CodingUnsupported(UnsupportedMedia):
    """The body is compressed in a way that is not read here."""

    slug, title = "coding-unsupported", "The content encoding is not supported"


class BodyDamaged(Unreadable):
    """The compressed body is cut or damaged."""

    slug, title = "body-damaged", "The compressed body cannot be read"


def coding_of(header: str | None) -> ContentCoding | None:
    """Read a Content-Encoding header; None when the body is as it is. Raises: CodingUnsupported (415)."""
    name = (header or "identity").strip().lower().removeprefix("x-")
    if name in ("identity", ""):
        return None
    try:
        return ContentCoding(name)
    except ValueError:
        raise CodingUnsupported(
            f"Content-Encoding: {header} is not read here; send gzip, zstd or the file as it is",
            supported=[coding.value for coding in ContentCoding],
        ) from None


def inflate(source: Path, coding: ContentCoding, target: Path, *, max_bytes: int) -> int:
    """Write what a compressed file holds; return its bytes. Blocks: call it in a thread.

    Raises: BodyDamaged (400) for a cut or damaged stream, BodyTooLarge (413) once more than max_bytes have come out.
    """
    written = 0
    with pa.OSFile(str(source)) as raw, target.open("wb") as out:
        try:
            stream = pa.CompressedInputStream(raw, coding.value)
            while piece := stream.read(_PIECE_BYTES):
                written += len(piece)
                if written > max_bytes:
                    raise BodyTooLarge(
                        f"the body holds more than {max_bytes} bytes when decompressed; split the file into several batches",
                        max_bytes=max_bytes,
                    )
                out.write(piece)
        except OSError as error:
            if error.errno is not None:
                raise
            raise BodyDamaged(
                f"Content-Encoding: the {coding} body is cut or damaged after {written} bytes ({error}); send the whole file again"
            ) from error
    return written
