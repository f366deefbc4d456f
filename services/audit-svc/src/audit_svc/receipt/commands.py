"""What gives out receipts and entries, to those whom they concern."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from audit_svc.checkpoint import store as checkpoints
from audit_svc.ledger import store as ledger
from audit_svc.log import domain as tree
from audit_svc.log import store as log
from audit_svc.log.errors import NoSuchEntry
from audit_svc.receipt import domain
from audit_svc.receipt.errors import NoSuchReceipt
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.audit import Receipt


async def _may_read(tx: AsyncSession, who: Principal, payload: bytes) -> bool:
    """Say whether an event concerns the caller: it names their organization, or is about a batch of theirs."""
    if who.has("auditor") or who.has("authority"):
        return True
    if who.organization_id is None:
        return False
    organizations, batch_id = domain.concerned(payload)
    if who.organization_id in organizations:
        return True
    batch = await ledger.find_batch(tx, batch_id) if batch_id is not None else None
    return batch is not None and batch.provider_id == who.organization_id


async def get_receipt(tx: AsyncSession, event_id: UUID, *, who: Principal) -> Receipt:
    """Return the proof that an event is in the tree of the newest checkpoint.

    Raises: NoSuchReceipt (404) until a checkpoint covers the event, and for those it does not concern; it asks to try again in a second.
    """
    newest = await checkpoints.find_newest(tx)
    entry = await log.find_entry_of(tx, event_id)
    if newest is None or entry is None or entry.index >= newest.size or not await _may_read(tx, who, entry.payload):
        raise NoSuchReceipt(
            f"there is no receipt for event {event_id} yet; a receipt follows its event within about a second, so try again, "
            "with a token of the provider, the requester, an auditor or the authority",
            retry_after_seconds=1,
        )
    proof = await log.hashes_of(tx, tree.inclusion_ranges(entry.index, newest.size))
    return domain.receipt(
        entry=entry.entry, payload=entry.payload, index=entry.index, tree_size=newest.size, proof=proof, checkpoint=newest.note
    )


async def get_entry(tx: AsyncSession, index: int, *, who: Principal) -> log.Entry:
    """Return the entry at an index that the newest checkpoint covers. Raises: NoSuchEntry (404)."""
    newest = await checkpoints.find_newest(tx)
    entry = await log.find_entry(tx, index) if newest is not None and index < newest.size else None
    if entry is None or not await _may_read(tx, who, entry.payload):
        raise NoSuchEntry(f"there is no entry {index} that a checkpoint covers and that you may read")
    return entry
