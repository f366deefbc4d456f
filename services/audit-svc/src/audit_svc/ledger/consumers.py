"""The ledger is fed by the events of batches, dispatches and deliveries, which may arrive in any order."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from audit_svc.ledger import store
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_schemas.exchange import BatchAccepted, BatchEvent, BatchReceived, BatchRejected, DeliveryCompleted, DispatchOrdered


def _named(event: BatchEvent, state: str) -> dict[str, object]:
    return {
        "batch_id": event.batch_id,
        "resource_id": event.resource_id,
        "provider_id": event.provider.organization_id,
        "provider_name": event.provider.name,
        "state": state,
    }


async def on_received(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter batches that came in; a decision that was seen earlier stays."""
    events = [item.event for item in incoming if isinstance(item.event, BatchReceived)]
    rows = [_named(event, "received") | {"received_count": event.received_count, "received_at": event.received_at} for event in events]
    await store.merge_batches(tx, rows, weak=["state"])


async def on_accepted(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter what was accepted, and that it is to go to the views named."""
    events = [item.event for item in incoming if isinstance(item.event, BatchAccepted)]
    rows = [
        _named(event, "accepted")
        | {
            "received_count": event.received_count,
            "accepted_count": event.accepted_count,
            "quarantined_count": event.quarantined_count,
            "decided_at": event.accepted_at,
        }
        for event in events
    ]
    await store.merge_batches(tx, rows, weak=["received_count"])
    ordered = [
        {"batch_id": event.batch_id, "view_id": view_id, "ordered_count": event.accepted_count, "ordered_at": event.accepted_at}
        for event in events
        for view_id in event.view_ids
    ]
    await store.merge_deliveries(tx, ordered, weak=["ordered_at"])


async def on_rejected(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter batches that were refused whole."""
    events = [item.event for item in incoming if isinstance(item.event, BatchRejected)]
    rows = [
        _named(event, "rejected")
        | {"received_count": event.received_count, "rejected_count": event.rejected_count, "decided_at": event.rejected_at}
        for event in events
    ]
    await store.merge_batches(tx, rows, weak=["received_count"])


async def on_ordered(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter what is to be delivered."""
    events = [item.event for item in incoming if isinstance(item.event, DispatchOrdered)]
    rows = [
        {
            "batch_id": event.batch_id,
            "view_id": view.view_id,
            "topic": view.topic,
            "ordered_count": event.rows.row_count,
            "ordered_at": event.ordered_at,
        }
        for event in events
        for view in event.views
    ]
    await store.merge_deliveries(tx, rows)


async def on_delivered(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter what was delivered; an order that was not seen yet is taken from the delivery itself."""
    events = [item.event for item in incoming if isinstance(item.event, DeliveryCompleted)]
    rows = [
        {
            "batch_id": event.batch_id,
            "view_id": event.view_id,
            "topic": event.topic,
            "ordered_count": event.accepted_count,
            "delivered_count": event.delivered_count,
            "withheld_count": event.withheld_count,
            "filtered_count": event.filtered_count,
            "vanished_count": event.vanished_count,
            "completed_at": event.completed_at,
        }
        for event in events
    ]
    await store.merge_deliveries(tx, rows, weak=["ordered_count"])


HANDLERS: Handlers = {
    BatchReceived: Group(on_received),
    BatchAccepted: Group(on_accepted),
    BatchRejected: Group(on_rejected),
    DispatchOrdered: Group(on_ordered),
    DeliveryCompleted: Group(on_delivered),
}
