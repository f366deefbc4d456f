"""What moves tables on: accepted batches."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchAccepted
from dxmesh_tabular.store import ObjectStore
from exchange_svc.table import commands


def handlers(objects: ObjectStore) -> Handlers:
    """Return the handlers of the consumer "exchange-table": it folds all waiting batches of a resource at once."""

    async def on_accepted(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
        """Bring each resource's table to the newest of its waiting batches."""
        newest: dict[UUID, tuple[BatchAccepted, Meta]] = {}
        for one in incoming:
            event = cast(BatchAccepted, one.event)
            newest[event.resource_id] = event, one.meta
        for resource_id, (event, meta) in sorted(newest.items()):
            with telemetry.continued(meta, name="fold"):
                await commands.fold(tx, objects, resource_id, up_to=event.sequence, now=utc_now())

    return {BatchAccepted: Group(on_accepted)}
