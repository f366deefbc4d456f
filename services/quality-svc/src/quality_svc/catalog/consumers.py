"""What quality-svc keeps when the catalogue or a resource's table changes."""

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.consumer import Handlers
from dxmesh_schemas.catalog_events import CodeSetPublished, ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import TableAdvanced
from quality_svc.catalog import store


async def on_resource(tx: AsyncSession, event: ResourcePublished | ResourceChanged, meta: Meta) -> None:  # noqa: ARG001
    """Keep the version, and put it in force if it is newer."""
    await store.put_resource(tx, event.resource)


async def on_resource_withdrawn(tx: AsyncSession, event: ResourceWithdrawn, meta: Meta) -> None:  # noqa: ARG001
    """Remember that the resource takes no more batches."""
    await store.withdraw_resource(tx, event.resource_id, withdrawn_at=event.withdrawn_at)


async def on_code_set(tx: AsyncSession, event: CodeSetPublished, meta: Meta) -> None:  # noqa: ARG001
    """Keep the version of the code set."""
    await store.put_code_set(tx, event)


async def on_table_advanced(tx: AsyncSession, event: TableAdvanced, meta: Meta) -> None:  # noqa: ARG001
    """Let references resolve to the table's new version."""
    await store.put_table(tx, event)


HANDLERS: Handlers = {
    ResourcePublished: on_resource,
    ResourceChanged: on_resource,
    ResourceWithdrawn: on_resource_withdrawn,
    CodeSetPublished: on_code_set,
    TableAdvanced: on_table_advanced,
}
