"""The use cases that change datasets: follow a resource, and remove the files of versions kept no longer."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.open_data import DatasetPublished, DatasetRefreshed, DatasetRetired
from dxmesh_tabular.store import ObjectStore
from open_data_svc.catalog import store as catalog
from open_data_svc.dataset import domain, files, store
from open_data_svc.dataset.domain import Made, Opening, State
from open_data_svc.negative import domain as negative_rules
from open_data_svc.negative import store as negative

log = structlog.get_logger(__name__)
_GRACE = timedelta(minutes=10)  # a download of a version kept no longer may still be under way


async def follow(tx: AsyncSession, objects: ObjectStore, resource_id: UUID, *, keep_versions: int, now: datetime) -> store.Dataset | None:
    """Bring a resource's dataset in line with the resource and its table: open it, give it a new version, or retire it.

    Doing it again changes nothing. What is opened is decided anew each time, so an item closed since, by the resource or by its
    department's negative list, is gone from the new version, and earlier versions that show it are withheld.
    Emits: open.dataset.published.v1, .refreshed.v1 or .retired.v1, in the same transaction.
    """
    resource = await catalog.lock(tx, resource_id)
    snapshot = resource.read() if resource else None
    if resource is None or snapshot is None:
        return None
    dataset = await store.find_of_resource(tx, resource_id)
    bans = negative_rules.bans(await negative.list_in_force(tx, snapshot.provider.organization_id), snapshot)
    opening = domain.opening(snapshot, withdrawn_reason=resource.withdrawn_reason if resource.withdrawn_at else None, bans=bans)
    if not opening.items:
        return await _retire(tx, dataset, opening.closed_reason, now=now) if dataset else None
    if resource.table_key is None or resource.table_version is None or resource.sequence is None:
        return None
    latest = await store.find_latest(tx, dataset.dataset_id) if dataset else None
    made = Made(latest.table_version, tuple(latest.items)) if latest else None
    codes = tuple(item.code for item in opening.items)
    due = domain.needs_version(made, table_version=resource.table_version, items=codes)
    reopened = dataset is not None and not dataset.is_open
    if dataset is None:
        dataset = _new(snapshot, await store.free_name(tx, resource_id, snapshot.resource_code, snapshot.name), now=now)
        tx.add(dataset)
    _describe(dataset, snapshot, opening)
    dataset.state, dataset.retired_at, dataset.retired_reason = State.OPEN.value, None, None
    if due or latest is None:
        latest = await _add_version(tx, objects, dataset, resource, snapshot, opening, now=now)
        await store.retire_versions(tx, dataset.dataset_id, keep=keep_versions, now=now)
    elif not reopened:
        return dataset
    kind = DatasetPublished if latest.version == 1 and not reopened else DatasetRefreshed
    event = kind(
        dataset_id=dataset.dataset_id,
        resource_id=resource_id,
        name=dataset.name,
        version=latest.version,
        table_version=latest.table_version,
        sequence=latest.sequence,
        row_count=latest.row_count,
        items=tuple(latest.items),
        published_at=latest.published_at,
    )
    await outbox.add(tx, event, now=now)
    log.info("dataset.opened", dataset=dataset.name, version=latest.version, rows=latest.row_count)
    return dataset


async def remove_old_files(tx: AsyncSession, objects: ObjectStore, *, now: datetime, limit: int = 30) -> int:
    """Remove the files of versions that ceased to be kept a while ago; return how many."""
    rows = await store.list_removed(tx, before=now - _GRACE, limit=limit)
    for row in rows:
        await asyncio.to_thread(objects.delete, row.object_key)
        await tx.delete(row)
    return len(rows)


async def _retire(tx: AsyncSession, dataset: store.Dataset, reason: str, *, now: datetime) -> store.Dataset:
    if not dataset.is_open:
        return dataset
    dataset.state, dataset.retired_at, dataset.retired_reason = State.RETIRED.value, now, reason
    event = DatasetRetired(dataset_id=dataset.dataset_id, resource_id=dataset.resource_id, name=dataset.name, reason=reason, retired_at=now)
    await outbox.add(tx, event, now=now)
    log.info("dataset.retired", dataset=dataset.name)
    return dataset


def _new(snapshot: ResourceSnapshot, name: str, *, now: datetime) -> store.Dataset:
    return store.Dataset(
        dataset_id=domain.dataset_id(snapshot.resource_id),
        resource_id=snapshot.resource_id,
        name=name,
        version=0,
        row_count=0,
        first_published_at=now,
        refreshed_at=now,
    )


def _describe(dataset: store.Dataset, snapshot: ResourceSnapshot, opening: Opening) -> None:
    dataset.title = snapshot.name
    dataset.summary = snapshot.summary
    dataset.publisher_id = snapshot.provider.organization_id
    dataset.publisher = snapshot.provider.name
    dataset.publisher_code = snapshot.provider.uscc
    dataset.theme = snapshot.open_theme
    dataset.update_cycle = snapshot.update_cycle.value
    dataset.items = [
        {"code": item.code, "name": item.name, "data_type": item.data_type.value, "description": item.description} for item in opening.items
    ]
    dataset.item_count = len(opening.items)
    words = [snapshot.name, dataset.name, snapshot.summary, snapshot.provider.name, snapshot.open_theme or "", snapshot.resource_code]
    dataset.search_text = "\n".join([*words, *(f"{item.name} {item.code}" for item in opening.items)])


async def _add_version(
    tx: AsyncSession,
    objects: ObjectStore,
    dataset: store.Dataset,
    resource: catalog.Resource,
    snapshot: ResourceSnapshot,
    opening: Opening,
    *,
    now: datetime,
) -> store.DatasetVersion:
    assert resource.table_key is not None
    assert resource.table_version is not None
    assert resource.sequence is not None
    version = dataset.version + 1
    made = await asyncio.to_thread(
        files.make,
        objects,
        table_key=resource.table_key,
        table_version=resource.table_version,
        items=opening.items,
        order=domain.sort_key(snapshot, opening.items),
        folder=f"datasets/{dataset.name}/v{version}",
    )
    dataset.version, dataset.row_count, dataset.refreshed_at = version, made.row_count, now
    await tx.flush()
    await store.add_distributions(tx, dataset.dataset_id)
    row = store.DatasetVersion(
        dataset_id=dataset.dataset_id,
        version=version,
        resource_version=snapshot.version,
        table_version=resource.table_version,
        sequence=resource.sequence,
        items=[item.code for item in opening.items],
        row_count=made.row_count,
        published_at=now,
    )
    tx.add(row)
    for file in made.files:
        tx.add(
            store.DatasetFile(
                dataset_id=dataset.dataset_id,
                version=version,
                format=file.format.value,
                object_key=file.object_key,
                sha256=file.sha256,
                byte_count=file.byte_count,
            )
        )
    await tx.flush()
    return row
