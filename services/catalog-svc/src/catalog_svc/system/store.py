"""Information systems and the steps they took in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, DateTime, ForeignKey, Index, Integer, Text, UniqueConstraint, Uuid, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.resource.domain import State
from catalog_svc.resource.store import WITHOUT_ENTRIES, Resource
from catalog_svc.rows import Base
from catalog_svc.system.errors import SystemNotFound
from dxmesh_schemas.catalog import SystemKind, SystemState


class System(Base):
    """An information system of an organization; each resource hangs on one."""

    __tablename__ = "system"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"), Index("ix_system_sector", "sector"))
    system_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)  # what names are compared by: dxmesh_schemas.text.comparable
    kind: Mapped[str] = mapped_column(Text, default=SystemKind.OWN.value)
    state: Mapped[str] = mapped_column(Text, default=SystemState.PLANNED.value)
    on_gov_cloud: Mapped[bool | None] = mapped_column(Boolean)  # null: nobody said
    is_main_system: Mapped[bool] = mapped_column(Boolean, default=False)
    sector: Mapped[str | None] = mapped_column(Text, ForeignKey("sector.sector"))
    registered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SystemStep(Base):
    """A state a system came into: when, by whom and why."""

    __tablename__ = "system_step"
    system_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("system.system_id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which systems a list holds; what is None does not matter."""

    of: UUID | None = None  # organization
    q: str | None = None
    state: SystemState | None = None
    kind: SystemKind | None = None
    on_gov_cloud: bool | None = None
    is_main_system: bool | None = None
    sector: str | None = None
    is_catalogued: bool | None = None  # whether a resource of it is in force


def takes_resources(row: System, organization_id: UUID) -> bool:
    """Say whether an organization's resources may hang on a system: it is its own, and not retired."""
    return row.organization_id == organization_id and row.state != SystemState.RETIRED.value


async def find(tx: AsyncSession, system_id: UUID) -> System | None:
    """Return a system, if there is one of that id."""
    return await tx.get(System, system_id)


async def get(tx: AsyncSession, system_id: UUID, *, of: UUID | None) -> System:
    """Return a system, of one organization when `of` is given. Raises: SystemNotFound (404)."""
    row = await tx.get(System, system_id)
    if row is None or (of is not None and row.organization_id != of):
        raise SystemNotFound(f"no system you may see has the id {system_id}")
    return row


async def find_by_name(tx: AsyncSession, organization_id: UUID, name_key: str) -> System | None:
    """Return an organization's system of that name."""
    return await tx.scalar(select(System).where(System.organization_id == organization_id, System.name_key == name_key))


async def list_page(tx: AsyncSession, which: Filter, *, after: UUID | None, limit: int) -> Sequence[System]:
    """Return up to limit + 1 systems in the order of registration."""
    query = select(System).order_by(System.system_id).limit(limit + 1)
    if which.of is not None:
        query = query.where(System.organization_id == which.of)
    if which.q:
        query = query.where(System.name.icontains(which.q, autoescape=True))
    for column, value in (
        (System.state, which.state and which.state.value),
        (System.kind, which.kind and which.kind.value),
        (System.on_gov_cloud, which.on_gov_cloud),
        (System.is_main_system, which.is_main_system),
        (System.sector, which.sector),
    ):
        if value is not None:
            query = query.where(column == value)
    if which.is_catalogued is not None:
        # version, not state: a resource stays in force while its next version is on its way
        has_one = exists().where(Resource.system_id == System.system_id, Resource.version > 0, Resource.state != State.WITHDRAWN.value)
        query = query.where(has_one if which.is_catalogued else ~has_one)
    if after is not None:
        query = query.where(System.system_id > after)
    return (await tx.scalars(query)).all()


async def main_of(tx: AsyncSession, sectors: Sequence[str]) -> Sequence[System]:
    """Return the main systems of sectors, those registered first ahead."""
    query = select(System).where(System.sector.in_(sectors), System.is_main_system)
    return (await tx.scalars(query.order_by(System.sector, System.system_id))).all()


async def resources_of(tx: AsyncSession, system_id: UUID) -> Sequence[Resource]:
    """Return the resources of a system that are not withdrawn, by age and without their entries; version 0 was never in force."""
    query = select(Resource).where(Resource.system_id == system_id, Resource.state != State.WITHDRAWN.value)
    return (await tx.scalars(query.options(*WITHOUT_ENTRIES).order_by(Resource.resource_id))).all()


async def add_step(tx: AsyncSession, row: System, *, by: str, reason: str | None, now: datetime) -> SystemStep:
    """Keep the state a system came into; its organization's row is locked by then, so numbers follow each other."""
    last = await tx.scalar(select(func.max(SystemStep.number)).where(SystemStep.system_id == row.system_id)) or 0
    step = SystemStep(system_id=row.system_id, number=last + 1, state=row.state, by=by, reason=reason, at=now)
    tx.add(step)
    await tx.flush()
    return step


async def list_steps(tx: AsyncSession, system_id: UUID) -> Sequence[SystemStep]:
    """Return a system's steps, oldest first; there are at most three."""
    return (await tx.scalars(select(SystemStep).where(SystemStep.system_id == system_id).order_by(SystemStep.number))).all()


async def count(tx: AsyncSession) -> int:
    """Count all systems."""
    return await tx.scalar(select(func.count()).select_from(System)) or 0
