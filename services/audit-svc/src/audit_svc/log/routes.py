"""The log over HTTP: tlog-tiles (C2SP), consistency proofs, single entries, and the check of what is stored."""

from base64 import b64encode
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from audit_svc.checkpoint import store as checkpoints
from audit_svc.checkpoint.errors import NoCheckpointYet
from audit_svc.log import commands, domain, store
from audit_svc.log.errors import NoSuchTile, NoSuchTree
from dxmesh_runtime.auth import Auditor
from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import problems

router = APIRouter(tags=["log"])
_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
_BYTES = "application/octet-stream"
_MAX_CHECKED = 64 * domain.TILE_WIDTH
_TILE: dict[int | str, dict[str, Any]] = {200: {"content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}}}}


class ConsistencyOut(BaseModel):
    """The proof that the tree of `from_size` entries is the beginning of that of `to_size` (RFC 6962 section 2.1.2)."""

    from_size: int
    to_size: int
    from_root: str
    to_root: str
    proof: list[str]  # base64


class FaultOut(BaseModel):
    """A contradiction in what is stored."""

    index: int
    reason: str


class CheckOut(BaseModel):
    """What a check of the stored log found."""

    first: int
    checked_count: int
    faults: list[FaultOut]
    next: int | None


async def _covered(tx: Tx, level: int, path: str) -> tuple[int, int]:
    """Return (number, width) of a tile that the newest checkpoint covers. Raises: NoSuchTile (404)."""
    try:
        number, width = domain.parse_tile_path(path)
    except ValueError as wrong:
        raise NoSuchTile(
            f"{wrong}; write groups of three digits, all but the last behind an x: x001/x234/067, or x001/x234/067.p/8"
        ) from wrong
    newest = await checkpoints.find_newest(tx)
    count = (newest.size if newest else 0) >> (domain.TILE_HEIGHT * level)
    if number * domain.TILE_WIDTH + width > count:
        raise NoSuchTile(f"the newest checkpoint covers {count} hashes of level {level}; see /checkpoint")
    return number, width


@router.get("/tile/entries/{path:path}", response_class=Response, responses=problems(NoSuchTile) | _TILE)
async def get_entry_bundle(path: str, tx: Tx) -> Response:
    """Return 256 entries, or the first `.p/<W>` of them, each behind its length as big-endian uint16."""
    number, width = await _covered(tx, 0, path)
    first = number * domain.TILE_WIDTH
    return Response(domain.bundle(await store.list_leaves(tx, first, first + width)), media_type=_BYTES, headers=_IMMUTABLE)


@router.get("/tile/{level}/{path:path}", response_class=Response, responses=problems(NoSuchTile) | _TILE)
async def get_tile(level: str, path: str, tx: Tx) -> Response:
    """Return 256 hashes of a level, or the first `.p/<W>` of them."""
    if not level.isascii() or not level.isdecimal() or str(int(level[:3])) != level or int(level) > domain.MAX_LEVEL:
        raise NoSuchTile(f"{level[:20]} is not a level; levels are 0 to {domain.MAX_LEVEL}")
    number, width = await _covered(tx, int(level), path)
    tile = domain.TileId(int(level), number)
    hashes = (await store.load_tiles(tx, [tile]))[tile]
    return Response(hashes[: width * domain.HASH_BYTES], media_type=_BYTES, headers=_IMMUTABLE)


@router.get("/v1/consistency", responses=problems(NoSuchTree, NoCheckpointYet))
async def get_consistency(
    tx: Tx,
    from_size: Annotated[int, Query(alias="from", ge=1, description="the smaller tree's size")],
    to_size: Annotated[int | None, Query(alias="to", ge=1, description="the greater tree's; the newest checkpoint's when absent")] = None,
) -> ConsistencyOut:
    """Prove that an earlier tree is the beginning of a later one."""
    newest = await checkpoints.get_newest(tx)
    end = newest.size if to_size is None else to_size
    if not from_size <= end <= newest.size:
        raise NoSuchTree(f"from {from_size} to {end} is no growth of this log; the newest checkpoint has {newest.size} entries")
    from_root, to_root, *proof = await store.hashes_of(tx, [(0, from_size), (0, end), *domain.consistency_ranges(from_size, end)])
    return ConsistencyOut(
        from_size=from_size, to_size=end, from_root=_text(from_root), to_root=_text(to_root), proof=[_text(step) for step in proof]
    )


@router.get("/v1/check", responses=problems())
async def check(
    _: Auditor,
    tx: Tx,
    first: Annotated[int, Query(ge=0, multiple_of=domain.TILE_WIDTH, le=1 << 62)] = 0,
    limit: Annotated[int, Query(ge=domain.TILE_WIDTH, le=_MAX_CHECKED, multiple_of=domain.TILE_WIDTH)] = _MAX_CHECKED,
) -> CheckOut:
    """Recompute stored entries and payloads against the tree; go on at `next` until it is null."""
    newest = await checkpoints.find_newest(tx)
    size = newest.size if newest else 0
    end = max(min(first + limit, size), first)
    faults = await commands.find_faults(tx, first, end)
    return CheckOut(
        first=first,
        checked_count=end - first,
        faults=[FaultOut(index=index, reason=reason) for index, reason in faults],
        next=end if end < size else None,
    )


def _text(digest: bytes) -> str:
    return b64encode(digest).decode()
