"""Mounts, what happened to them, and the arrival of batches in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    Text,
    Uuid,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.mount.domain import MountKind, MountState
from catalog_svc.organization.store import Organization
from catalog_svc.resource.store import WITHOUT_ENTRIES, Resource
from catalog_svc.rows import Base
from dxmesh_clocks.cycles import ALLOWED
from dxmesh_runtime.db import locked


class Mount(Base):
    """How a resource's data are reached."""

    __tablename__ = "mount"
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    mounted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    mounted_by: Mapped[str] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    confirmed_by: Mapped[str | None] = mapped_column(Text)


class MountStep(Base):
    """What happened to a resource's mount: when, by whom and why."""

    __tablename__ = "mount_step"
    __table_args__ = (Index("ix_mount_step_resource_id", "resource_id", "at"),)
    step_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    step: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Arrival(Base):
    """The first and the newest accepted batch of a resource, as exchange-svc told; refers to no other table, as it comes from outside."""

    __tablename__ = "resource_arrival"
    resource_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    first_accepted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accepted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    batch_id: Mapped[UUID] = mapped_column(Uuid)
    batch_count: Mapped[int] = mapped_column(Integer)
    row_count: Mapped[int | None] = mapped_column(Integer)  # accepted rows of the newest batch; null: told before rows were kept


class Staleness(Base):
    """From which newest data a resource was told to be stale: newer ones may be told to be so anew."""

    __tablename__ = "resource_staleness"
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"), primary_key=True)
    newest_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    told_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Outflow(Base):
    """When a resource last reached or answered a reader, as exchange-svc told; refers to no other table, as it comes from outside."""

    __tablename__ = "resource_outflow"
    resource_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    delivered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


Entry = Row[Resource, Organization, Mount | None, Arrival | None]
"""A resource in force with its provider, its mount and its batches."""
IN_FORCE = and_(Resource.version > 0, Resource.withdrawn_at.is_(None))
_SUPPLIED = or_(
    and_(Mount.kind == MountKind.REPLICA.value, Arrival.resource_id.is_not(None)),
    and_(Mount.kind == MountKind.PROXY.value, Mount.confirmed_at.is_not(None)),
)


def _entries() -> Select[Resource, Organization, Mount | None, Arrival | None]:
    query = select(Resource, Organization, Mount, Arrival).options(*WITHOUT_ENTRIES)
    query = query.join(Organization, Organization.organization_id == Resource.organization_id)
    return query.outerjoin(Mount, Mount.resource_id == Resource.resource_id).outerjoin(Arrival, Arrival.resource_id == Resource.resource_id)


async def entry(tx: AsyncSession, resource_id: UUID) -> Entry:
    """Return a resource that exists with its mount."""
    return (await tx.execute(_entries().where(Resource.resource_id == resource_id))).one()


async def find(tx: AsyncSession, resource_id: UUID) -> Mount | None:
    """Return a resource's mount, read anew."""
    return await tx.get(Mount, resource_id, populate_existing=True)


async def list_steps(tx: AsyncSession, resource_id: UUID) -> Sequence[MountStep]:
    """Return what happened to a resource's mount, oldest first."""
    query = select(MountStep).where(MountStep.resource_id == resource_id)
    return (await tx.scalars(query.order_by(MountStep.at, MountStep.step_id))).all()


async def step_count(tx: AsyncSession, resource_id: UUID) -> int:
    """Return how often a resource's mount was changed; steps are only ever added."""
    return await tx.scalar(select(func.count()).where(MountStep.resource_id == resource_id)) or 0


def _in_state(state: MountState) -> ColumnElement[bool]:
    if state is MountState.UNMOUNTED:
        return Mount.resource_id.is_(None)
    return _SUPPLIED if state is MountState.SUPPLIED else and_(Mount.resource_id.is_not(None), _SUPPLIED.is_not(True))


async def list_page(
    tx: AsyncSession, *, of: UUID | None, kind: MountKind | None, state: MountState | None, after: UUID | None, limit: int
) -> Sequence[Entry]:
    """Return up to limit + 1 resources in force, as they were entered."""
    query = _entries().where(IN_FORCE).order_by(Resource.resource_id).limit(limit + 1)
    if of is not None:
        query = query.where(Resource.organization_id == of)
    if kind is not None:
        query = query.where(Mount.kind == kind.value)
    if state is not None:
        query = query.where(_in_state(state))
    if after is not None:
        query = query.where(Resource.resource_id > after)
    return (await tx.execute(query)).all()


async def rates(tx: AsyncSession, *, of: UUID | None) -> Sequence[Row[UUID, str, int, int, int, int]]:
    """Return organization, its name, resources in force, mounted ones, supplied ones, those supplied as replica; by name."""
    published, mounted = func.count(Resource.resource_id), func.count(Mount.resource_id)
    supplied = func.count().filter(_SUPPLIED)
    replicas = func.count().filter(_SUPPLIED, Mount.kind == MountKind.REPLICA.value)
    query = select(Organization.organization_id, Organization.name, published, mounted, supplied, replicas).select_from(Resource)
    query = query.join(Organization, Organization.organization_id == Resource.organization_id)
    query = query.outerjoin(Mount, Mount.resource_id == Resource.resource_id)
    query = query.outerjoin(Arrival, Arrival.resource_id == Resource.resource_id).where(IN_FORCE)
    if of is not None:
        query = query.where(Resource.organization_id == of)
    query = query.group_by(Organization.organization_id, Organization.name)
    return (await tx.execute(query.order_by(Organization.name, Organization.organization_id))).all()


