"""What catalog-svc hears of exchange-svc: which resources batches were accepted for, and whose rows reached a reader or were called for."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.mount import commands
from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_schemas.exchange import BatchAccepted, DeliveryCompleted
from dxmesh_schemas.exchange_usage import ApiUsed


async def on_accepted(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the newest accepted batch of each resource."""
    with telemetry.continued_each(item.meta for item in incoming):
        await commands.note_batches(tx, [item.event for item in incoming if isinstance(item.event, BatchAccepted)])


async def on_delivered(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the newest delivery of each resource."""
    with telemetry.continued_each(item.meta for item in incoming):
        await commands.note_deliveries(tx, [item.event for item in incoming if isinstance(item.event, DeliveryCompleted)])


async def on_used(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the newest answered call of each resource's APIs."""
    await commands.note_calls(tx, [item.event for item in incoming if isinstance(item.event, ApiUsed)])


HANDLERS: Handlers = {BatchAccepted: Group(on_accepted), DeliveryCompleted: Group(on_delivered), ApiUsed: Group(on_used)}
