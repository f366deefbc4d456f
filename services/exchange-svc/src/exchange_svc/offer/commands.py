"""What is done with offers: they follow the scenarios, and are accepted with one call."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.policy import Policy
from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OrganizationRef, ResourceSnapshot
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.catalog_lists import ListEntryEvent
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_offers import OfferEnded, OfferMade
from dxmesh_schemas.exchange_terms import Terms
from exchange_svc.catalog.store import Organization, Resource
from exchange_svc.offer import domain, store
from exchange_svc.offer.errors import OfferOver
from exchange_svc.request import answering
from exchange_svc.request.commands import Asked
from exchange_svc.request.store import SharingRequest
from exchange_svc.scenario.commands import asker
from exchange_svc.sharing_list import store as lists

Place = tuple[UUID, UUID, UUID]
"""Scenario, resource, requester: there is one offer of each."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What an acceptance says, and who of the requester approved it; what it leaves out, the offer and its scenario say."""

    approved_by: str
    items: Sequence[str] | None
    legal_basis: str | None
    purpose: str | None
    use_purpose: UsePurpose | None
    use_until: datetime | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class Wanted:
    """An offer as the scenarios in force would have it now."""

    entry: ListEntryEvent
    resource: ResourceSnapshot
    requester: OrganizationRef
    items: tuple[str, ...]


async def follow(tx: AsyncSession, *, now: datetime) -> int:
    """Make the offers that the scenarios in force give by name, and withdraw those they give no more; return how many.

    An organization is not offered what it has a grant of, and what it accepted is not offered again by the same scenario.
    Emits: exchange.offer.made.v1, exchange.offer.ended.v1.
    """
    await store.hold(tx)
    entries = await store.list_scenarios(tx)
    known = {
        (row.scenario_id, row.resource_id, row.requester_id): row for row in await store.list_all(tx, [one.entry_id for one in entries])
    }
    wanted = await _wanted(tx, entries, now=now)
    said: list[Event] = []
    for place, one in wanted.items():
        row = known.get(place)
        if row is None:
            row = store.Offer(offer_id=uuid7(), scenario_id=place[0], resource_id=place[1], requester_id=place[2])
            tx.add(row)
        elif row.request_id is not None or (row.ended_at is None and tuple(row.items) == one.items):
            continue
        said.append(_make(row, one, now=now))
    for place, row in known.items():
        if row.ended_at is None and place not in wanted:
            row.ended_at = now
            said.append(OfferEnded(**row.named, outcome="withdrawn", ended_at=now))
    await tx.flush()
    await outbox.add_all(tx, said, now=now)
    return len(said)


async def _wanted(tx: AsyncSession, entries: Sequence[ListEntryEvent], *, now: datetime) -> Mapping[Place, Wanted]:
    data = [one for entry in entries if entry.scenario is not None for one in entry.scenario.data]
    ids = {one.resource_id for one in data if one.resource_id is not None}
    prefixes = {one.class_prefix for one in data if one.class_prefix is not None}
    if not ids and not prefixes:
        return {}
    named = {one for entry in entries if entry.scenario is not None for one in entry.scenario.requesters.organization_ids}
    resources = await store.list_covered(tx, ids, sorted(prefixes))
    organizations = await store.list_organizations(tx, named)
    has = await store.list_readers(tx, named, now=now)
    return await asyncio.to_thread(_choose, entries, resources, organizations, has, day_of(now))  # a class may cover a whole catalogue


def _choose(
    entries: Sequence[ListEntryEvent],
    resources: Sequence[Resource],
    organizations: Sequence[Organization],
    has: Collection[tuple[UUID, UUID]],
    today: date,
) -> Mapping[Place, Wanted]:
    found: dict[Place, Wanted] = {}
    for resource in [row.read() for row in resources]:
        for organization in organizations:
            if (organization.organization_id, resource.resource_id) in has:
                continue
            for entry in entries:
                items = domain.offered(entry, resource, asker(organization), today)
                if items:
                    place = (entry.entry_id, resource.resource_id, organization.organization_id)
                    found[place] = Wanted(entry, resource, organization.ref(), items)
    return found


def _make(row: store.Offer, one: Wanted, *, now: datetime) -> OfferMade:
    assert one.entry.scenario is not None, "an offer comes of a scenario's terms"
    purposes = one.entry.scenario.purposes
    row.scenario, row.resource, row.items = one.entry.name, one.resource.name, list(one.items)
    row.requester, row.provider = one.requester.model_dump(mode="json"), one.resource.provider.model_dump(mode="json")
    row.purposes, row.offered_at, row.ended_at = [purpose.value for purpose in purposes], now, None
    return OfferMade(
        **row.named,
        scenario=row.scenario,
        items=one.items,
        purposes=purposes,
        valid_until=one.entry.scenario.valid_until,
        offered_at=now,
    )


async def accept(
    tx: AsyncSession, policy: Policy, offer_id: UUID, said: Acceptance, *, by: Principal, public_url: str, now: datetime
) -> SharingRequest:
    """Ask for what is offered; its scenario answers in the same transaction.

    Raises: OfferNotFound (404), OfferOver (409); otherwise as `answering.ask`.
    Emits: exchange.offer.ended.v1; otherwise as `answering.ask`.
    """
    row = await store.get_open(tx, offer_id, by.own_organization)
    entry = await lists.find(tx, row.scenario_id, "scenario")
    if row.ended_at is not None or entry is None:
        why = f"it was accepted as request {row.request_id}" if row.request_id else "its scenario covers this no more"
        raise OfferOver(f"offer {offer_id} is over: {why}; ask under /v1/requests instead")
    scenario = entry.read()
    asked = Asked(
        resource_id=row.resource_id,
        items=row.items if said.items is None else said.items,
        legal_basis=said.legal_basis or domain.basis_of(scenario),
        scenario=row.scenario,
        purpose=said.purpose or scenario.content or row.scenario,
        use_until=said.use_until,
        approved_by=said.approved_by,
        terms=said.terms,
        scenario_id=row.scenario_id,
        use_purpose=said.use_purpose or row.first_purpose,
    )
    request = await answering.ask(tx, policy, asked, by=by, public_url=public_url, now=now)
    row.ended_at, row.request_id = now, request.request_id
    await tx.flush()
    await outbox.add(tx, OfferEnded(**row.named, outcome="accepted", request_id=request.request_id, ended_at=now), now=now)
    return request


async def next_day(tx: AsyncSession, *, now: datetime) -> datetime | None:
    """Return when scenarios begin or end next: with the day in China; None when there are none."""
    return begin_of(day_of(now) + timedelta(days=1)) if await store.has_any(tx) else None
