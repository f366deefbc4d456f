"""What is done to tables: fold accepted batches, join their small files, rebuild a damaged one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind, TableAdvanced
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular import table, table_upkeep
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import FoldInput, TableState
from dxmesh_tabular.table_upkeep import Joined
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.batch.store import Batch
from exchange_svc.catalog import store as catalog
from exchange_svc.table import domain, store
from exchange_svc.table.errors import TableDamaged, TableNotBegun, VersionMissing

_EVERY = 1 << 62  # a sequence above every batch


async def fold(tx: AsyncSession, objects: ObjectStore, resource_id: UUID, *, up_to: int, now: datetime) -> store.ResourceTable:
    """Fold a resource's accepted batches into its table, in order, up to a sequence; what the table has already stays as it is.

    The batches are taken from the batch table, so none is left out when an event is late or lost. The Delta commit carries the
    sequence as its application transaction: if this transaction fails after it, the next attempt finds the work done.

    Raises: RowsMissing, VersionMissing, TableDamaged (503); Conflict (409) when an item's type changed and no snapshot followed.
    Emits: exchange.table.advanced.v1, when the table came further.
    """
    row = await store.lock(tx, resource_id, table_key=table.table_key(resource_id), now=now)
    waiting = await store.list_waiting(tx, resource_id, after=row.sequence, up_to=up_to)
    if not waiting:
        return row
    versions = await _versions(tx, resource_id, waiting)
    state = await asyncio.to_thread(_fold, objects, row.table_key, row.sequence, versions, waiting)
    return await _advance(tx, row, state, waiting[-1].resource_version, now=now)


async def rebuild(tx: AsyncSession, objects: ObjectStore, resource_id: UUID, *, now: datetime) -> store.ResourceTable:
    """Make a resource's table anew from its accepted batches, in a folder of its own, and put it in the damaged one's place.

    What the batches say decides, nothing is read of the old table; its folder stays for those who still read a version of it, until
    upkeep removes it. The new table's versions go on from the old one's numbers, so a cursor of the old one is answered as gone.
    Folds of the resource wait meanwhile.
    Raises: TableNotBegun (404); RowsMissing, VersionMissing (503).
    Emits: exchange.table.advanced.v1, with the new folder.
    """
    if await store.find(tx, resource_id) is None:
        raise TableNotBegun(f"resource {resource_id} has no table: no batch of it was folded yet")
    row = await store.lock(tx, resource_id, table_key=table.table_key(resource_id), now=now)
    batches = await store.list_waiting(tx, resource_id, after=0, up_to=_EVERY)
    versions = await _versions(tx, resource_id, batches)
    folder = table.table_key(resource_id, domain.times_rebuilt(row.table_key) + 1)
    state = await asyncio.to_thread(_rebuild, objects, folder, versions, batches, row.version + 1)
    row.table_key = folder
    row.tended_version, row.tended_at = state.version, now
    return await _advance(tx, row, state, batches[-1].resource_version, now=now)


async def put_joined(tx: AsyncSession, objects: ObjectStore, resource_id: UUID, table_key: str, joined: Joined, *, now: datetime) -> None:
    """Put joined files in the place of small ones, if the table is where it was; nobody is told, as its rows are the same.

    Raises: Conflict (409) when a fold replaced one of the small files meanwhile.
    """
    row = await store.lock(tx, resource_id, table_key=table_key, now=now)
    if row.table_key == table_key:
        row.version = await asyncio.to_thread(table_upkeep.put_joined, objects, table_key, joined)


async def _versions(tx: AsyncSession, resource_id: UUID, batches: Sequence[Batch]) -> dict[int, ResourceSnapshot]:
    found = await catalog.list_versions(tx, {(resource_id, batch.resource_version) for batch in batches})
    versions = {version: snapshot for (_, version), snapshot in found.items()}
    for batch in batches:
        if batch.resource_version not in versions:
            raise VersionMissing(f"version {batch.resource_version} of resource {resource_id} has not arrived yet")
    return versions


async def _advance(
    tx: AsyncSession, row: store.ResourceTable, state: TableState, resource_version: int, *, now: datetime
) -> store.ResourceTable:
    row.version, row.sequence, row.row_count, row.advanced_at = state.version, state.sequence, state.row_count, now
    row.told_version = state.version
    event = TableAdvanced(
        resource_id=row.resource_id,
        resource_version=resource_version,
        table_key=row.table_key,
        table_version=row.version,
        sequence=row.sequence,
        row_count=row.row_count,
        advanced_at=now,
    )
    await outbox.add(tx, event, now=now)
    return row


def _fold(objects: ObjectStore, folder: str, held: int, versions: Mapping[int, ResourceSnapshot], batches: Sequence[Batch]) -> TableState:
    """Fold batches, each by the version it was received under, whatever the groups they come in; held: the sequence the table has."""
    begin = max((place for place, batch in enumerate(batches) if batch.kind == BatchKind.SNAPSHOT), default=0)
    try:
        for number, group in groupby(batches[begin:], lambda batch: batch.resource_version):
            version = versions[number]
            inputs = [FoldInput(batch.sequence or 0, BatchKind(batch.kind), batch.accepted_ref.key) for batch in group]
            state = table.fold(objects, version.resource_id, version.items, version.key, inputs, folder=folder, held=held)
            held = state.sequence
    except NotFound as missing:
        raise RowsMissing(f"{missing.detail}: restore the object") from missing
    except table.TableDamaged as damaged:
        raise TableDamaged(f"{damaged}; {domain.remedy(folder)}") from damaged
    return state


def _rebuild(
    objects: ObjectStore, folder: str, versions: Mapping[int, ResourceSnapshot], batches: Sequence[Batch], version: int
) -> TableState:
    for one in list(objects.list_objects(folder)):  # what an attempt that was cut short left
        objects.delete(one.key)
    state = _fold(objects, folder, 0, versions, batches)
    return replace(state, version=table_upkeep.go_on_from(objects, folder, version))
