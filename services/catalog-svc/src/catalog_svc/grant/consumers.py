"""What the catalogue keeps of grants that begin and end."""

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.grant import store
from dxmesh_runtime.consumer import Handlers
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import GrantActivated, GrantMoved, GrantTerminated
from dxmesh_schemas.exchange_sharing import GrantExpired, GrantTermsChanged


async def on_grant_activated(tx: AsyncSession, event: GrantActivated, meta: Meta) -> None:  # noqa: ARG001
    """Keep who reads the resource."""
    await store.put(tx, event)


async def on_grant_moved(tx: AsyncSession, event: GrantMoved, meta: Meta) -> None:  # noqa: ARG001
    """Keep what it reads of the version that is in force by now."""
    await store.move(tx, event.grant_id, event.view.items)


async def on_terms_changed(tx: AsyncSession, event: GrantTermsChanged, meta: Meta) -> None:  # noqa: ARG001
    """Keep what it reads by its new terms, and until when."""
    await store.move(tx, event.grant_id, event.view.items)
    await store.limit(tx, event.grant_id, event.use_until)


async def on_grant_over(tx: AsyncSession, event: GrantTerminated | GrantExpired, meta: Meta) -> None:  # noqa: ARG001
    """Forget it: a change of the resource touches it no more."""
    await store.end(tx, event.grant_id)


HANDLERS: Handlers = {
    GrantActivated: on_grant_activated,
    GrantMoved: on_grant_moved,
    GrantTermsChanged: on_terms_changed,
    GrantTerminated: on_grant_over,
    GrantExpired: on_grant_over,
}
