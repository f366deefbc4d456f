"""What is done to sharing requests by their requester: draft, approve, submit, supply, withdraw; and who may see one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import ResourceSnapshot, SharingType
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.exchange import RequestSubmitted
from dxmesh_schemas.exchange_sharing import RequestMaterialsSupplied, RequestWithdrawn
from dxmesh_schemas.exchange_terms import Terms
from exchange_svc.access import sees
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceWithdrawn
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.domain import ANSWER
from exchange_svc.request import domain, store
from exchange_svc.request.errors import NotTheRequester, OwnResource, RequestNotFound
from exchange_svc.sharing_list import store as lists
from exchange_svc.sharing_list.errors import EntryUnknown


@dataclass(frozen=True, slots=True)
class Asked:
    """What a department asks for, and why (GDSR Art. 20); approved_by: None makes it a draft.

    scenario_id, demand_id: the entries of the lists it rests on and comes from.
    """

    resource_id: UUID
    items: Sequence[str] | None
    legal_basis: str
    scenario: str
    purpose: str
    use_until: datetime | None
    approved_by: str | None
    terms: Terms
    scenario_id: UUID | None = None
    use_purpose: UsePurpose | None = None
    demand_id: UUID | None = None


async def draft(tx: AsyncSession, asked: Asked, *, by: Principal, now: datetime) -> store.SharingRequest:
    """Enter a request as a draft, which only its requester sees.

    Raises: OrganizationUnknown (409), ResourceNotFound (404), ResourceWithdrawn (409), OwnResource (422), ItemsUnknown (422),
    NotShared (403), UseUntilPast (422), TermsInvalid (422), EntryUnknown (422).
    Source: 政务数据共享条例 Art. 20.
    """
    requester = (await catalog.get_organization(tx, by.own_organization)).ref()
    resource = await in_force(tx, asked.resource_id)
    if resource.provider.organization_id == requester.organization_id:
        raise OwnResource.at("/resource_id", f"resource_id: {resource.name} is your own; nothing needs to be granted")
    domain.check_use_until(asked.use_until, now)
    items = domain.choose_items(resource, asked.items)
    domain.check_terms(asked.terms, items)
    demand_id = await _demand_of(tx, asked, requester.organization_id)
    row = store.SharingRequest(
        request_id=uuid7(),
        resource_id=resource.resource_id,
        resource_version=resource.version,
        requester_id=requester.organization_id,
        requester=requester.model_dump(mode="json"),
        provider_id=resource.provider.organization_id,
        provider=resource.provider.model_dump(mode="json"),
        items=[item.code for item in items],
        legal_basis=asked.legal_basis,
        scenario=asked.scenario,
        purpose=asked.purpose,
        use_until=asked.use_until,
        scenario_id=asked.scenario_id,
        use_purpose=asked.use_purpose,
        demand_id=demand_id,
        terms=asked.terms.model_dump(mode="json"),
        sharing_type=domain.sharing_of(resource, items).value,
        state=domain.State.DRAFT,
        created_at=now,
    )
    tx.add(row)
    await tx.flush()
    return row


async def _demand_of(tx: AsyncSession, asked: Asked, requester_id: UUID) -> UUID | None:
    """Return the demand a request comes from: the one it names, or the requester's open one for the resource.

    Raises: EntryUnknown (422) for a scenario that is not here, and a demand that is not here or another's.
    """
    faults = []
    if asked.scenario_id is not None and await lists.find(tx, asked.scenario_id, "scenario") is None:
        faults.append(("/scenario_id", f"{asked.scenario_id} is no scenario known here; look it up in the scenario list, or leave it out"))
    if asked.demand_id is not None:
        demand = await lists.find(tx, asked.demand_id, "demand")
        if demand is None or demand.owner_id != requester_id:
            faults.append(
                ("/demand_id", f"{asked.demand_id} is no demand of yours known here; look it up under /v1/demands, or leave it out")
            )
    if faults:
        raise EntryUnknown.of(faults)
    if asked.demand_id is not None:
        return asked.demand_id
    found = await lists.find_demand(tx, requester_id, asked.resource_id)
    return found.entry_id if found else None


async def approve(tx: AsyncSession, request_id: UUID, *, approved_by: str, by: Principal, now: datetime) -> store.SharingRequest:
    """Note that the requester's head approved a draft. Raises: RequestNotFound (404), RequestState, RequestAnswered (409).

    Source: 政务数据共享条例 Art. 20 (a request is approved by the head of the unit that asks).
    """
    row = await get_own(tx, request_id, by)
    row.state = domain.advance(domain.State(row.state), domain.Step.APPROVE)
    row.approved_by, row.approved_at = approved_by, now
    await tx.flush()
    return row


async def submit(tx: AsyncSession, row: store.SharingRequest, *, now: datetime) -> ResourceSnapshot:
    """Hand an approved request in to the provider; return the resource as it is in force now, its row locked.

    Raises: RequestState, RequestAnswered (409), ResourceWithdrawn (409), ItemsUnknown, UseUntilPast, TermsInvalid (422), NotShared (403).
    Emits: exchange.request.submitted.v1.
    """
    row.state = domain.advance(domain.State(row.state), domain.Step.SUBMIT)
    resource = await in_force(tx, row.resource_id)
    items = domain.choose_items(resource, row.items)
    domain.check_use_until(row.use_until, now)
    domain.check_terms(row.read_terms, items)
    row.resource_version, row.sharing_type = resource.version, domain.sharing_of(resource, items).value
    row.submitted_at = now
    await tx.flush()
    submitted = RequestSubmitted(
        **row.named,
        items=tuple(row.items),
        legal_basis=row.legal_basis,
        scenario=row.scenario,
        purpose=row.purpose,
        sharing_type=SharingType(row.sharing_type),
        submitted_at=now,
        use_until=row.use_until,
        approved_by=row.approved_by,
        terms=row.read_terms,
        scenario_id=row.scenario_id,
        use_purpose=row.read_purpose,
        demand_id=row.demand_id,
    )
    await outbox.add(tx, submitted, now=now)
    return resource


async def supply(tx: AsyncSession, request_id: UUID, *, supplied: str, by: Principal, now: datetime) -> store.SharingRequest:
    """Supply what the provider found missing; the answer is due again.

    Raises: RequestNotFound (404), RequestState, RequestAnswered (409).
    Emits: exchange.request.materials_supplied.v1.
    """
    row = await get_own(tx, request_id, by)
    row.state = domain.advance(domain.State(row.state), domain.Step.SUPPLY)
    if store.is_extended(row):
        row.state = domain.State.EXTENDED
    row.supplied, row.supplied_at = supplied, now
    await tx.flush()
    await clocks.resume(tx, request_id, *ANSWER, now=now)
    await outbox.add(tx, RequestMaterialsSupplied(**row.named, supplied=supplied, supplied_at=now), now=now)
    return row


async def withdraw(tx: AsyncSession, request_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.SharingRequest:
    """Take a request back that is not answered yet.

    Raises: RequestNotFound (404), RequestAnswered (409).
    Emits: exchange.request.withdrawn.v1, if it was handed in.
    """
    row = await get_own(tx, request_id, by)
    known = row.state not in domain.BEFORE_SUBMISSION
    row.state = domain.advance(domain.State(row.state), domain.Step.WITHDRAW)
    row.decided_at, row.reason = now, reason
    await tx.flush()
    if known:
        await clocks.stop(tx, request_id, *ANSWER, reason=f"the request was withdrawn: {reason}", now=now)
        await outbox.add(tx, RequestWithdrawn(**row.named, reason=reason, withdrawn_at=now), now=now)
    return row


async def in_force(tx: AsyncSession, resource_id: UUID) -> ResourceSnapshot:
    """Return the version in force, its row locked: what is granted now is granted of this version.

    Raises: ResourceNotFound (404), ResourceWithdrawn (409).
    """
    resource = await catalog.get_resource(tx, resource_id, lock=True)
    if resource.withdrawn_at is not None:
        raise ResourceWithdrawn(f"resource {resource_id} was withdrawn at {resource.withdrawn_at.isoformat()} and gives no grants")
    return resource.read()


async def get_own(tx: AsyncSession, request_id: UUID, by: Principal) -> store.SharingRequest:
    """Return the caller's own request, locked. Raises: RequestNotFound (404), NotTheRequester (403) for its provider."""
    row = await store.get(tx, request_id, lock=True)
    if by.own_organization != row.requester_id:
        if by.own_organization == row.provider_id and row.state not in domain.BEFORE_SUBMISSION:
            raise NotTheRequester(f"request {request_id} is {row.requester_ref.name}'s; its provider answers it")
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    return row


async def get_visible(tx: AsyncSession, request_id: UUID, who: Principal) -> store.SharingRequest:
    """Return a request to its requester and, once it is handed in, its provider and the authority. Raises: RequestNotFound (404)."""
    row = await store.get(tx, request_id)
    mine = who.organization_id == row.requester_id
    if not mine and (row.state in domain.BEFORE_SUBMISSION or row.submitted_at is None or not sees(who, row.provider_id)):
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    return row
