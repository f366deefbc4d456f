"""The offer table, and what offers are made of."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, exists, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.catalog_lists import ListEntryEvent
from exchange_svc.catalog.store import Organization, Resource
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.store import Grant
from exchange_svc.offer.errors import OfferNotFound
from exchange_svc.rows import Base
from exchange_svc.sharing_list.store import Entry

CHANNEL = "offers"
"""On which the keeper of offers hears that scenarios or resources changed."""
_LOCK = "exchange_svc.offer"


class Offer(Base):
    """What a scenario offers of a resource to an organization. ended_at: since when it does not; request_id: what it was accepted by."""

    __tablename__ = "offer"
    __table_args__ = (
        UniqueConstraint("scenario_id", "resource_id", "requester_id", name="uq_offer_place"),
        Index("ix_offer_requester", "requester_id", "offered_at", "offer_id"),
    )
    offer_id: Mapped[UUID] = mapped_column(primary_key=True)
    scenario_id: Mapped[UUID]
    scenario: Mapped[str]
    resource_id: Mapped[UUID]
    resource: Mapped[str]
    requester_id: Mapped[UUID]
    requester: Mapped[dict[str, Any]]
    provider: Mapped[dict[str, Any]]
    items: Mapped[list[str]]
    purposes: Mapped[list[Any]]
    offered_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    request_id: Mapped[UUID | None]

    @property
    def first_purpose(self) -> UsePurpose:
        """Return the purpose it is accepted for, unless another is named."""
        return UsePurpose(self.purposes[0])

    @property
    def requester_ref(self) -> OrganizationRef:
        """Return the organization that may accept."""
        return OrganizationRef.model_validate(self.requester)

    @property
    def provider_ref(self) -> OrganizationRef:
        """Return the organization whose data it is."""
        return OrganizationRef.model_validate(self.provider)

    @property
    def named(self) -> dict[str, Any]:
        """Return what every event of an offer carries."""
        return {
            "offer_id": self.offer_id,
            "scenario_id": self.scenario_id,
            "resource_id": self.resource_id,
            "requester": self.requester_ref,
            "provider": self.provider_ref,
        }


async def hold(tx: AsyncSession) -> None:
    """Let nobody else make or withdraw offers until the transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(_LOCK))))


async def list_scenarios(tx: AsyncSession) -> Sequence[ListEntryEvent]:
    """Return the scenarios that have not ended and name organizations."""
    named = Entry.snapshot["scenario"]["requesters"]["organization_ids"]
    query = select(Entry).where(Entry.kind == "scenario", Entry.is_over.is_(False), func.jsonb_array_length(named) > 0)
    return [row.read() for row in await tx.scalars(query.order_by(Entry.entry_id))]


async def list_covered(tx: AsyncSession, resource_ids: Collection[UUID], class_prefixes: Collection[str]) -> Sequence[Resource]:
    """Return the resources in force of these ids, and those of classes below these."""
    path = func.concat(Resource.snapshot["class_path"].astext, "/")
    below = [path.startswith(literal(f"{prefix}/"), autoescape=False) for prefix in class_prefixes]
    query = select(Resource).where(or_(Resource.resource_id.in_(resource_ids), *below), Resource.withdrawn_at.is_(None))
    return (await tx.scalars(query.order_by(Resource.resource_id))).all()


async def list_organizations(tx: AsyncSession, organization_ids: Collection[UUID]) -> Sequence[Organization]:
    """Return those of these organizations that are known here."""
    return (await tx.scalars(select(Organization).where(Organization.organization_id.in_(organization_ids)))).all()


async def list_readers(tx: AsyncSession, organization_ids: Collection[UUID], *, now: datetime) -> set[tuple[UUID, UUID]]:
    """Return which of these organizations have a grant in force of which resource."""
    query = select(Grant.requester_id, Grant.resource_id).where(Grant.requester_id.in_(organization_ids), Grant.state.in_(IN_FORCE))
    rows = await tx.execute(query.where(or_(Grant.use_until.is_(None), Grant.use_until > now)).distinct())
    return {(row[0], row[1]) for row in rows}


async def list_all(tx: AsyncSession, scenario_ids: Collection[UUID]) -> Sequence[Offer]:
    """Return the offers of these scenarios, and the open ones of any other."""
    query = select(Offer).where(or_(Offer.scenario_id.in_(scenario_ids), Offer.ended_at.is_(None))).order_by(Offer.offer_id)
    return (await tx.scalars(locked(query))).all()


async def get_open(tx: AsyncSession, offer_id: UUID, requester_id: UUID) -> Offer:
    """Return an organization's offer, locked. Raises: OfferNotFound (404)."""
    query = select(Offer).where(Offer.offer_id == offer_id, Offer.requester_id == requester_id)
    row = (await tx.scalars(locked(query))).one_or_none()
    if row is None:
        raise OfferNotFound(f"offer {offer_id} does not exist, or it is another's")
    return row


async def list_offers(
    tx: AsyncSession, *, requester_id: UUID | None, is_over: bool, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Offer]:
    """Return offers to an organization (to all of them when None), newest first."""
    query = select(Offer).where(Offer.ended_at.is_not(None) if is_over else Offer.ended_at.is_(None))
    if requester_id is not None:
        query = query.where(Offer.requester_id == requester_id)
    return (await tx.scalars(newest_first(query, Offer.offered_at, Offer.offer_id, limit=limit, after=after))).all()


async def has_any(tx: AsyncSession) -> bool:
    """Say whether any scenario has not ended."""
    return (await tx.scalars(select(exists().where(Entry.kind == "scenario", Entry.is_over.is_(False))))).one()
