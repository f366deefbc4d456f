"""What exchange-svc keeps of completed deliveries."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_schemas.exchange import DeliveryCompleted
from exchange_svc.delivery import store


async def on_deliveries(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter all waiting deliveries with one statement."""
    await store.record(tx, [cast(DeliveryCompleted, one.event) for one in incoming])


HANDLERS: Handlers = {DeliveryCompleted: Group(on_deliveries)}
