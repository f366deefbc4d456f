"""Terms of office in PostgreSQL; none is ever deleted."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Date, DateTime, ForeignKey, Index, Text, Uuid, and_, exists, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.officer.domain import Term
from catalog_svc.officer.errors import OfficerNotFound
from catalog_svc.organization.store import Organization
from catalog_svc.rows import Base
from dxmesh_schemas.catalog import Level, OfficerRole


class Officer(Base):
    """A term of office of an organization: `since` is its first day, `until` the first on which it is no longer held."""

    __tablename__ = "officer"
    __table_args__ = (
        Index("ix_officer_organization_id", "organization_id"),
        Index("ix_officer_holder", "holder"),
        Index("officer_open_cdo", "organization_id", unique=True, postgresql_where=text("role = 'cdo' AND until IS NULL")),
    )
    officer_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    role: Mapped[str] = mapped_column(Text)
    holder: Mapped[str] = mapped_column(Text)
    since: Mapped[date] = mapped_column(Date)
    until: Mapped[date | None] = mapped_column(Date)
    appointed_by: Mapped[str] = mapped_column(Text)
    appointed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str | None] = mapped_column(Text)  # why it was ended

    @property
    def term(self) -> Term:
        """Return its days."""
        return Term(self.since, self.until)


def _held(today: date) -> ColumnElement[bool]:
    return and_(Officer.since <= today, or_(Officer.until.is_(None), Officer.until > today))


async def get_of(tx: AsyncSession, organization_id: UUID, officer_id: UUID) -> Officer:
    """Return a term of office of an organization. Raises: OfficerNotFound (404)."""
    row = await tx.scalar(select(Officer).where(Officer.organization_id == organization_id, Officer.officer_id == officer_id))
    if row is None:
        raise OfficerNotFound(f"the organization has no term of office with the id {officer_id}")
    return row


async def list_role(tx: AsyncSession, organization_id: UUID, role: OfficerRole) -> Sequence[Officer]:
    """Return all terms of a role in an organization, ended ones too."""
    query = select(Officer).where(Officer.organization_id == organization_id, Officer.role == role.value)
    return (await tx.scalars(query.order_by(Officer.since, Officer.officer_id))).all()


async def list_unended(tx: AsyncSession, organization_id: UUID, *, today: date) -> Sequence[Officer]:
    """Return the terms of an organization that run today or will."""
    runs = or_(Officer.until.is_(None), and_(Officer.until > today, Officer.until > Officer.since))
    query = select(Officer).where(Officer.organization_id == organization_id, runs)
    return (await tx.scalars(query.order_by(Officer.role, Officer.since, Officer.officer_id))).all()


async def current_of(tx: AsyncSession, organization_ids: Collection[UUID], *, today: date) -> dict[UUID, list[Officer]]:
    """Return who holds the offices of these organizations today."""
    query = select(Officer).where(Officer.organization_id.in_(organization_ids), _held(today))
    found: dict[UUID, list[Officer]] = {}
    for row in await tx.scalars(query.order_by(Officer.role, Officer.since, Officer.officer_id)):
        found.setdefault(row.organization_id, []).append(row)
    return found


async def holds(tx: AsyncSession, organization_id: UUID, holder: str, role: OfficerRole, *, today: date) -> bool:
    """Say whether a client or account holds an office of an organization today."""
    of = and_(Officer.organization_id == organization_id, Officer.holder == holder, Officer.role == role.value)
    return bool(await tx.scalar(select(exists().where(of, _held(today)))))


async def list_page(
    tx: AsyncSession,
    *,
    organization_id: UUID | None,
    role: OfficerRole | None,
    holder: str | None,
    on: date | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Officer]:
    """Return up to limit + 1 terms as they were entered; those held on a day, or all there ever were."""
    query = select(Officer).order_by(Officer.officer_id).limit(limit + 1)
    if organization_id is not None:
        query = query.where(Officer.organization_id == organization_id)
    if role is not None:
        query = query.where(Officer.role == role.value)
    if holder is not None:
        query = query.where(Officer.holder == holder)
    if on is not None:
        query = query.where(_held(on))
    if after is not None:
        query = query.where(Officer.officer_id > after)
    return (await tx.scalars(query)).all()


async def vacancies(
    tx: AsyncSession, roles: Sequence[OfficerRole], *, level: Level | None, today: date, after: UUID | None, limit: int
) -> list[tuple[Organization, list[OfficerRole]]]:
    """Return up to limit + 1 organizations with those of these roles that nobody holds in them today; never an empty list of roles."""
    vacant = [
        ~exists().where(Officer.organization_id == Organization.organization_id, Officer.role == role.value, _held(today)) for role in roles
    ]
    query = select(Organization).add_columns(*vacant).where(or_(*vacant)).order_by(Organization.organization_id).limit(limit + 1)
    if level is not None:
        query = query.where(Organization.level == level.value)
    if after is not None:
        query = query.where(Organization.organization_id > after)
    found = await tx.execute(query)
    return [(row[0], [role for role, is_vacant in zip(roles, row[1:], strict=True) if is_vacant]) for row in found]