_NEWEST = func.coalesce(Arrival.accepted_at, Resource.published_at)
_FRESH_THROUGH = cast(
    cast(func.timezone("Asia/Shanghai", _NEWEST), Date)
    + case({cycle.value: func.make_interval(0, months, 0, days) for cycle, (months, days) in ALLOWED.items()}, value=Resource.update_cycle),
    Date,
)


Stale = Row[Resource, Organization, Arrival | None, datetime, date, str | None]
"""A stale resource with its provider, its batches, the time of its newest data, the last day those were current, and its steward."""


async def list_stale(
    tx: AsyncSession,
    *,
    of: UUID | None,
    today: date,
    after: tuple[datetime, UUID] | None,
    limit: int | None,
    untold: bool = False,
) -> Sequence[Stale]:
    """Return up to limit + 1 (or all) resources in force whose newest data are older than their cycle allows, the oldest first.

    What is reached by proxy is current as long as the interface answers, and left out. With `untold` only those are returned that
    nobody was told of since their newest data came.
    """
    query = select(Resource, Organization, Arrival, _NEWEST, _FRESH_THROUGH, Resource.definition["steward"].astext)
    query = query.options(*WITHOUT_ENTRIES)
    query = query.join(Organization, Organization.organization_id == Resource.organization_id)
    query = query.outerjoin(Mount, Mount.resource_id == Resource.resource_id)
    query = query.outerjoin(Arrival, Arrival.resource_id == Resource.resource_id)
    by_proxy = and_(Mount.kind == MountKind.PROXY.value, Arrival.resource_id.is_(None))
    query = query.where(IN_FORCE, Resource.update_cycle.in_([cycle.value for cycle in ALLOWED]), by_proxy.is_not(True))
    query = query.where(today > _FRESH_THROUGH).order_by(_NEWEST, Resource.resource_id)
    if limit is not None:
        query = query.limit(limit + 1)
    if untold:
        query = query.where(~exists().where(Staleness.resource_id == Resource.resource_id, Staleness.newest_at == _NEWEST))
    if of is not None:
        query = query.where(Resource.organization_id == of)
    if after is not None:
        query = query.where(tuple_(_NEWEST, Resource.resource_id) > after)
    return (await tx.execute(query)).all()


async def note_told(tx: AsyncSession, found: Sequence[Stale], *, now: datetime) -> set[UUID]:
    """Enter that these are told to be stale; return those that no other teller entered meanwhile."""
    rows = sorted(
        ({"resource_id": row[0].resource_id, "newest_at": row[3], "told_at": now} for row in found), key=itemgetter("resource_id")
    )
    statement = insert(Staleness).values(rows)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["resource_id"],
        set_={"newest_at": new.newest_at, "told_at": new.told_at},
        where=Staleness.newest_at != new.newest_at,
    )
    return set(await tx.scalars(statement.returning(Staleness.resource_id)))


async def note_arrivals(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Enter accepted batches, one row a resource; what arrives late or again changes nothing that is newer."""
    statement = insert(Arrival).values(sorted(rows, key=lambda row: row["resource_id"]))
    new = statement.excluded
    newer = new.accepted_at > Arrival.accepted_at
    statement = statement.on_conflict_do_update(
        index_elements=["resource_id"],
        set_={
            "first_accepted_at": func.least(Arrival.first_accepted_at, new.first_accepted_at),
            "accepted_at": func.greatest(Arrival.accepted_at, new.accepted_at),
            "batch_id": case((newer, new.batch_id), else_=Arrival.batch_id),
            "row_count": case((newer, new.row_count), else_=Arrival.row_count),
            "batch_count": func.greatest(Arrival.batch_count, new.batch_count),
        },
    )
    await tx.execute(statement)


async def note_outflows(tx: AsyncSession, newest: Mapping[UUID, datetime]) -> None:
    """Enter when something of resources last went out; what comes late changes nothing that is newer."""
    rows = [{"resource_id": key, "delivered_at": at} for key, at in sorted(newest.items())]
    statement = insert(Outflow).values(rows)
    later = {"delivered_at": func.greatest(Outflow.delivered_at, statement.excluded.delivered_at)}
    await tx.execute(statement.on_conflict_do_update(index_elements=["resource_id"], set_=later))


async def unmounted(tx: AsyncSession, ids: Collection[UUID]) -> Sequence[UUID]:
    """Return those of these resources that exist and have no mount, locked, so that one mount is made."""
    query = select(Resource.resource_id).outerjoin(Mount, Mount.resource_id == Resource.resource_id)
    query = query.where(Resource.resource_id.in_(ids), Mount.resource_id.is_(None)).order_by(Resource.resource_id)
    return (await tx.scalars(locked(query, of=Resource, key_share=True))).all()


async def add_if_absent(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> Sequence[UUID]:
    """Enter mounts of resources that have none by now; return of which."""
    statement = insert(Mount).values(list(rows)).on_conflict_do_nothing(index_elements=["resource_id"])
    return (await tx.scalars(statement.returning(Mount.resource_id))).all()
