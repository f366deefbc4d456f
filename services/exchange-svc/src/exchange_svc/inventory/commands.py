"""What changes the inventory."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange_channels import ChannelEntered, ChannelMoved
from exchange_svc.access import sees_all
from exchange_svc.batch import store as batches
from exchange_svc.batch.errors import BatchNotFound
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceNotFound
from exchange_svc.inventory import domain, store
from exchange_svc.inventory.domain import Kind, State
from exchange_svc.inventory.errors import ChannelNotFound


async def report(
    tx: AsyncSession,
    channel_id: UUID,
    *,
    kind: Kind,
    name: str,
    agent: str,
    resource_id: UUID,
    state: State,
    detail: str | None,
    last_batch_id: UUID | None,
    by: Principal,
    now: datetime,
) -> store.InventoryChannel:
    """Enter what an agent's job says of itself; a report without a batch leaves the last one standing.

    Raises: ChannelNotFound (404, also for another's), ResourceNotFound (404), BatchNotFound (404).
    Emits: exchange.channel.entered.v1 with the first report, .moved.v1 when its state is another.
    """
    await _own_resource(tx, resource_id, by.own_organization)
    if last_batch_id is not None:
        batch = await batches.find(tx, last_batch_id)
        if batch is None or (batch.provider_id, batch.resource_id) != (by.own_organization, resource_id):
            raise BatchNotFound(f"batch {last_batch_id} does not exist, or you may not see it")
    new = store.InventoryChannel(
        channel_id=channel_id,
        organization_id=by.own_organization,
        kind=kind.value,
        name=name,
        state=state.value,
        entered_at=now,
        entered_by=by.subject,
    )
    row = await store.claim(tx, new)
    if row.organization_id != by.own_organization or Kind(row.kind) is Kind.LEGACY:
        raise ChannelNotFound(f"channel {channel_id} does not exist, or you may not see it")
    is_first, former = row.seen_at is None, State(row.state)
    row.kind, row.name, row.agent, row.resource_id = kind.value, name, agent, resource_id
    row.state, row.detail, row.seen_at = state.value, detail, now
    row.last_batch_id = last_batch_id or row.last_batch_id
    await tx.flush()
    if is_first:
        await _tell_entered(tx, row, reason=detail, now=now)
    elif former is not state:
        await _tell_moved(tx, row, former, reason=detail, now=now)
    return row


async def enter(
    tx: AsyncSession,
    *,
    organization_id: UUID | None,
    name: str,
    transport: str,
    detail: str | None,
    reason: str,
    by: Principal,
    now: datetime,
) -> store.InventoryChannel:
    """Enter a channel from before the node: an organization its own, the data authority anybody's.

    Raises: ChannelNotFound (404) for another's, OrganizationUnknown (409). Emits: exchange.channel.entered.v1.
    """
    owner = organization_id if organization_id is not None and sees_all(by) else by.own_organization
    if organization_id is not None and organization_id != owner:
        raise ChannelNotFound(f"organization {organization_id} does not exist, or you may not enter channels for it")
    await catalog.get_organization(tx, owner)
    row = store.InventoryChannel(
        channel_id=uuid7(),
        organization_id=owner,
        kind=Kind.LEGACY.value,
        name=name,
        transport=transport,
        state=State.TO_CONSOLIDATE.value,
        detail=detail,
        entered_at=now,
        entered_by=by.subject,
    )
    tx.add(row)
    _note(tx, row, reason, by=by, now=now)
    await tx.flush()
    await _tell_entered(tx, row, reason=reason, now=now)
    return row


async def move(
    tx: AsyncSession, channel_id: UUID, *, to: State, resource_id: UUID | None, reason: str, by: Principal, now: datetime
) -> store.InventoryChannel:
    """Say how far the consolidation of a channel is.

    Raises: ChannelNotFound (404), ChannelStepIllegal (409), ChannelInvalid (422), ResourceNotFound (404).
    Emits: exchange.channel.moved.v1.
    """
    row = await store.get(tx, channel_id, None if sees_all(by) else by.own_organization, lock=True)
    domain.check_step(Kind(row.kind), State(row.state), to, resource_id or row.resource_id)
    if resource_id is not None:
        await _own_resource(tx, resource_id, row.organization_id)
        row.resource_id = resource_id
    former, row.state = State(row.state), to.value
    _note(tx, row, reason, by=by, now=now)
    await tx.flush()
    await _tell_moved(tx, row, former, reason=reason, now=now)
    return row


async def _tell_entered(tx: AsyncSession, row: store.InventoryChannel, *, reason: str | None, now: datetime) -> None:
    await outbox.add(tx, ChannelEntered(**await _named(tx, row), reason=reason, entered_at=now), now=now)


async def _tell_moved(tx: AsyncSession, row: store.InventoryChannel, former: State, *, reason: str | None, now: datetime) -> None:
    moved = ChannelMoved(**await _named(tx, row), former_state=former.value, reason=reason, moved_at=now)
    await outbox.add(tx, moved, now=now)


async def _named(tx: AsyncSession, row: store.InventoryChannel) -> dict[str, Any]:
    """Return what every event of a channel carries."""
    return {
        "channel_id": row.channel_id,
        "organization": (await catalog.get_organization(tx, row.organization_id)).ref(),
        "kind": row.kind,
        "name": row.name,
        "transport": row.transport,
        "resource_id": row.resource_id,
        "state": row.state,
    }


def _note(tx: AsyncSession, row: store.InventoryChannel, reason: str, *, by: Principal, now: datetime) -> None:
    tx.add(
        store.InventoryStep(
            step_id=uuid7(), channel_id=row.channel_id, state=row.state, resource_id=row.resource_id, reason=reason, by=by.subject, at=now
        )
    )


async def _own_resource(tx: AsyncSession, resource_id: UUID, organization_id: UUID) -> None:
    resource = await catalog.find_resource(tx, resource_id)
    if resource is None or resource.provider_id != organization_id:
        raise ResourceNotFound(f"resource {resource_id} is not published on this node, or it is not the organization's")
