"""What open-data-svc does when a resource, its table or its department's negative list changes."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import telemetry
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog_events import ResourceChanged, ResourcePublished, ResourceWithdrawn
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEnded, ListEntryEntered, ListEntryEvent
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import TableAdvanced
from dxmesh_tabular.store import ObjectStore
from open_data_svc.catalog import store as catalog
from open_data_svc.dataset import commands
from open_data_svc.negative import store as negative
from open_data_svc.negative.domain import binds


def handlers(objects: ObjectStore, *, keep_versions: int) -> Handlers:
    """Return the handlers."""

    async def follow(tx: AsyncSession, resource_id: UUID) -> None:
        await commands.follow(tx, objects, resource_id, keep_versions=keep_versions, now=utc_now())

    async def on_resources(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
        """Open resources, change what is said of their datasets, or close them; without a table there is nothing to open yet."""
        await negative.hold(tx, alone=False)
        with telemetry.continued_each(one.meta for one in incoming):
            resources = [cast(ResourcePublished | ResourceChanged, one.event).resource for one in incoming]
            await catalog.put_resources(tx, resources)
            for resource_id in await catalog.with_table(tx, [one.resource_id for one in resources]):
                await follow(tx, resource_id)

    async def on_withdrawn(tx: AsyncSession, event: ResourceWithdrawn, meta: Meta) -> None:  # noqa: ARG001
        """Retire the dataset."""
        await negative.hold(tx, alone=False)
        await catalog.withdraw_resource(tx, event.resource_id, reason=event.reason, withdrawn_at=event.withdrawn_at)
        await follow(tx, event.resource_id)

    async def on_tables(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
        """Make a version from the newest table version of each resource; those between are passed over."""
        await negative.hold(tx, alone=False)
        newest: dict[UUID, tuple[TableAdvanced, Meta]] = {}
        for item in incoming:
            assert isinstance(item.event, TableAdvanced)
            known = newest.get(item.event.resource_id)
            if known is None or known[0].table_version < item.event.table_version:
                newest[item.event.resource_id] = item.event, item.meta
        for resource_id, (event, meta) in sorted(newest.items()):
            with telemetry.continued(meta, name="open"):
                await catalog.put_table(tx, event)
                await follow(tx, resource_id)

    async def on_entries(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
        """Keep the negative list, and close or open again what an entry was and is about."""
        entries = [cast(ListEntryEvent, one.event) for one in incoming]
        entries = [entry for entry in entries if entry.kind == "negative"]
        if not entries:
            return
        await negative.hold(tx, alone=True)
        with telemetry.continued_each(one.meta for one in incoming):
            before = await negative.list_entries(tx, [entry.entry_id for entry in entries])
            await negative.put(tx, entries)
            about = [*before, *entries]
            for resource in await catalog.list_of_providers(tx, {entry.owner.organization_id for entry in about}):
                if any(binds(entry, resource) for entry in about):
                    await follow(tx, resource.resource_id)

    return {
        ListEntryEntered: Group(on_entries),
        ListEntryChanged: Group(on_entries),
        ListEntryEnded: Group(on_entries),
        ResourcePublished: Group(on_resources),
        ResourceChanged: Group(on_resources),
        ResourceWithdrawn: on_withdrawn,
        TableAdvanced: Group(on_tables),
    }
