"""The replica's tables: resources, each of their versions, code sets, and where each resource's table stands."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_events import CodeSetPublished
from dxmesh_schemas.exchange import TableAdvanced
from quality_svc.catalog.errors import ResourceNotFound
from quality_svc.rows import Base


class Resource(Base):
    """A resource and its version in force."""

    __tablename__ = "resource"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    name: Mapped[str]
    provider_id: Mapped[UUID]
    withdrawn_at: Mapped[datetime | None]


class ResourceVersion(Base):
    """One published version of a resource: a batch is checked against the one it was received under."""

    __tablename__ = "resource_version"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    snapshot: Mapped[dict[str, Any]]


class CodeSet(Base):
    """One version of a code set."""

    __tablename__ = "code_set"
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    codes: Mapped[list[Any]]


class ResourceTable(Base):
    """The newest version of a resource's Delta table that was told of."""

    __tablename__ = "resource_table"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    table_key: Mapped[str]
    table_version: Mapped[int]
    sequence: Mapped[int]
    row_count: Mapped[int]
    advanced_at: Mapped[datetime]


_ENTER_VERSION = insert(ResourceVersion).on_conflict_do_nothing()
_ENTRY = insert(Resource)
_PUT_IN_FORCE = _ENTRY.on_conflict_do_update(
    index_elements=["resource_id"],
    set_={name: _ENTRY.excluded[name] for name in ("version", "name", "provider_id")},
    where=Resource.version < _ENTRY.excluded.version,
)


async def put_resources(tx: AsyncSession, snapshots: Sequence[ResourceSnapshot]) -> None:
    """Enter versions of resources; the version in force never goes back."""
    keys = [{"resource_id": snapshot.resource_id, "version": snapshot.version} for snapshot in snapshots]
    connection = await tx.connection()
    versions = [key | {"snapshot": snapshot.model_dump(mode="json")} for key, snapshot in zip(keys, snapshots, strict=True)]
    await connection.execute(_ENTER_VERSION, versions)
    named = [key | {"name": one.name, "provider_id": one.provider.organization_id} for key, one in zip(keys, snapshots, strict=True)]
    await connection.execute(_PUT_IN_FORCE, named)


async def withdraw_resource(tx: AsyncSession, resource_id: UUID, *, withdrawn_at: datetime) -> None:
    """Mark a resource as withdrawn; its batches under way are checked all the same."""
    await tx.execute(update(Resource).where(Resource.resource_id == resource_id).values(withdrawn_at=withdrawn_at))


async def put_code_set(tx: AsyncSession, event: CodeSetPublished) -> None:
    """Enter a version of a code set."""
    values = {"name": event.name, "version": event.version, "title": event.title, "codes": list(event.codes)}
    await tx.execute(insert(CodeSet).values(**values).on_conflict_do_nothing())


async def put_table(tx: AsyncSession, event: TableAdvanced) -> None:
    """Keep where a resource's table stands; an older version changes nothing."""
    values = {
        "table_key": event.table_key,
        "table_version": event.table_version,
        "sequence": event.sequence,
        "row_count": event.row_count,
        "advanced_at": event.advanced_at,
    }
    entry = insert(ResourceTable).values(resource_id=event.resource_id, **values)
    newer = ResourceTable.table_version < entry.excluded.table_version
    await tx.execute(entry.on_conflict_do_update(index_elements=["resource_id"], set_=values, where=newer))


async def get_in_force(tx: AsyncSession, resource_id: UUID) -> ResourceSnapshot:
    """Return a resource's version in force. Raises ResourceNotFound (404)."""
    query = select(ResourceVersion.snapshot).join(
        Resource, (Resource.resource_id == ResourceVersion.resource_id) & (Resource.version == ResourceVersion.version)
    )
    document = (await tx.scalars(query.where(Resource.resource_id == resource_id))).one_or_none()
    if document is None:
        raise ResourceNotFound(f"resource {resource_id} is not published on this node")
    return ResourceSnapshot.model_validate(document)


async def list_versions(tx: AsyncSession, wanted: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], ResourceSnapshot]:
    """Return the snapshots of (resource_id, version) pairs; a pair that has not arrived is left out."""
    if not wanted:
        return {}
    query = select(ResourceVersion).where(tuple_(ResourceVersion.resource_id, ResourceVersion.version).in_(wanted))
    return {(row.resource_id, row.version): ResourceSnapshot.model_validate(row.snapshot) for row in await tx.scalars(query)}


async def list_names(tx: AsyncSession, resource_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the names of resources; one that was never published is left out."""
    if not resource_ids:
        return {}
    found = await tx.execute(select(Resource.resource_id, Resource.name).where(Resource.resource_id.in_(resource_ids)))
    return {row.resource_id: row.name for row in found}


async def list_tables(tx: AsyncSession, resource_ids: Collection[UUID]) -> dict[UUID, ResourceTable]:
    """Return where the tables of resources stand; one without a table is left out."""
    if not resource_ids:
        return {}
    found = await tx.scalars(select(ResourceTable).where(ResourceTable.resource_id.in_(resource_ids)))
    return {row.resource_id: row for row in found}


async def list_code_set_versions(tx: AsyncSession, names: Collection[str]) -> set[tuple[str, int]]:
    """Return every version there is of these code sets."""
    if not names:
        return set()
    found = await tx.execute(select(CodeSet.name, CodeSet.version).where(CodeSet.name.in_(names)))
    return {(name, version) for name, version in found}


async def get_codes(tx: AsyncSession, name: str, version: int) -> list[str]:
    """Return the codes of a version that is there."""
    return list((await tx.scalars(select(CodeSet.codes).where(CodeSet.name == name, CodeSet.version == version))).one())


async def count_resources(tx: AsyncSession) -> int:
    """Return how many resources are published and not withdrawn."""
    return (await tx.scalars(select(func.count()).select_from(Resource).where(Resource.withdrawn_at.is_(None)))).one()
