"""What the lists hear: a version that comes in force meets duties and answers demands, a grant meets the demand of its requester."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.sharing_list import commands
from dxmesh_runtime.consumer import Group, Handlers, Incoming
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog_events import ResourceChanged, ResourcePublished
from dxmesh_schemas.exchange import GrantActivated


async def on_version(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Find what waits for these resources."""
    ids = {item.event.resource_id for item in incoming if isinstance(item.event, ResourcePublished | ResourceChanged)}
    await commands.meet_by_publication(tx, ids, now=utc_now())


async def on_grant(tx: AsyncSession, incoming: Sequence[Incoming]) -> None:
    """Find the demands that are met by it."""
    granted = {
        (item.event.requester.organization_id, item.event.resource_id) for item in incoming if isinstance(item.event, GrantActivated)
    }
    await commands.meet_by_grant(tx, granted, now=utc_now())


HANDLERS: Handlers = {ResourcePublished: Group(on_version), ResourceChanged: Group(on_version), GrantActivated: Group(on_grant)}
