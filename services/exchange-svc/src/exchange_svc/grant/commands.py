"""What is done to grants: activate, terminate; and the opening of views with all that came before."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OrganizationRef, ResourceSnapshot, SharingType
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import BatchKind, GrantActivated, GrantTerminated
from exchange_svc.access import sees
from exchange_svc.batch import store as batches
from exchange_svc.catalog import store as catalog
from exchange_svc.grant import domain, store
from exchange_svc.grant.errors import GrantNotFound


async def activate(
    tx: AsyncSession,
    resource: ResourceSnapshot,
    *,
    request_id: UUID,
    requester: OrganizationRef,
    items: Sequence[str],
    sharing: SharingType,
    use_until: datetime | None,
    now: datetime,
) -> store.Grant:
    """Give a grant: join the equal view, or open one and order every accepted batch for it.

    The caller holds the lock of the resource's row, so no batch is accepted between the backfill and the view's first live batch.
    Emits: exchange.grant.activated.v1; exchange.dispatch.ordered.v1 for each earlier batch when a view opens.
    """
    grant_id = uuid7()
    await store.close_unused_views(tx, [resource.resource_id], now=now)
    identity = domain.view_identity(items, sharing, grant_id)
    view = await store.find_open_view(tx, resource.resource_id, identity)
    opened = view is None
    if view is None:
        view_id = uuid7()
        view = store.View(
            view_id=view_id,
            resource_id=resource.resource_id,
            resource_version=resource.version,
            items=list(items),
            identity=identity,
            topic=domain.topic_of(view_id),
            opened_at=now,
        )
        tx.add(view)
        await tx.flush()
    grant = store.Grant(
        grant_id=grant_id,
        request_id=request_id,
        resource_id=resource.resource_id,
        requester_id=requester.organization_id,
        requester=requester.model_dump(mode="json"),
        provider_id=resource.provider.organization_id,
        view_id=view.view_id,
        state=domain.State.ACTIVE,
        use_until=use_until,
        activated_at=now,
    )
    tx.add(grant)
    await tx.flush()
    told = domain.snapshot(view.open_view, resource)
    assert told is not None, "a grant has at least one item of the version in force"
    activated = GrantActivated(
        grant_id=grant_id,
        request_id=request_id,
        resource_id=resource.resource_id,
        requester=requester,
        view=told,
        use_until=use_until,
        activated_at=now,
    )
    await outbox.add(tx, activated, now=now)
    if opened:
        await backfill(tx, view.resource_id, [view.open_view], now=now)
    return grant


async def backfill(tx: AsyncSession, resource_id: UUID, views: Sequence[domain.OpenView], *, now: datetime) -> None:
    """Order every accepted batch of a resource for views that open; the caller holds the lock of the resource's row.

    Emits: exchange.dispatch.ordered.v1 for each batch of which something may leave.
    """
    async for group in batches.stream_accepted(tx, resource_id):
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


async def terminate(tx: AsyncSession, grant_id: UUID, *, reason: str, by: Principal, now: datetime) -> tuple[store.Grant, store.View]:
    """End a grant, by its requester or its provider; a view that nobody reads any more gets no more batches.

    Raises: GrantNotFound (404), GrantNotActive (409).
    Emits: exchange.grant.terminated.v1.
    Source: 政务数据共享条例 Art. 27.
    """
    found, _ = await store.get(tx, grant_id)
    if by.own_organization not in (found.requester_id, found.provider_id):
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not see it")
    await catalog.get_resource(tx, found.resource_id, lock=True)
    await tx.refresh(found, with_for_update=True)
    domain.check_terminable(domain.State(found.state))
    found.state, found.terminated_at, found.termination_reason = domain.State.TERMINATED, now, reason
    await tx.flush()
    await store.close_unused_views(tx, [found.resource_id], now=now)
    terminated = GrantTerminated(
        grant_id=grant_id,
        request_id=found.request_id,
        resource_id=found.resource_id,
        requester=found.requester_ref,
        reason=reason,
        terminated_at=now,
    )
    await outbox.add(tx, terminated, now=now)
    return found, await store.get_view(tx, found.view_id)


async def get_visible(tx: AsyncSession, grant_id: UUID, who: Principal) -> tuple[store.Grant, store.View]:
    """Return a grant to its requester, its provider, or the authority. Raises GrantNotFound (404)."""
    grant, view = await store.get(tx, grant_id)
    if not sees(who, grant.requester_id, grant.provider_id):
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not see it")
    return grant, view
