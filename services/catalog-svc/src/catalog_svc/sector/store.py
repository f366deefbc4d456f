"""Sectors with their caps, and the master data, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Integer, Row, Text, Uuid, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.resource.domain import State
from catalog_svc.resource.store import Resource
from catalog_svc.rows import Base
from catalog_svc.sector.errors import NotMasterData, SectorNotFound, SectorUnknown
from dxmesh_runtime.db import locked


class Sector(Base):
    """A field of business (行业领域) and how many main systems and master data it may have."""

    __tablename__ = "sector"
    sector: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text, unique=True)
    main_system_cap: Mapped[int] = mapped_column(Integer)
    master_data_cap: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class MasterData(Base):
    """A resource that the others of its sector go by (主数据)."""

    __tablename__ = "master_data"
    __table_args__ = (Index("ix_master_data_sector", "sector"),)
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"), primary_key=True)
    sector: Mapped[str] = mapped_column(Text, ForeignKey("sector.sector"))
    reason: Mapped[str | None] = mapped_column(Text)
    marked_by: Mapped[str] = mapped_column(Text)
    marked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


async def get(tx: AsyncSession, sector: str) -> Sector:
    """Return a sector. Raises: SectorNotFound (404)."""
    row = await tx.get(Sector, sector)
    if row is None:
        raise SectorNotFound(f"no sector has the code {sector!r}; GET /v1/sectors lists them")
    return row


async def lock(tx: AsyncSession, sector: str, *, pointer: str) -> Sector:
    """Return a sector a body names, locked: its places are given out one at a time. Raises: SectorUnknown (422)."""
    row = await tx.scalar(locked(select(Sector).where(Sector.sector == sector)))
    if row is None:
        detail = f"no sector has the code {sector!r}; the data authority registers it with PUT /v1/sectors/{{code}}"
        raise SectorUnknown.of([(pointer, detail)])
    return row


async def ensure(tx: AsyncSession, sector: str, *, name: str, name_key: str, now: datetime) -> tuple[Sector, bool]:
    """Return a sector, locked, and whether it is new; a new one has no places yet."""
    statement = insert(Sector).values(sector=sector, name=name, name_key=name_key, main_system_cap=0, master_data_cap=0, changed_at=now)
    added = await tx.scalar(statement.on_conflict_do_nothing(index_elements=["sector"]).returning(Sector.sector))
    return await lock(tx, sector, pointer="/sector"), added is not None


async def find_by_name(tx: AsyncSession, name_key: str) -> Sector | None:
    """Return the sector of a name."""
    return await tx.scalar(select(Sector).where(Sector.name_key == name_key))


async def lock_names(tx: AsyncSession) -> None:
    """Let one transaction at a time name sectors."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("catalog_svc.sector.name", 0))))


async def list_page(tx: AsyncSession, *, after: str | None, limit: int) -> Sequence[Sector]:
    """Return up to limit + 1 sectors by code."""
    query = select(Sector).order_by(Sector.sector).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(Sector.sector > after))).all()


async def find_master_data(tx: AsyncSession, resource_id: UUID) -> MasterData | None:
    """Return what is kept of a resource as master data."""
    return await tx.get(MasterData, resource_id)


async def get_master_data(tx: AsyncSession, resource_id: UUID, *, lock: bool = False) -> MasterData:
    """Return what is kept of a resource as master data, the row locked when asked. Raises: NotMasterData (404)."""
    row = await tx.get(MasterData, resource_id, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise NotMasterData(f"the resource {resource_id} is not master data of any sector")
    return row


async def master_data_of(tx: AsyncSession, sectors: Sequence[str]) -> Sequence[Row[MasterData, Resource]]:
    """Return the master data of sectors that are in force; one that is withdrawn has given its place up."""
    query = select(MasterData, Resource).join(Resource, Resource.resource_id == MasterData.resource_id)
    query = query.where(MasterData.sector.in_(sectors), Resource.version > 0, Resource.state != State.WITHDRAWN.value)
    return (await tx.execute(query.order_by(MasterData.sector, MasterData.marked_at, MasterData.resource_id))).all()
