"""Information systems in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text, UniqueConstraint, Uuid, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.rows import Base
from catalog_svc.system.errors import SystemNotFound


class System(Base):
    """An information system of an organization; each resource hangs on one."""

    __tablename__ = "system"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)
    system_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)  # what names are compared by: dxmesh_schemas.text.comparable
    registered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


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


async def list_page(tx: AsyncSession, *, of: UUID | None, q: str | None, after: UUID | None, limit: int) -> Sequence[System]:
    """Return up to limit + 1 systems in the order of registration."""
    query = select(System).order_by(System.system_id).limit(limit + 1)
    if of is not None:
        query = query.where(System.organization_id == of)
    if q:
        query = query.where(System.name.icontains(q, autoescape=True))
    if after is not None:
        query = query.where(System.system_id > after)
    return (await tx.scalars(query)).all()


async def count(tx: AsyncSession) -> int:
    """Count all systems."""
    return await tx.scalar(select(func.count()).select_from(System)) or 0
