"""What is done to grants: activate, suspend, resume, expire, terminate, dispose; and the opening of views with what came before."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime import outbox, teller
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OrganizationRef, ResourceSnapshot, SharingType
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import BatchKind, DispatchEnded, GrantActivated, GrantTerminated
from dxmesh_schemas.exchange_sharing import Disposal, GrantDisposed, GrantExpired, GrantResumed, GrantSuspended
from dxmesh_schemas.exchange_terms import Backfill, Terms
from exchange_svc.access import sees
from exchange_svc.batch import store as batches
from exchange_svc.catalog import store as catalog
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.domain import Owed, Responsible
from exchange_svc.clock.store import CHANNEL
from exchange_svc.grant import domain, store
from exchange_svc.grant.errors import GrantNotFound

ALL = Backfill()


@dataclass(frozen=True, slots=True)
class Given:
    """What a request was granted: the items, whether on condition, until when, and everything else; public_url: of this service."""

    request_id: UUID
    requester: OrganizationRef
    items: Sequence[str]
    sharing: SharingType
    use_until: datetime | None
    terms: Terms
    legal_basis: str
    scenario: str
    purpose: str
    public_url: str


async def activate(tx: AsyncSession, policy: Policy, resource: ResourceSnapshot, given: Given, *, now: datetime) -> store.Grant:
    """Give a grant: join the equal view, or open one and order for it the accepted batches its terms ask for.

    The caller holds the lock of the resource's row, so no batch is accepted between the backfill and the view's first live batch.
    Emits: exchange.grant.activated.v1; exchange.dispatch.ordered.v1 for each earlier batch when a view opens.
    """
    grant_id = uuid7()
    row = await catalog.get_resource(tx, resource.resource_id)
    await close_unused(tx, [resource.resource_id], now=now)
    view, opened = await join(tx, resource, given.items, given.terms, given.sharing, grant_id, public_url=given.public_url, now=now)
    grant = store.Grant(
        grant_id=grant_id,
        request_id=given.request_id,
        resource_id=resource.resource_id,
        requester_id=given.requester.organization_id,
        requester=given.requester.model_dump(mode="json"),
        provider_id=resource.provider.organization_id,
        view_id=view.view_id,
        state=domain.State.ACTIVE if row.last_sequence else domain.State.DELIVERING,
        terms=given.terms.model_dump(mode="json"),
        use_until=given.use_until,
        activated_at=now,
    )
    tx.add(grant)
    await tx.flush()
    told = domain.snapshot(view.open_view, resource)
    assert told is not None, "a grant has at least one item of the version in force, and its filter looks at these only"
    levels = await catalog.levels_of(tx, {resource.provider.organization_id, given.requester.organization_id})
    activated = GrantActivated(
        grant_id=grant_id,
        request_id=given.request_id,
        resource_id=resource.resource_id,
        requester=given.requester,
        view=told,
        use_until=given.use_until,
        activated_at=now,
        provider=resource.provider,
        provider_level=levels.get(resource.provider.organization_id),
        requester_level=levels.get(given.requester.organization_id),
        scenario=given.scenario,
        purpose=given.purpose,
        legal_basis=given.legal_basis,
        terms=given.terms,
    )
    await outbox.add(tx, activated, now=now)
    if given.use_until is not None:
        await teller.wake(tx, CHANNEL)
    if not row.last_sequence:
        reason = f"first data for {given.requester.name}"
        owed = Owed(
            RuleName.DELIVERY, Responsible.PROVIDER, resource.provider, given.request_id, resource.resource_id, reason, grant_id=grant_id
        )
        await clocks.start(tx, policy, owed, now=now)
    if opened:
        await backfill(tx, view.resource_id, [view.open_view], since=given.terms.backfill, now=now)
    return grant


async def join(
    tx: AsyncSession,
    resource: ResourceSnapshot,
    items: Sequence[str],
    terms: Terms,
    sharing: SharingType,
    grant_id: UUID,
    *,
    public_url: str,
    now: datetime,
) -> tuple[store.View, bool]:
    """Return the view of these terms, and whether it was opened for them."""
    identity = domain.view_identity(items, terms, sharing, grant_id)
    found = await store.find_open_view(tx, resource.resource_id, identity)
    if found is not None:
        return found, False
    view_id = uuid7()
    view = store.View(
        view_id=view_id,
        resource_id=resource.resource_id,
        resource_version=resource.version,
        items=list(items),
        identity=identity,
        topic=domain.topic_of(view_id),
        schema_base=domain.schema_base(public_url, view_id, terms.masks),
        where=[one.model_dump(mode="json") for one in terms.where],
        masks=[one.model_dump(mode="json") for one in terms.masks],
        scope=grant_id if domain.has_pseudonyms(terms.masks) else None,
        opened_at=now,
    )
    tx.add(view)
    await tx.flush()
    return view, True


async def backfill(tx: AsyncSession, resource_id: UUID, views: Sequence[domain.OpenView], *, since: Backfill = ALL, now: datetime) -> None:
    """Order accepted batches of a resource for views that open: all, none, or those accepted from a day on.

    The caller holds the lock of the resource's row.
    Emits: exchange.dispatch.ordered.v1 for each batch of which something may leave.
    """
    if since.since == "none":
        return
    accepted_from = begin_of(since.since) if isinstance(since.since, date) else None
    async for group in batches.stream_accepted(tx, resource_id, accepted_from=accepted_from):
        versions = await catalog.list_versions(tx, {(row.resource_id, row.resource_version) for row in group})
        events: list[Event] = []
        for row in group:
            order = domain.dispatch(
                views,
                versions[row.resource_id, row.resource_version],
                batch_id=row.batch_id,
                sequence=row.sequence or 0,
                kind=BatchKind(row.kind),
                rows=row.accepted_ref,
                now=now,
            )
            if order is not None:
                events.append(order)
        await outbox.add_all(tx, events, now=now)


async def close_unused(tx: AsyncSession, resource_ids: Collection[UUID], *, now: datetime) -> None:
    """Close the views that nobody reads any more; the caller holds the lock of the resources' rows.

    Emits: exchange.dispatch.ended.v1, as `tell_closed`.
    """
    await tell_closed(tx, await store.close_unused_views(tx, resource_ids, now=now), now=now)


async def tell_closed(tx: AsyncSession, views: Iterable[store.View], *, now: datetime) -> None:
    """Tell delivery of views that close, behind the last order for each; the caller holds the lock of their resources' rows.

    Emits: exchange.dispatch.ended.v1 for each with a filter: of the others nothing is kept.
    """
    ended = [DispatchEnded(resource_id=view.resource_id, view_id=view.view_id, ended_at=now) for view in views if view.where]
    await outbox.add_all(tx, ended, now=now)


async def terminate(
    tx: AsyncSession, policy: Policy, grant_id: UUID, *, reason: str, by: Principal, now: datetime
) -> tuple[store.Grant, store.View]:
    """End a grant, by its requester or its provider; a view that nobody reads any more gets no more batches.

    Raises: GrantNotFound (404), GrantNotActive (409).
    Emits: exchange.grant.terminated.v1.
    Source: 政务数据共享条例 Art. 27.
    """
    found = await _locked(tx, grant_id, by, for_provider=False)
    domain.check_terminable(domain.State(found.state))
    found.state, found.terminated_at, found.termination_reason = domain.State.TERMINATED, now, reason
    await tx.flush()
    await close_unused(tx, [found.resource_id], now=now)
    await outbox.add(tx, GrantTerminated(**found.named, reason=reason, terminated_at=now), now=now)
    await _end_clocks(tx, policy, found, reason=f"the grant was terminated: {reason}", now=now)
    return found, await store.get_view(tx, found.view_id)


async def suspend(
    tx: AsyncSession, policy: Policy, grant_id: UUID, *, reason: str, remedy_until: date | None, by: Principal, now: datetime
) -> tuple[store.Grant, store.View]:
    """Suspend a grant, by its provider or the data authority: nothing can be read by it, and nothing is missed.

    remedy_until: the last day to put it right; the policy's days are counted where none is named.
    Raises: GrantNotFound (404), GrantNotActive (409), TermsInvalid (422).
    Emits: exchange.grant.suspended.v1.
    Source: 政务数据共享条例 Art. 27 (misuse: suspend with a deadline, then terminate).
    """
    found = await _locked(tx, grant_id, by, for_provider=True)
    domain.check_suspendable(found.state_at(now), remedy_until=remedy_until, today=day_of(now))
    owed = _owed_by_requester(found, RuleName.REMEDY, reason)
    clock = await clocks.start(tx, policy, owed, now=now, until=remedy_until)
    assert clock is not None, "a grant is suspended once before it is resumed or over, and then its remedy is owed no more"
    remedy_until = clock.due_on
    found.state, found.suspended_at, found.suspension_reason, found.remedy_until = domain.State.SUSPENDED, now, reason, remedy_until
    await tx.flush()
    await outbox.add(tx, GrantSuspended(**found.named, reason=reason, remedy_until=remedy_until, suspended_at=now), now=now)
    return found, await store.get_view(tx, found.view_id)


async def resume(tx: AsyncSession, grant_id: UUID, *, reason: str, by: Principal, now: datetime) -> tuple[store.Grant, store.View]:
    """Let a suspended grant be read again, by its provider or the data authority; what came meanwhile is on its topic.

    Raises: GrantNotFound (404), GrantNotActive (409).
    Emits: exchange.grant.resumed.v1.
    """
    found = await _locked(tx, grant_id, by, for_provider=True)
    domain.check_resumable(found.state_at(now))
    row = await catalog.get_resource(tx, found.resource_id)
    found.state = domain.State.ACTIVE if row.last_sequence else domain.State.DELIVERING
    found.suspended_at = found.suspension_reason = found.remedy_until = None
    await tx.flush()
    await clocks.meet(tx, found.request_id, RuleName.REMEDY, by=by.subject, now=now)
    await outbox.add(tx, GrantResumed(**found.named, reason=reason, resumed_at=now), now=now)
    return found, await store.get_view(tx, found.view_id)


async def expire_due(tx: AsyncSession, policy: Policy, *, now: datetime, limit: int = 100) -> int:
    """Tell of grants whose time is over, and close what nobody reads any more; return how many.

    Emits: exchange.grant.expired.v1 for each.
    """
    rows = await store.list_overdue(tx, now=now, limit=limit)
    for resource_id in sorted({row.resource_id for row in rows}):
        await catalog.get_resource(tx, resource_id, lock=True)
    said: list[Event] = []
    for row in rows:
        await tx.refresh(row, with_for_update=True)
        if row.state_at(now) is not domain.State.EXPIRED or row.expired_at is not None:
            continue
        assert row.use_until is not None, "only a grant with an end expires"
        row.state, row.expired_at = domain.State.EXPIRED, now
        await _end_clocks(tx, policy, row, reason=f"the grant was good until {row.use_until.isoformat()}", now=now)
        said.append(GrantExpired(**row.named, use_until=row.use_until, expired_at=now))
    await tx.flush()
    await close_unused(tx, {row.resource_id for row in rows}, now=now)
    await outbox.add_all(tx, said, now=now)
    return len(said)


async def dispose(tx: AsyncSession, grant_id: UUID, disposal: Disposal, *, by: Principal, now: datetime) -> tuple[store.Grant, store.View]:
    """File what the requester did with the data of a grant that is over.

    Raises: GrantNotFound (404), GrantNotActive (409), TermsInvalid (422).
    Emits: exchange.grant.disposed.v1.
    Source: 政务数据共享条例 Art. 27 (disposal as the provider requires), 29 (records are kept three years and more).
    """
    found, view = await store.get(tx, grant_id, lock=True)
    if by.own_organization != found.requester_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not file its disposal")
    domain.check_disposable(found.state_at(now), disposed_on=disposal.disposed_on, today=day_of(now))
    found.state, found.disposal, found.disposed_at = domain.State.DISPOSED, disposal.model_dump(mode="json"), now
    await tx.flush()
    await outbox.add(tx, GrantDisposed(**found.named, disposal=disposal, filed_at=now), now=now)
    await clocks.meet(tx, found.request_id, RuleName.DISPOSAL, by=disposal.done_by, now=now)
    return found, view


async def _end_clocks(tx: AsyncSession, policy: Policy, grant: store.Grant, *, reason: str, now: datetime) -> None:
    """Ask for disposal as a grant is over, if there was anything to read by it; nothing else is owed for it any more."""
    await clocks.stop(tx, grant.request_id, RuleName.DELIVERY, RuleName.REMEDY, reason=reason, now=now)
    resource = await catalog.get_resource(tx, grant.resource_id)
    if resource.last_sequence:
        await clocks.start(tx, policy, _owed_by_requester(grant, RuleName.DISPOSAL, reason), now=now)


def _owed_by_requester(grant: store.Grant, rule: RuleName, reason: str) -> Owed:
    about = (grant.request_id, grant.resource_id, reason, grant.grant_id)
    return Owed(rule, Responsible.REQUESTER, grant.requester_ref, *about)


async def _locked(tx: AsyncSession, grant_id: UUID, by: Principal, *, for_provider: bool) -> store.Grant:
    """Return a grant with its resource's row and its own locked, in this order, as batches are accepted."""
    found, _ = await store.get(tx, grant_id)
    allowed = sees(by, found.provider_id) if for_provider else by.own_organization in (found.requester_id, found.provider_id)
    if not allowed:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not change it")
    await catalog.get_resource(tx, found.resource_id, lock=True)
    await tx.refresh(found, with_for_update=True)
    return found


async def get_visible(tx: AsyncSession, grant_id: UUID, who: Principal) -> tuple[store.Grant, store.View]:
    """Return a grant to its requester, its provider, or the authority. Raises GrantNotFound (404)."""
    grant, view = await store.get(tx, grant_id)
    if not sees(who, grant.requester_id, grant.provider_id):
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not see it")
    return grant, view
