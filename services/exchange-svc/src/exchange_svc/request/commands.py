"""What is done to sharing requests: submit, decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import ResourceSnapshot, SharingType
from dxmesh_schemas.exchange import RequestGranted, RequestRefused, RequestSubmitted
from exchange_svc.access import sees
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceWithdrawn
from exchange_svc.grant import commands as grants
from exchange_svc.notice import commands as notices
from exchange_svc.request import domain, store
from exchange_svc.request.errors import NotTheProvider, OwnResource, RequestNotFound


@dataclass(frozen=True, slots=True)
class Terms:
    """What a department asks for, and why (GDSR Art. 20)."""

    resource_id: UUID
    items: Sequence[str] | None
    legal_basis: str
    scenario: str
    purpose: str
    use_until: datetime | None
    approved_by: str


async def submit(tx: AsyncSession, terms: Terms, *, by: Principal, now: datetime) -> store.SharingRequest:
    """Submit a sharing request; a standing consent of the provider answers an unconditional one at once.

    Raises: OrganizationUnknown (409), ResourceNotFound (404), ResourceWithdrawn (409), OwnResource (422), ItemsUnknown (422),
    NotShared (403), UseUntilPast (422).
    Emits: exchange.request.submitted.v1; with a standing consent exchange.request.granted.v1 and exchange.grant.activated.v1.
    Source: 政务数据共享条例 Art. 20-21.
    """
    requester = (await catalog.get_organization(tx, by.own_organization)).ref()
    resource = await _in_force(tx, terms.resource_id)
    if resource.provider.organization_id == requester.organization_id:
        detail = f"resource_id: {resource.name} is your own; nothing needs to be granted"
        raise OwnResource(detail, errors=[{"pointer": "/resource_id", "detail": detail}])
    domain.check_use_until(terms.use_until, now)
    items = domain.choose_items(resource, terms.items)
    sharing = domain.sharing_of(resource, items)
    row = store.SharingRequest(
        request_id=uuid7(),
        resource_id=resource.resource_id,
        resource_version=resource.version,
        requester_id=requester.organization_id,
        requester=requester.model_dump(mode="json"),
        provider_id=resource.provider.organization_id,
        provider=resource.provider.model_dump(mode="json"),
        items=[item.code for item in items],
        legal_basis=terms.legal_basis,
        scenario=terms.scenario,
        purpose=terms.purpose,
        use_until=terms.use_until,
        approved_by=terms.approved_by,
        sharing_type=sharing.value,
        state=domain.State.SUBMITTED,
        submitted_at=now,
    )
    tx.add(row)
    await tx.flush()
    submitted = RequestSubmitted(
        request_id=row.request_id,
        resource_id=row.resource_id,
        requester=requester,
        provider=resource.provider,
        items=tuple(row.items),
        legal_basis=terms.legal_basis,
        scenario=terms.scenario,
        purpose=terms.purpose,
        sharing_type=sharing,
        submitted_at=now,
    )
    await outbox.add(tx, submitted, now=now)
    consent = domain.consent_for(resource, sharing)
    if consent is None:
        row.state = domain.advance(domain.State.SUBMITTED, domain.Step.REVIEW)
    else:
        reason = f"standing consent of {consent.approved_by} of {consent.approved_at.date().isoformat()}"
        await _grant(tx, row, resource, approved_by=consent.approved_by, reason=reason, now=now)
    return row


async def decide(
    tx: AsyncSession, request_id: UUID, *, outcome: domain.Outcome, reason: str | None, approved_by: str, by: Principal, now: datetime
) -> store.SharingRequest:
    """Answer a sharing request: grant it, or refuse it with reasons.

    Raises: RequestNotFound (404), NotTheProvider (403), RequestAnswered (409), ReasonMissing (422), ResourceWithdrawn (409),
    ItemsUnknown (422), NotShared (403), UseUntilPast (422).
    Emits: exchange.request.granted.v1 and exchange.grant.activated.v1, or exchange.request.refused.v1.
    Source: 政务数据共享条例 Art. 20-21.
    """
    row = await store.get(tx, request_id, lock=True)
    if by.own_organization != row.provider_id:
        if by.own_organization == row.requester_id:
            raise NotTheProvider(f"request {request_id} is answered by {row.provider_ref.name}, not by its requester")
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    state = domain.advance(domain.State(row.state), domain.step_of(outcome), reason=reason)
    if state is domain.State.GRANTED:
        domain.check_use_until(row.use_until, now)
        resource = await _in_force(tx, row.resource_id)
        row.sharing_type = domain.sharing_of(resource, domain.choose_items(resource, row.items)).value
        await _grant(tx, row, resource, approved_by=approved_by, reason=reason, now=now)
        return row
    assert reason is not None, "a refusal without a reason does not get here"
    row.state, row.decided_at, row.decided_by, row.reason = state, now, approved_by, reason
    await tx.flush()
    refused = RequestRefused(
        request_id=request_id,
        resource_id=row.resource_id,
        requester=row.requester_ref,
        provider=row.provider_ref,
        decided_at=now,
        decided_by=approved_by,
        reason=reason,
    )
    await outbox.add(tx, refused, now=now)
    return row


async def _in_force(tx: AsyncSession, resource_id: UUID) -> ResourceSnapshot:
    """Return the version in force, its row locked: what is granted now is granted of this version."""
    resource = await catalog.get_resource(tx, resource_id, lock=True)
    if resource.withdrawn_at is not None:
        raise ResourceWithdrawn(f"resource {resource_id} was withdrawn at {resource.withdrawn_at.isoformat()} and gives no grants")
    return resource.read()


async def _grant(
    tx: AsyncSession, row: store.SharingRequest, resource: ResourceSnapshot, *, approved_by: str, reason: str | None, now: datetime
) -> None:
    row.state = domain.advance(domain.State(row.state), domain.Step.GRANT)
    row.decided_at, row.decided_by, row.reason = now, approved_by, reason
    await tx.flush()
    granted = RequestGranted(
        request_id=row.request_id,
        resource_id=row.resource_id,
        requester=row.requester_ref,
        provider=row.provider_ref,
        decided_at=now,
        decided_by=approved_by,
        reason=reason,
    )
    await outbox.add(tx, granted, now=now)
    grant = await grants.activate(
        tx,
        resource,
        request_id=row.request_id,
        requester=row.requester_ref,
        items=row.items,
        sharing=SharingType(row.sharing_type),
        use_until=row.use_until,
        now=now,
    )
    await notices.follow(tx, grant, now=now)
    row.grant_id = grant.grant_id
    await tx.flush()


async def get_visible(tx: AsyncSession, request_id: UUID, who: Principal) -> store.SharingRequest:
    """Return a request to its requester, its provider, or the authority. Raises: RequestNotFound (404)."""
    row = await store.get(tx, request_id)
    if not sees(who, row.requester_id, row.provider_id):
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    return row
