"""What is done to tables: fold accepted batches."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind, TableAdvanced
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular import table
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import FoldInput, TableState
from exchange_svc.batch.store import Batch
from exchange_svc.catalog import store as catalog
from exchange_svc.table import store
from exchange_svc.table.errors import RowsMissing, VersionMissing


async def fold(tx: AsyncSession, objects: ObjectStore, resource_id: UUID, *, up_to: int, now: datetime) -> store.ResourceTable:
    """Fold a resource's accepted batches into its table, in order, up to a sequence; what the table has already stays as it is.

    The batches are taken from the batch table, so none is left out when an event is late or lost. The Delta commit carries the
    sequence as its application transaction: if this transaction fails after it, the next attempt finds the work done.

    Raises: RowsMissing, VersionMissing (503); Conflict (409) when an item's type changed and no snapshot followed.
    Emits: exchange.table.advanced.v1, when the table came further.
    """
    row = await store.lock(tx, resource_id, table_key=table.table_key(resource_id), now=now)
    waiting = await store.list_waiting(tx, resource_id, after=row.sequence, up_to=up_to)
    if not waiting:
        return row
    versions = await catalog.list_versions(tx, {(resource_id, batch.resource_version) for batch in waiting})
    for batch in waiting:
        if (resource_id, batch.resource_version) not in versions:
            raise VersionMissing(f"version {batch.resource_version} of resource {resource_id} has not arrived yet")
    snapshots = [versions[place] for place in sorted(versions)]
    state = await asyncio.to_thread(_fold, objects, snapshots, waiting)
    row.version, row.sequence, row.row_count, row.advanced_at = state.version, state.sequence, state.row_count, now
    event = TableAdvanced(
        resource_id=resource_id,
        resource_version=waiting[-1].resource_version,
        table_key=row.table_key,
        table_version=row.version,
        sequence=row.sequence,
        row_count=row.row_count,
        advanced_at=now,
    )
    await outbox.add(tx, event, now=now)
    return row


def _fold(objects: ObjectStore, versions: Sequence[ResourceSnapshot], waiting: Sequence[Batch]) -> TableState:
    """Fold batches; versions: those they were received under, oldest first: an item that left the resource keeps its values."""
    items = {item.code: item for version in versions for item in version.items}
    inputs = [FoldInput(batch.sequence or 0, BatchKind(batch.kind), batch.accepted_ref.key) for batch in waiting]
    try:
        return table.fold(objects, versions[-1].resource_id, list(items.values()), versions[-1].key, inputs)
    except NotFound as missing:
        raise RowsMissing(f"{missing.detail}: restore the object") from missing
