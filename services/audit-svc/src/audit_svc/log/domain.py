"""The Merkle tree of RFC 6962 over tiles of 256 hashes, and the bytes of an entry; no input or output."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from hashlib import sha256
from typing import NamedTuple

import orjson

from audit_svc.log.errors import EntryTooLarge, TreeCorrupt
from dxmesh_schemas.event import Meta

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
HASH_BYTES = 32
MAX_ENTRY_BYTES = 0xFFFF  # an entry bundle prefixes each entry with a uint16 length (C2SP tlog-tiles)
MAX_LEVEL = 63 // TILE_HEIGHT  # tree sizes are below 2**63
EMPTY_ROOT = sha256(b"").digest()

Range = tuple[int, int]
"""Leaves from the first to before the second."""


class TileId(NamedTuple):
    """Where a tile lies: it holds the roots of the complete subtrees of 256**level leaves, from the `256 * number`-th."""

    level: int
    number: int


Tiles = Mapping[TileId, bytes]
"""Tiles by place; each is up to 256 hashes of 32 bytes, and may have grown past the tree size asked for."""


# -- entries -----------------------------------------------------------------------------------------------------------


def entry_bytes(meta: Meta, *, topic: str, key: str | None, payload: bytes) -> bytes:
    """Return the leaf's bytes: one JSON object in the canonical form of RFC 8785.

    It is made once and stored; the payload, kept beside it as received, is committed to by its SHA-256.
    Raises: EntryTooLarge (422).
    """
    fields = {
        "id": str(meta.event_id),
        "payload_sha256": sha256(payload).hexdigest(),
        "source": meta.source,
        "time": meta.time.astimezone(UTC).isoformat(),
        "topic": topic,
        "type": meta.event_type,
    }
    if key is not None:
        fields["key"] = key
    if meta.subject is not None:
        fields["subject"] = meta.subject
    entry = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    if len(entry) > MAX_ENTRY_BYTES:
        raise EntryTooLarge(f"the attributes of event {meta.event_id} take {len(entry)} bytes; an entry holds {MAX_ENTRY_BYTES}")
    return entry


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return an entry bundle: each entry behind its length as big-endian uint16 (C2SP tlog-tiles, log entries)."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


# -- hashes ------------------------------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf. Source: RFC 6962 section 2.1."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node. Source: RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


def _fold(row: bytes) -> bytes:
    """Return the root over a row of 2**n hashes."""
    while len(row) > HASH_BYTES:
        row = b"".join(sha256(b"\x01" + row[at : at + 2 * HASH_BYTES]).digest() for at in range(0, len(row), 2 * HASH_BYTES))
    return row


def commits_to(entry: bytes, payload: bytes) -> bool:
    """Say whether an entry names this payload's SHA-256."""
    return f'"payload_sha256":"{sha256(payload).hexdigest()}"'.encode() in entry


def is_parent(parent: bytes, number: int, tile: bytes) -> bool:
    """Say whether the tile above holds the root of the full level 0 tile of that number."""
    at = number % TILE_WIDTH * HASH_BYTES
    return len(tile) == TILE_WIDTH * HASH_BYTES and parent[at : at + HASH_BYTES] == _fold(tile)


# -- growing -----------------------------------------------------------------------------------------------------------


