"""What exchange-svc keeps of completed deliveries, and the topics of views that are opened."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import DeliveryCompleted, GrantActivated, GrantChangeAnnounced
from exchange_svc.delivery import clients, store
from exchange_svc.delivery.settings import DeliverySettings
from exchange_svc.request import store as requests


async def on_deliveries(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Enter all waiting deliveries with one statement, and note for which requests they are the first data."""
    events = [cast(DeliveryCompleted, one.event) for one in incoming]
    await store.record(tx, events)
    first: dict[UUID, datetime] = {}
    for event in events:
        if event.delivered_count:
            first[event.view_id] = min(event.completed_at, first.get(event.view_id, event.completed_at))
    await requests.note_first_data(tx, first)


def handlers(kafka: KafkaSettings, tuning: DeliverySettings) -> Handlers:
    """Return the handlers that need the broker: a grant's topic, also of a coming version, is there before the first row."""

    async def on_view_told(_: AsyncSession, event: GrantActivated | GrantChangeAnnounced, __: Meta) -> None:
        if event.view is not None:
            await clients.ensure_view_topics(kafka, [event.view.topic], tuning)

    return {**HANDLERS, GrantActivated: on_view_told, GrantChangeAnnounced: on_view_told}


HANDLERS: Handlers = {DeliveryCompleted: Group(on_deliveries)}
