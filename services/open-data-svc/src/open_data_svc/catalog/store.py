"""The replica's table: a row per resource, filled from two topics in either order."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import TableAdvanced
from open_data_svc.rows import Base


class Resource(Base):
    """A resource: its version in force and its table's newest version, either of which may arrive first.

    Its row is the lock under which the resource's dataset changes.
    """

    __tablename__ = "resource"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int | None]
    snapshot: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str | None]
    table_key: Mapped[str | None]
    table_version: Mapped[int | None]
    sequence: Mapped[int | None]
    advanced_at: Mapped[datetime | None]

    def read(self) -> ResourceSnapshot | None:
        """Return the version in force, if it has arrived."""
        return None if self.snapshot is None else ResourceSnapshot.model_validate(self.snapshot)


async def _put(tx: AsyncSession, resource_id: UUID, values: dict[str, Any], *, newer_than: str | None = None) -> None:
    """Enter or change a row; two writers of a new row wait for each other here, so neither misses what the other brought."""
    entry = insert(Resource).values(resource_id=resource_id, **values)
    condition = None
    if newer_than is not None:
        column = getattr(Resource, newer_than)
        condition = or_(column.is_(None), column < getattr(entry.excluded, newer_than))
    await tx.execute(entry.on_conflict_do_update(index_elements=["resource_id"], set_=values, where=condition))


_ENTRY = insert(Resource)
_PUT_IN_FORCE = _ENTRY.on_conflict_do_update(
    index_elements=["resource_id"],
    set_={name: _ENTRY.excluded[name] for name in ("version", "snapshot")},
    where=or_(Resource.version.is_(None), Resource.version < _ENTRY.excluded.version),
)


async def put_resources(tx: AsyncSession, snapshots: Sequence[ResourceSnapshot]) -> None:
    """Put versions of resources in force; older ones change nothing."""
    # in the order of ids, as tables are followed: two groups never wait for each other
    ordered = sorted(snapshots, key=lambda one: one.resource_id)
    rows = [{"resource_id": one.resource_id, "version": one.version, "snapshot": one.model_dump(mode="json")} for one in ordered]
    await (await tx.connection()).execute(_PUT_IN_FORCE, rows)


async def with_table(tx: AsyncSession, resource_ids: Collection[UUID]) -> Sequence[UUID]:
    """Return those of these resources that have a table."""
    query = select(Resource.resource_id).where(Resource.resource_id.in_(resource_ids), Resource.table_key.is_not(None))
    return (await tx.scalars(query.order_by(Resource.resource_id))).all()


async def list_of_providers(tx: AsyncSession, provider_ids: Collection[UUID]) -> Sequence[ResourceSnapshot]:
    """Return the versions in force of these departments' resources that have a table, by resource id."""
    provider = Resource.snapshot["provider"]["organization_id"].astext
    query = select(Resource.snapshot).where(provider.in_([str(one) for one in provider_ids]), Resource.table_key.is_not(None))
    return [ResourceSnapshot.model_validate(snapshot) for snapshot in await tx.scalars(query.order_by(Resource.resource_id))]


async def withdraw_resource(tx: AsyncSession, resource_id: UUID, *, reason: str, withdrawn_at: datetime) -> None:
    """Mark a resource as withdrawn."""
    await _put(tx, resource_id, {"withdrawn_at": withdrawn_at, "withdrawn_reason": reason})


async def put_table(tx: AsyncSession, event: TableAdvanced) -> None:
    """Keep the newest version of a resource's table; an older one changes nothing."""
    values = {
        "table_key": event.table_key,
        "table_version": event.table_version,
        "sequence": event.sequence,
        "advanced_at": event.advanced_at,
    }
    await _put(tx, event.resource_id, values, newer_than="table_version")


async def lock(tx: AsyncSession, resource_id: UUID) -> Resource | None:
    """Return a resource with its row held until the transaction ends."""
    return (await tx.scalars(locked(select(Resource).where(Resource.resource_id == resource_id)))).one_or_none()


async def count_known(tx: AsyncSession) -> int:
    """Count the resources in force on this node."""
    query = select(func.count()).select_from(Resource).where(Resource.snapshot.is_not(None), Resource.withdrawn_at.is_(None))
    return (await tx.scalars(query)).one()
