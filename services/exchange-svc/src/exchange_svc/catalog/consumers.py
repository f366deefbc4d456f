"""What exchange-svc keeps when the catalogue changes."""

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Handlers
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import OrganizationChanged, OrganizationRegistered, ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Meta
from exchange_svc.catalog import store


async def on_organization(tx: AsyncSession, event: OrganizationRegistered | OrganizationChanged, meta: Meta) -> None:
    """Keep the organization's newest state."""
    ref = OrganizationRef(organization_id=event.organization_id, uscc=event.uscc, name=event.name, division_code=event.division_code)
    await store.put_organization(tx, ref, changed_at=meta.time)


async def on_resource(tx: AsyncSession, event: ResourcePublished | ResourceChanged, meta: Meta) -> None:  # noqa: ARG001
    """Keep the version, and put it in force if it is newer."""
    await store.put_resource(tx, event.resource)


async def on_resource_withdrawn(tx: AsyncSession, event: ResourceWithdrawn, meta: Meta) -> None:  # noqa: ARG001
    """Take no more batches and give no more grants."""
    await store.withdraw_resource(tx, event.resource_id, withdrawn_at=event.withdrawn_at)


HANDLERS: Handlers = {
    OrganizationRegistered: on_organization,
    OrganizationChanged: on_organization,
    ResourcePublished: on_resource,
    ResourceChanged: on_resource,
    ResourceWithdrawn: on_resource_withdrawn,
}
