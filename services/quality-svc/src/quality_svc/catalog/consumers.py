"""What quality-svc keeps when the catalogue or a resource's table changes."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_schemas.catalog_events import CodeSetPublished, ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import TableAdvanced
from quality_svc.catalog import store


async def on_resources(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Keep the versions, and put in force what is newer."""
    with telemetry.continued_each(one.meta for one in incoming):
        await store.put_resources(tx, [cast(ResourcePublished | ResourceChanged, one.event).resource for one in incoming])


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
    ResourcePublished: Group(on_resources),
    ResourceChanged: Group(on_resources),
    ResourceWithdrawn: on_resource_withdrawn,
    CodeSetPublished: on_code_set,
    TableAdvanced: on_table_advanced,
}
