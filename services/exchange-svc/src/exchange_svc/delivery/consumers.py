"""What exchange-svc keeps of completed deliveries, and the topics of views that are opened."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import DeliveryCompleted, GrantActivated
from exchange_svc.delivery import clients, store
from exchange_svc.delivery.settings import DeliverySettings


async def on_deliveries(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter all waiting deliveries with one statement."""
    await store.record(tx, [cast(DeliveryCompleted, one.event) for one in incoming])


def handlers(kafka: KafkaSettings, tuning: DeliverySettings) -> Handlers:
    """Return the handlers that need the broker: a grant's topic is there as soon as the grant is, before the first row."""

    async def on_grant_activated(_: AsyncSession, event: GrantActivated, __: Meta) -> None:
        await clients.ensure_view_topics(kafka, [event.view.topic], tuning)

    return {**HANDLERS, GrantActivated: on_grant_activated}


HANDLERS: Handlers = {DeliveryCompleted: Group(on_deliveries)}
