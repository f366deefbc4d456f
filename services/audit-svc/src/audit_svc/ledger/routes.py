"""The ledger over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from audit_svc.ledger import domain, store
from audit_svc.ledger.errors import NoSuchBatch
from dxmesh_runtime.auth import Principal, Who
from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])
_READERS = ("auditor", "authority", "operator")


class LedgerOut(BaseModel):
    """Rows by what became of them; balanced when every batch and every delivery adds up.

    vanished: deletions told beside the rows of snapshots; they are nobody's rows, and enter no sum.
    """

    received: int
    accepted: int
    quarantined: int
    rejected: int
    undecided: int
    ordered: int
    delivered: int
    withheld: int
    filtered: int
    vanished: int
    in_flight: int
    balanced: bool
    unbalanced_batches: int


class DeliveryLedgerOut(BaseModel):
    """A batch on its way to one view."""

    view_id: UUID
    topic: str | None
    ordered_count: int | None
    delivered_count: int | None
    withheld_count: int | None
    filtered_count: int | None
    vanished_count: int | None
    in_flight_count: int
    ordered_at: datetime | None
    completed_at: datetime | None


class BatchLedgerOut(BaseModel):
    """What became of a batch; a count is null until it is known."""

    batch_id: UUID
    resource_id: UUID
    provider_id: UUID
    state: str
    received_count: int | None
    accepted_count: int | None
    quarantined_count: int | None
    rejected_count: int | None
    received_at: datetime | None
    decided_at: datetime | None
    deliveries: list[DeliveryLedgerOut]
    balanced: bool


def _sees_all(who: Principal) -> bool:
    return any(who.has(role) for role in _READERS)


@router.get("", responses=problems(Forbidden))
async def get_totals(who: Who, tx: Tx) -> LedgerOut:
    """Return the totals: of the whole node for auditor, authority and operator, of its own batches for a department."""
    totals = await store.get_totals(tx, provider_id=None if _sees_all(who) else who.own_organization)
    return LedgerOut.model_validate(totals, from_attributes=True)


@router.get("/batches/{batch_id}", responses=problems(NoSuchBatch))
async def get_batch(batch_id: UUID, who: Who, tx: Tx) -> BatchLedgerOut:
    """Return what became of a batch and of each of its deliveries."""
    batch = await store.find_batch(tx, batch_id)
    if batch is None or not (_sees_all(who) or batch.provider_id == who.organization_id):
        raise NoSuchBatch(f"the ledger has no batch {batch_id} that you may see; its events arrive within about a second")
    deliveries = await store.list_deliveries(tx, batch_id)
    return BatchLedgerOut(
        batch_id=batch.batch_id,
        resource_id=batch.resource_id,
        provider_id=batch.provider_id,
        state=batch.state,
        received_count=batch.received_count,
        accepted_count=batch.accepted_count,
        quarantined_count=batch.quarantined_count,
        rejected_count=batch.rejected_count,
        received_at=batch.received_at,
        decided_at=batch.decided_at,
        deliveries=[
            DeliveryLedgerOut(
                view_id=delivery.view_id,
                topic=delivery.topic,
                ordered_count=delivery.ordered_count,
                delivered_count=delivery.delivered_count,
                withheld_count=delivery.withheld_count,
                filtered_count=delivery.filtered_count,
                vanished_count=delivery.vanished_count,
                in_flight_count=domain.in_flight(delivery),
                ordered_at=delivery.ordered_at,
                completed_at=delivery.completed_at,
            )
            for delivery in deliveries
        ],
        balanced=domain.is_balanced(batch, deliveries),
    )
