"""What is done to tables: fold accepted batches."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
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

    Raises: RowsMissing, VersionMissing (503).
    Emits: exchange.table.advanced.v1, when the table came further.
    """
    row = await store.lock(tx, resource_id, table_key=f"tables/{resource_id}", now=now)
    waiting = await store.list_waiting(tx, resource_id, after=row.sequence, up_to=up_to)
    if not waiting:
        return row
    versions = await catalog.list_versions(tx, {(resource_id, batch.resource_version) for batch in waiting})
    state: TableState | None = None
    for version, run in groupby(waiting, key=lambda batch: batch.resource_version):
        snapshot = versions.get((resource_id, version))
        if snapshot is None:
            raise VersionMissing(f"version {version} of resource {resource_id} has not arrived yet")
        state = await asyncio.to_thread(_fold, objects, snapshot, list(run))
    assert state is not None, "a batch was waiting"
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


def _fold(objects: ObjectStore, resource: ResourceSnapshot, waiting: Sequence[Batch]) -> TableState:
    inputs = [FoldInput(batch.sequence or 0, BatchKind(batch.kind), batch.accepted_ref.key) for batch in waiting]
    try:
        return table.fold(objects, resource.resource_id, resource.items, resource.key, inputs)
    except NotFound as missing:
        raise RowsMissing(f"{missing.detail}: restore the object") from missing
