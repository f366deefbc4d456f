"""Organizations in PostgreSQL."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Date, DateTime, ForeignKey, Index, Text, Uuid, case, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.organization.domain import OWED, Paper
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.rows import Base
from dxmesh_runtime.db import locked
from dxmesh_schemas.catalog import Contract, Level, Licence, OrganizationKind

_OWES = {paper: kind for kind, paper in OWED.items()}


class Organization(Base):
    """A department, public utility or social body of the node."""

    __tablename__ = "organization"
    __table_args__ = (Index("ix_organization_parent_id", "parent_id"),)
    organization_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    uscc: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    level: Mapped[str] = mapped_column(Text)
    division_code: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    parent_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    licence: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    contract: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    told_lapsed: Mapped[date | None] = mapped_column(Date)  # the last good day of the paper that was told to have lapsed
    registered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def as_json(paper: Licence | None) -> dict[str, Any] | None:
    """Return a licence or contract as its column keeps it."""
    return None if paper is None else paper.model_dump(mode="json")


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
    parent_id: UUID | None = None,
    licence: Licence | None = None,
    contract: Contract | None = None,
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
            parent_id=parent_id,
            licence=as_json(licence),
            contract=as_json(contract),
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
    row = await tx.scalar(locked(query, key_share=True) if lock else query)
    if row is None:
        raise OrganizationNotFound(f"no organization has the id {organization_id}")
    return row


async def find(tx: AsyncSession, organization_id: UUID) -> Organization | None:
    """Return an organization, if there is one of that id."""
    return await tx.get(Organization, organization_id)


async def find_by_uscc(tx: AsyncSession, uscc: str) -> Organization | None:
    """Return the organization of a uscc, if it is registered."""
    return await tx.scalar(select(Organization).where(Organization.uscc == uscc))


async def lock_tree(tx: AsyncSession) -> None:
    """Let one transaction at a time move organizations, so that two moves never close a loop between them."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("catalog_svc.organization.parent", 0))))


async def above(tx: AsyncSession, organization_id: UUID) -> Sequence[UUID]:
    """Return an organization's id and those of all it stands under."""
    chain = select(Organization.organization_id, Organization.parent_id).where(Organization.organization_id == organization_id)
    tree = chain.cte("above", recursive=True)
    # union without ALL: ends even where a loop is kept
    tree = tree.union(
        select(Organization.organization_id, Organization.parent_id).join(tree, Organization.organization_id == tree.c.parent_id)
    )
    return (await tx.scalars(select(tree.c.organization_id))).all()


async def list_page(
    tx: AsyncSession,
    *,
    q: str | None,
    after: UUID | None,
    limit: int,
    parent: UUID | None = None,
    kind: OrganizationKind | None = None,
    lacks: Paper | None = None,
    today: date | None = None,
) -> Sequence[Organization]:
    """Return up to limit + 1 organizations in the order of registration, found by name, uscc or division code.

    `lacks` finds the public utilities without a licence, or the social bodies without a contract, that is good on `today`.
    """
    query = select(Organization).order_by(Organization.organization_id).limit(limit + 1)
    if q:
        query = query.where(
            or_(*(column.icontains(q, autoescape=True) for column in (Organization.name, Organization.uscc, Organization.division_code)))
        )
    if parent is not None:
        query = query.where(Organization.parent_id == parent)
    if kind is not None:
        query = query.where(Organization.kind == kind.value)
    if lacks is not None and today is not None:
        paper = Organization.licence if lacks == "licence" else Organization.contract
        # ISO days in text compare as days
        query = query.where(Organization.kind == _OWES[lacks].value, or_(paper.is_(None), paper["valid_until"].astext < today.isoformat()))
    if after is not None:
        query = query.where(Organization.organization_id > after)
    return (await tx.scalars(query)).all()


async def lock_untold_lapsed(tx: AsyncSession, *, today: date, limit: int) -> Sequence[Organization]:
    """Lock and return organizations whose owed licence or contract lapsed before today, of which nobody was told; skip what others lock."""
    paper = case(
        *((Organization.kind == kind.value, getattr(Organization, paper)["valid_until"].astext) for kind, paper in OWED.items()),
    )
    # ISO days in text compare as days
    query = select(Organization).where(
        paper < today.isoformat(), paper != func.coalesce(func.to_char(Organization.told_lapsed, "YYYY-MM-DD"), "")
    )
    query = query.order_by(Organization.organization_id).limit(limit)
    return (await tx.scalars(locked(query, skip_locked=True, key_share=True))).all()


async def count(tx: AsyncSession) -> int:
    """Count all organizations."""
    return await tx.scalar(select(func.count()).select_from(Organization)) or 0
