"""What an edition is: the versions in force, one line each, in a form whose bytes anyone can hash, and the statement that is signed.

The content is UTF-8: one JSON object a line, each ended by U+000A, members sorted by name, no blanks between tokens, lines by
resource code. An edition's digest is the SHA-256 of exactly these bytes, so nobody has to make them again to check it.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson

from catalog_svc.edition.errors import EditionYearInvalid

TYPE = "dxmesh-edition+json"
"""The `typ` of an edition's signature: none that a token has."""
_LEVEL = 6
_PIECE_BYTES = 1 << 20


class Content:
    """An edition's content while it is made: hashed and compressed piece by piece."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._packed: list[bytes] = []
        self.byte_count = self.resource_count = self.item_count = self.shareable_item_count = 0
        self._providers: set[str] = set()

    def add(self, snapshots: Sequence[Mapping[str, Any]]) -> None:
        """Add versions, in the order of their resource codes."""
        lines = bytearray()
        for snapshot in snapshots:
            lines += orjson.dumps(snapshot, option=orjson.OPT_SORT_KEYS) + b"\n"
            self.item_count += len(snapshot["items"])
            self.shareable_item_count += sum(item["sharing_type"] != "NOT_SHARED" for item in snapshot["items"])
            self._providers.add(snapshot["provider"]["organization_id"])
        self.resource_count += len(snapshots)
        self.byte_count += len(lines)
        self._hash.update(lines)
        self._packed.append(self._deflate.compress(bytes(lines)))

    def packed(self) -> bytes:
        """Return the content compressed (raw DEFLATE, RFC 1951); nothing is added after this."""
        return b"".join(self._packed) + self._deflate.flush()

    @property
    def sha256(self) -> str:
        """Return the digest of the content, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def provider_count(self) -> int:
        """Return how many organizations have a resource in it."""
        return len(self._providers)


def unpacked(packed: bytes) -> Iterator[bytes]:
    """Yield the content of what `Content.packed` gave, a megabyte at a time."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    waiting = packed
    while waiting:
        piece = inflate.decompress(waiting, _PIECE_BYTES)
        waiting = inflate.unconsumed_tail
        if piece:
            yield piece
    if rest := inflate.flush():
        yield rest


def lines(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the versions of a content."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield orjson.loads(line)


def statement(*, year: int, title: str, node: str, content: Content, published_at: datetime) -> dict[str, Any]:
    """Return what the node signs: which bytes the edition of a year are. No audience, no end: it is no token and holds for good."""
    return {
        "iss": node,
        "edition": year,
        "title": title,
        "content_sha256": content.sha256,
        "content_byte_count": content.byte_count,
        "resource_count": content.resource_count,
        "item_count": content.item_count,
        "shareable_item_count": content.shareable_item_count,
        "published_at": published_at.isoformat(),
    }


def check_year(year: int, today: date) -> None:
    """Raise EditionYearInvalid (422) for a year that has not begun or is long over: what is in force is not what was."""
    if year not in (today.year, today.year - 1):
        detail = f"an edition holds what is in force now: publish that of {today.year}, or of {today.year - 1} if it is still owed"
        raise EditionYearInvalid.at("/year", detail)
