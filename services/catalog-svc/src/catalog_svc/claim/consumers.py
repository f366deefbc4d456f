"""What the catalogue's own events change here: the index of items follows each version, claims end with their items."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.claim import commands
from catalog_svc.matching import commands as matching
from catalog_svc.matching import store as items
from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog_events import OrganizationChanged, ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Meta


async def on_resources(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Index the versions' items, all with a few statements; an item that is gone is no source any more."""
    versions = [cast(ResourcePublished | ResourceChanged, one.event).resource for one in incoming]
    with telemetry.continued_each(one.meta for one in incoming):
        for resource in await matching.index(tx, versions):
            if resource.version > 1:  # nothing of a first version can be gone
                kept = frozenset(item.code for item in resource.items)
                reason = f"version {resource.version} of the resource has no such item"
                await commands.end_of_resource(tx, resource.resource_id, kept=kept, reason=reason, now=utc_now())


async def on_resource_withdrawn(tx: AsyncSession, event: ResourceWithdrawn, meta: Meta) -> None:  # noqa: ARG001
    """Forget the resource's items and release what they were the source of."""
    await items.lock_resources(tx, [event.resource_id])  # before a division, as whoever indexes does
    await commands.end_of_resource(
        tx, event.resource_id, kept=frozenset(), reason=f"the resource was withdrawn: {event.reason}", now=utc_now()
    )
    await matching.forget(tx, event.resource_id)


async def on_organization_changed(tx: AsyncSession, event: OrganizationChanged, meta: Meta) -> None:  # noqa: ARG001
    """Follow an organization to its division."""
    await matching.move_organization(tx, event.organization_id)


HANDLERS: Handlers = {
    ResourcePublished: Group(on_resources),
    ResourceChanged: Group(on_resources),
    ResourceWithdrawn: on_resource_withdrawn,
    OrganizationChanged: on_organization_changed,
}
