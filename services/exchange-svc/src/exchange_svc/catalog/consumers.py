"""What exchange-svc keeps when the catalogue changes."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.teller import wake
from dxmesh_schemas.catalog import OrganizationRef, SystemState
from dxmesh_schemas.catalog_events import (
    OrganizationChanged,
    OrganizationRegistered,
    ResourceChangeAnnounced,
    ResourceChanged,
    ResourceMountChanged,
    ResourcePublished,
    ResourceReturned,
    ResourceWithdrawn,
    SystemChanged,
    SystemRegistered,
)
from dxmesh_schemas.event import Meta
from exchange_svc.catalog import store
from exchange_svc.notice import commands as notices
from exchange_svc.notice import store as notice_store
from exchange_svc.offer.store import CHANNEL as OFFERS


async def on_organization(tx: AsyncSession, event: OrganizationRegistered | OrganizationChanged, meta: Meta) -> None:
    """Keep the organization's newest state."""
    ref = OrganizationRef(organization_id=event.organization_id, uscc=event.uscc, name=event.name, division_code=event.division_code)
    await store.put_organization(tx, ref, kind=event.kind, level=event.level, changed_at=meta.time)


async def on_system(tx: AsyncSession, event: SystemRegistered | SystemChanged, meta: Meta) -> None:
    """Keep whose system it is, for calls that name it."""
    await store.put_system(
        tx,
        event.system_id,
        organization_id=event.organization_id,
        name=event.name,
        is_retired=event.state is SystemState.RETIRED,
        changed_at=meta.time,
    )


async def on_resources(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the versions, and put in force what is newer."""
    with telemetry.continued_each(one.meta for one in incoming):
        await store.put_resources(tx, [cast(ResourcePublished | ResourceChanged, one.event).resource for one in incoming])
        await wake(tx, OFFERS)


async def on_changes(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the versions, put in force what is newer, and end the notices that told of them."""
    await on_resources(tx, incoming)
    changes = [(one.meta, cast(ResourceChanged, one.event)) for one in incoming]
    announced = await notice_store.list_running(tx, {event.resource_id for _, event in changes})
    for meta, event in changes:
        if event.resource_id in announced:
            with telemetry.continued(meta):
                await notices.end(tx, event.resource_id, in_force=event.resource.version, now=utc_now())


async def on_change_announced(tx: AsyncSession, event: ResourceChangeAnnounced, meta: Meta) -> None:  # noqa: ARG001
    """Deliver in the form of the coming version as well."""
    await notices.announce(tx, event, now=utc_now())


async def on_resource_returned(tx: AsyncSession, event: ResourceReturned, meta: Meta) -> None:  # noqa: ARG001
    """Call an announced version off; what was not announced was not told here either."""
    if event.was_announced:
        await notices.call_off(tx, event.resource_id, now=utc_now())


async def on_resource_withdrawn(tx: AsyncSession, event: ResourceWithdrawn, meta: Meta) -> None:  # noqa: ARG001
    """Take no more batches and give no more grants; an announced version does not come."""
    await store.withdraw_resource(tx, event.resource_id, withdrawn_at=event.withdrawn_at)
    await wake(tx, OFFERS)
    await notices.call_off(tx, event.resource_id, now=utc_now())


async def on_mount_changed(tx: AsyncSession, event: ResourceMountChanged, meta: Meta) -> None:  # noqa: ARG001
    """Keep where a resource's data are asked for at its provider."""
    await store.put_mount(
        tx, event.resource_id, kind=event.kind, address=event.address, confirmed_at=event.confirmed_at, changed_at=event.changed_at
    )


HANDLERS: Handlers = {
    OrganizationRegistered: on_organization,
    OrganizationChanged: on_organization,
    SystemRegistered: on_system,
    SystemChanged: on_system,
    ResourcePublished: Group(on_resources),
    ResourceChanged: Group(on_changes),
    ResourceChangeAnnounced: on_change_announced,
    ResourceReturned: on_resource_returned,
    ResourceWithdrawn: on_resource_withdrawn,
    ResourceMountChanged: on_mount_changed,
}
