"""Organizations in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.rows import Base
from dxmesh_schemas.catalog import Level, OrganizationKind


class Organization(Base):
    """A department, public utility or social body of the node."""

    __tablename__ = "organization"
    organization_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    uscc: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    level: Mapped[str] = mapped_column(Text)
    division_code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    registered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


async def add(
    tx: AsyncSession,
    organization_id: UUID,
    *,
    uscc: str,
    name: str,
    level: Level,
    division_code: str,
    kind: OrganizationKind,
    now: datetime,
) -> Organization | None:
    """Insert an organization; None when its uscc is registered, also by a transaction that commits meanwhile."""
    statement = (
        insert(Organization)
        .values(
            organization_id=organization_id,
            uscc=uscc,
            name=name,
            level=level.value,
            division_code=division_code,
            kind=kind.value,
            registered_at=now,
            changed_at=now,
        )
        .on_conflict_do_nothing(index_elements=["uscc"])
        .returning(Organization)
    )
    return await tx.scalar(statement)


async def get(tx: AsyncSession, organization_id: UUID, *, lock: bool = False) -> Organization:
    """Return an organization, its row locked when asked. Raises: OrganizationNotFound (404)."""
    query = select(Organization).where(Organization.organization_id == organization_id)
    # key_share: rows that refer to the organization may be inserted meanwhile
    row = await tx.scalar(query.with_for_update(key_share=True) if lock else query)
    if row is None:
        raise OrganizationNotFound(f"no organization has the id {organization_id}")
    return row


async def find_by_uscc(tx: AsyncSession, uscc: str) -> Organization | None:
    """Return the organization of a uscc, if it is registered."""
    return await tx.scalar(select(Organization).where(Organization.uscc == uscc))


async def list_page(tx: AsyncSession, *, q: str | None, after: UUID | None, limit: int) -> Sequence[Organization]:
    """Return up to limit + 1 organizations in the order of registration, found by name, uscc or division code."""
    query = select(Organization).order_by(Organization.organization_id).limit(limit + 1)
    if q:
        query = query.where(
            or_(*(column.icontains(q, autoescape=True) for column in (Organization.name, Organization.uscc, Organization.division_code)))
        )
    if after is not None:
        query = query.where(Organization.organization_id > after)
    return (await tx.scalars(query)).all()


async def count(tx: AsyncSession) -> int:
    """Count all organizations."""
    return await tx.scalar(select(func.count()).select_from(Organization)) or 0
