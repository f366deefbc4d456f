"""Sources of data elements in PostgreSQL: which item of which department is the one a division relies on."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Row, Text, Uuid, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.errors import ClaimNotFound
from catalog_svc.matching.store import ItemEntry
from catalog_svc.organization.store import Organization
from catalog_svc.resource.store import Resource
from catalog_svc.rows import Base
from dxmesh_runtime.db import locked

_LOCKS = 4_716_001  # advisory locks of this noun; the second key is the division


class SourceClaim(Base):
    """An item that is, or was, its division's source of a data element."""

    __tablename__ = "source_claim"
    __table_args__ = (
        Index("source_claim_held", "resource_id", "item", unique=True, postgresql_where=text("state = 'held'")),
        Index("source_claim_division", "division_code", postgresql_where=text("state = 'held'")),
        Index("ix_source_claim_organization_id", "organization_id"),
    )
    claim_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    division_code: Mapped[str] = mapped_column(Text)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    item: Mapped[str] = mapped_column(Text)
    item_name: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    case_id: Mapped[UUID | None] = mapped_column(Uuid)  # the arbitration that named it, if one did
    claimed_by: Mapped[str] = mapped_column(Text)
    claimed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    released_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    release_reason: Mapped[str | None] = mapped_column(Text)


Held = Row[SourceClaim, ItemEntry, Organization, Resource]


async def lock_division(tx: AsyncSession, division_code: str) -> None:
    """Let one transaction at a time change who is a source in a division: likeness is no key a constraint could keep."""
    await tx.execute(select(func.pg_advisory_xact_lock(_LOCKS, func.hashtext(division_code))))


async def get(tx: AsyncSession, claim_id: UUID, *, lock: bool = False) -> SourceClaim:
    """Return a claim, its row locked and read anew when asked. Raises: ClaimNotFound (404)."""
    query = select(SourceClaim).where(SourceClaim.claim_id == claim_id)
    if lock:
        query = locked(query)
    row = await tx.scalar(query)
    if row is None:
        raise ClaimNotFound(f"no source has the id {claim_id}")
    return row


async def find_held(tx: AsyncSession, resource_id: UUID, item: str) -> SourceClaim | None:
    """Return the claim an item holds."""
    return await tx.scalar(
        select(SourceClaim).where(
            SourceClaim.resource_id == resource_id, SourceClaim.item == item, SourceClaim.state == ClaimState.HELD.value
        )
    )


async def held_in(tx: AsyncSession, resource_id: UUID) -> set[str]:
    """Return the divisions in which a resource's items hold claims."""
    query = select(SourceClaim.division_code).where(SourceClaim.resource_id == resource_id, SourceClaim.state == ClaimState.HELD.value)
    return set(await tx.scalars(query))


async def held_of_organization(tx: AsyncSession, organization_id: UUID) -> Sequence[SourceClaim]:
    """Return the claims an organization's items hold, locked, resource by resource."""
    query = select(SourceClaim).where(SourceClaim.organization_id == organization_id, SourceClaim.state == ClaimState.HELD.value)
    return (await tx.scalars(locked(query.order_by(SourceClaim.resource_id, SourceClaim.item)))).all()


async def held_of_resource(tx: AsyncSession, resource_id: UUID) -> Sequence[SourceClaim]:
    """Return the claims a resource's items hold, locked, in the order of their items."""
    query = select(SourceClaim).where(SourceClaim.resource_id == resource_id, SourceClaim.state == ClaimState.HELD.value)
    return (await tx.scalars(locked(query.order_by(SourceClaim.item)))).all()


async def held_of_keys(tx: AsyncSession, keys: Collection[str], *, division_code: str) -> Sequence[Held]:
    """Return a division's sources whose names have one of the keys; those of withdrawn resources hold nothing any more."""
    if not keys:
        return []
    query = (
        select(SourceClaim, ItemEntry, Organization, Resource)
        .join(ItemEntry, (ItemEntry.resource_id == SourceClaim.resource_id) & (ItemEntry.item == SourceClaim.item))
        .join(Organization, Organization.organization_id == SourceClaim.organization_id)
        .join(Resource, Resource.resource_id == SourceClaim.resource_id)
        .where(
            SourceClaim.state == ClaimState.HELD.value,
            SourceClaim.division_code == division_code,
            ItemEntry.key.in_(keys),
            Resource.withdrawn_at.is_(None),
        )
        .order_by(SourceClaim.claim_id)
    )
    return (await tx.execute(query)).all()


async def list_page(
    tx: AsyncSession,
    *,
    division: str | None,
    organization: UUID | None,
    resource: UUID | None,
    state: ClaimState | None,
    q: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[SourceClaim]:
    """Return up to limit + 1 claims as they were made."""
    query = select(SourceClaim).order_by(SourceClaim.claim_id).limit(limit + 1)
    for column, value in (
        (SourceClaim.division_code, division),
        (SourceClaim.organization_id, organization),
        (SourceClaim.resource_id, resource),
        (SourceClaim.state, state.value if state else None),
    ):
        if value is not None:
            query = query.where(column == value)
    if q:
        query = query.where(SourceClaim.item_name.icontains(q, autoescape=True))
    if after is not None:
        query = query.where(SourceClaim.claim_id > after)
    return (await tx.scalars(query)).all()