def edge(size: int) -> list[TileId]:
    """Return the partial tiles of a tree, which the next leaves will extend: at most one a level."""
    found = []
    level, count = 0, size
    while count:
        if count % TILE_WIDTH:
            found.append(TileId(level, count // TILE_WIDTH))
        level, count = level + 1, count >> TILE_HEIGHT
    return found


def append(size: int, tiles: Tiles, leaf_hashes: Sequence[bytes]) -> dict[TileId, bytes]:
    """Return every tile that is new or longer once the leaves follow the first `size`.

    tiles: those of `edge(size)`, none longer than the size says. Costs one hash a leaf.
    Raises: TreeCorrupt when an edge tile is not of the length that the size asks for.
    """
    changed: dict[TileId, bytes] = {}
    level, fresh = 0, b"".join(leaf_hashes)
    while fresh:
        first, used = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
        old = tiles.get(TileId(level, first), b"") if used else b""
        if len(old) != used * HASH_BYTES:
            raise TreeCorrupt(f"tile {level}/{first} holds {len(old)} bytes; a tree of {size} leaves needs {used * HASH_BYTES}")
        row, parents = old + fresh, []
        for number, at in enumerate(range(0, len(row), TILE_WIDTH * HASH_BYTES), first):
            tile = row[at : at + TILE_WIDTH * HASH_BYTES]
            changed[TileId(level, number)] = tile
            if len(tile) == TILE_WIDTH * HASH_BYTES:
                parents.append(_fold(tile))
        level, fresh = level + 1, b"".join(parents)
    return changed


# -- proofs ------------------------------------------------------------------------------------------------------------


def _split(count: int) -> int:
    """Return the greatest power of two below the count (RFC 6962 section 2.1: k < n <= 2k)."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes are the inclusion proof, leaf to root. Source: RFC 6962 section 2.1.1 (PATH)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    ranges: list[Range] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the ranges whose hashes are the consistency proof. Source: RFC 6962 section 2.1.2 (PROOF, SUBPROOF).

    Nothing has to be proven between equal sizes, nor from the empty tree.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}")
    ranges: list[Range] = []
    if old == 0:
        return ranges
    low, high, whole = 0, new, True
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low, whole = middle, False
    if not whole:
        ranges.append((low, high))
    return ranges[::-1]


class _Subtree(NamedTuple):
    """A complete subtree: the `number`-th of 2**height leaves."""

    height: int
    number: int

    @property
    def tile(self) -> TileId:
        level, inside = divmod(self.height, TILE_HEIGHT)
        return TileId(level, (self.number << inside) >> TILE_HEIGHT)


def _subtrees(span: Range) -> list[_Subtree]:
    """Cut a range into complete subtrees, the greatest first; its begin is a multiple of the greatest's size."""
    low, high = span
    found = []
    while low < high:
        height = (high - low).bit_length() - 1
        found.append(_Subtree(height, low >> height))
        low += 1 << height
    return found


def tiles_for(ranges: Iterable[Range]) -> set[TileId]:
    """Return the tiles that `hashes_of` needs for these ranges: about two a level."""
    return {subtree.tile for span in ranges for subtree in _subtrees(span)}


def _subtree_hash(subtree: _Subtree, tiles: Tiles) -> bytes:
    inside = subtree.height % TILE_HEIGHT
    first = (subtree.number << inside) % TILE_WIDTH
    row = tiles.get(subtree.tile, b"")[first * HASH_BYTES : (first + (1 << inside)) * HASH_BYTES]
    if len(row) != HASH_BYTES << inside:
        raise TreeCorrupt(f"tile {subtree.tile.level}/{subtree.tile.number} is missing, or too short for {first + (1 << inside)} hashes")
    return _fold(row)


def range_hash(span: Range, tiles: Tiles) -> bytes:
    """Return the Merkle tree hash of a range of leaves. Raises: TreeCorrupt when a tile lacks what the range needs."""
    hashes = [_subtree_hash(subtree, tiles) for subtree in _subtrees(span)]
    if not hashes:
        return EMPTY_ROOT
    result = hashes.pop()
    while hashes:
        result = node_hash(hashes.pop(), result)
    return result


def hashes_of(ranges: Iterable[Range], tiles: Tiles) -> list[bytes]:
    """Return the hash of each range: a proof, or the root for `[(0, size)]`."""
    return [range_hash(span, tiles) for span in ranges]


# -- addresses of tiles ------------------------------------------------------------------------------------------------


def encode_number(number: int) -> str:
    """Return a tile's number as in its path: 1234067 is `x001/x234/067`. Source: C2SP tlog-tiles."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


def parse_tile_path(path: str) -> tuple[int, int]:
    """Return (number, width) of `x001/x234/067` (width 256) or `x001/x234/067.p/8`. Raises: ValueError unless in exactly that form."""
    digits, _, width_text = path.partition(".p/")
    width = int(width_text) if width_text.isascii() and width_text.isdecimal() else TILE_WIDTH
    groups = digits.split("/")
    if len(groups) > 7 or not all(group.isascii() for group in groups):
        raise ValueError(f"{path} is not the number of a tile")
    number = int("".join(group.removeprefix("x") for group in groups))
    if encode_number(number) + (f".p/{width}" if width < TILE_WIDTH else "") != path or width < 1:
        raise ValueError(f"{path} is not the number of a tile in its one written form")
    return number, width
