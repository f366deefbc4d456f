"""What exchange-svc keeps when the catalogue changes."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import OrganizationChanged, OrganizationRegistered, ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Meta
from exchange_svc.catalog import store


async def on_organization(tx: AsyncSession, event: OrganizationRegistered | OrganizationChanged, meta: Meta) -> None:
    """Keep the organization's newest state."""
    ref = OrganizationRef(organization_id=event.organization_id, uscc=event.uscc, name=event.name, division_code=event.division_code)
    await store.put_organization(tx, ref, changed_at=meta.time)


async def on_resources(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the versions, and put in force what is newer."""
    with telemetry.continued_each(one.meta for one in incoming):
        await store.put_resources(tx, [cast(ResourcePublished | ResourceChanged, one.event).resource for one in incoming])


async def on_resource_withdrawn(tx: AsyncSession, event: ResourceWithdrawn, meta: Meta) -> None:  # noqa: ARG001
    """Take no more batches and give no more grants."""
    await store.withdraw_resource(tx, event.resource_id, withdrawn_at=event.withdrawn_at)


HANDLERS: Handlers = {
    OrganizationRegistered: on_organization,
    OrganizationChanged: on_organization,
    ResourcePublished: Group(on_resources),
    ResourceChanged: Group(on_resources),
    ResourceWithdrawn: on_resource_withdrawn,
}
