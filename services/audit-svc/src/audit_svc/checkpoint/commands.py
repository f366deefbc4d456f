"""What signs and announces checkpoints."""

from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from audit_svc.checkpoint import domain, store
from audit_svc.checkpoint.domain import Head, Signer
from audit_svc.log import store as log_store
from audit_svc.log.errors import TreeCorrupt
from dxmesh_runtime import outbox

tree_size = Gauge("dxmesh_log_tree_size", "Entries covered by the newest checkpoint")


@dataclass(frozen=True, slots=True)
class Pace:
    """The shortest times between two checkpoints, and between two announced ones."""

    sign_seconds: float
    publish_seconds: float


async def sign_if_due(tx: AsyncSession, tree: log_store.Tree, signer: Signer, pace: Pace, *, now: datetime) -> None:
    """Sign the head when it outgrew the last checkpoint and the pace allows, and announce it at its own pace.

    tree: locked, and as stored. The signature commits with the entries it covers.
    Emits: audit.checkpoint.published.v1. Raises: TreeCorrupt when the head is behind what was signed.
    """
    head = Head(tree.size, tree.root_hash)
    if tree.signed_size is not None and head.size < tree.signed_size:
        raise TreeCorrupt(f"the tree has {head.size} entries, but {tree.signed_size} were signed for: part of the log was lost")
    if domain.is_due(head, signed_size=tree.signed_size, signed_at=tree.signed_at, now=now, every_seconds=pace.sign_seconds):
        note = signer.sign(head)
        await store.add(tx, head, note, now=now)
        tree_size.set(head.size)
    elif tree.signed_size is not None and tree.published_size != tree.signed_size:
        newest = await store.find_newest(tx)
        if newest is None:
            raise TreeCorrupt("the checkpoint that the head names is missing")
        head, note = Head(newest.size, newest.root_hash), newest.note
    else:
        return
    if domain.is_due(head, signed_size=tree.published_size, signed_at=tree.published_at, now=now, every_seconds=pace.publish_seconds):
        await outbox.add(tx, domain.published(signer.origin, head, note, now), now=now)
        await store.set_published(tx, head.size, now=now)


async def check_signed(tx: AsyncSession, tree: log_store.Tree, signer: Signer) -> Head | None:
    """Check that the newest checkpoint is this log's, signed by this key, and what the tiles still give; return what it says.

    Raises: TreeCorrupt.
    """
    newest = await store.find_newest(tx)
    if newest is None:
        if tree.signed_size is not None:
            raise TreeCorrupt("the head names a checkpoint, but there is none")
        return None
    try:
        head = signer.open(newest.note)
    except ValueError as wrong:
        raise TreeCorrupt(f"the newest checkpoint: {wrong}; give the key and origin that the log began with") from wrong
    if head != Head(newest.size, newest.root_hash) or tree.signed_size != head.size or head.size > tree.size:
        raise TreeCorrupt(f"the checkpoint says {head.size} entries, its row {newest.size}, the head {tree.signed_size} of {tree.size}")
    [root] = await log_store.hashes_of(tx, [(0, head.size)])
    if root != head.root_hash:
        raise TreeCorrupt(f"the tiles of {head.size} leaves give the root {root.hex()}; signed was {head.root_hash.hex()}")
    return head


async def check_announced(tx: AsyncSession, tree: log_store.Tree, announced: Head) -> None:
    """Check that the tree continues a checkpoint that was given to the world. Raises: TreeCorrupt."""
    if announced.size > tree.size:
        raise TreeCorrupt(
            f"the tree has {tree.size} entries, but a checkpoint of {announced.size} was announced: the database is older than the log; "
            "restore the newest copy, or begin a new log with another origin and key"
        )
    [root] = await log_store.hashes_of(tx, [(0, announced.size)])
    if root != announced.root_hash:
        raise TreeCorrupt(f"the first {announced.size} entries give the root {root.hex()}; announced was {announced.root_hash.hex()}")
