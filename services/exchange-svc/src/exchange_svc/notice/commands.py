"""What is done to notices: announce, follow, put in force, call off."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import GrantChangeAnnounced, GrantChangeCalledOff, GrantMoved, ViewSnapshot
from exchange_svc.catalog import store as catalog
from exchange_svc.grant import commands as grants
from exchange_svc.grant import domain as views
from exchange_svc.grant import store as grant_store
from exchange_svc.grant.store import Grant, View
from exchange_svc.notice import domain, store
from exchange_svc.notice.store import Notice


async def announce(tx: AsyncSession, event: ResourceChangeAnnounced, *, now: datetime) -> None:
    """Keep an announced version, and open a view of it beside each view it touches, with every accepted batch in its form.

    Which grants are touched is decided here, by the grants in force now; the event names those the catalogue knew of.
    Raises: ResourceNotFound (404) when the resource was never published.
    Emits: exchange.grant.change_announced.v1 for each grant; exchange.dispatch.ordered.v1 for each earlier batch.
    """
    resource = await catalog.get_resource(tx, event.resource_id, lock=True)
    if event.resource.version <= resource.version or resource.withdrawn_at is not None:
        return
    await call_off(tx, event.resource_id, now=now)
    notice = Notice(
        resource_id=event.resource_id,
        version=event.resource.version,
        snapshot=event.resource.model_dump(mode="json"),
        touched=None if event.breaks_all else sorted({*event.broken_items, *(item for grant in event.grants for item in grant.items)}),
        announced_at=event.announced_at,
        effective_at=event.effective_at,
    )
    tx.add(notice)
    await tx.flush()
    await grants.close_unused(tx, [event.resource_id], now=now)
    touched = [view for view in await grant_store.list_open_rows(tx, event.resource_id) if domain.touches(notice.touched, view.items)]
    opened = [view for one in touched if (view := await _open_coming(tx, one, notice, now=now)) is not None]
    await _tell(tx, notice, touched, await grant_store.list_live(tx, [view.view_id for view in touched], now=now), now=now)
    await grants.backfill(tx, event.resource_id, [view.open_view for view in opened], now=now)


async def follow(tx: AsyncSession, grant: Grant, *, former: View | None = None, now: datetime) -> None:
    """Let a grant that is given during a notice have the coming version as well; the caller holds the lock of the resource's row.

    former: the view it read until its terms changed. What they take back is deleted for readers of the coming version's former topic.

    Emits: exchange.grant.change_announced.v1; exchange.dispatch.ordered.v1 for each earlier batch when a view of that version opens.
    """
    notice = await store.find(tx, grant.resource_id)
    if notice is None:
        return
    view = await grant_store.get_view(tx, grant.view_id)
    if not domain.touches(notice.touched, view.items):
        return
    opened = await _open_coming(tx, view, notice, now=now)
    await _tell(tx, notice, [view], [grant], now=now)
    if opened is not None:
        open_view = opened.open_view
        if former is not None and former.successor_id is not None:
            had = await grant_store.get_view(tx, former.successor_id)
            open_view = views.taking_back(open_view, had.open_view, grant.read_terms, notice.read())
        await grants.backfill(tx, grant.resource_id, [open_view], now=now)


async def end(tx: AsyncSession, resource_id: UUID, *, in_force: int, now: datetime) -> None:
    """End the notice of a version that is in force by now: grants move to its view, and what they read before closes.

    The caller holds the lock of the resource's row, so each batch was accepted before, and is on both topics, or comes after, and is
    on the new one alone.
    Emits: exchange.grant.moved.v1 for each grant.
    """
    notice = await store.find(tx, resource_id)
    if notice is None or notice.version > in_force:
        return
    if notice.version < in_force:  # the catalogue went on without it
        await call_off(tx, resource_id, now=now)
        return
    coming = notice.read()
    rows = {view.view_id: view for view in await grant_store.list_open_rows(tx, resource_id)}
    leaving = [view for view in rows.values() if view.successor_id is not None]
    said: list[Event] = []
    for grant in await grant_store.list_live(tx, [view.view_id for view in leaving], now=now):
        before = rows[grant.view_id]
        assert before.successor_id is not None, "only views with a successor are left"
        after = rows[before.successor_id]
        grant.view_id = after.view_id
        said.append(GrantMoved(**grant.named, view=_told(after, coming), former_topic=before.topic, moved_at=now))
    await store.end(tx, resource_id)
    await tx.flush()
    for view in leaving:
        view.closed_at = now
    await tx.flush()
    await grants.tell_closed(tx, leaving, now=now)
    taken = {view.identity for view in rows.values() if view.closed_at is None}
    for view in rows.values():
        plain = views.in_force_identity(view.identity)
        if view.view_id in {one.successor_id for one in leaving} and plain not in taken:
            view.identity = plain  # equal grants join it from now on
            taken.add(plain)
    await outbox.add_all(tx, said, now=now)


async def call_off(tx: AsyncSession, resource_id: UUID, *, now: datetime) -> None:
    """End a resource's notice, if one runs, without its version: the views opened for it close.

    Emits: exchange.grant.change_called_off.v1 for each grant.
    """
    await catalog.get_resource(tx, resource_id, lock=True)
    notice = await store.find(tx, resource_id)
    if notice is None:
        return
    rows = {view.view_id: view for view in await grant_store.list_open_rows(tx, resource_id)}
    touched = {view_id for view_id, view in rows.items() if domain.touches(notice.touched, view.items)}
    said: list[Event] = []
    for grant in await grant_store.list_live(tx, touched, now=now):
        successor_id = rows[grant.view_id].successor_id
        topic = None if successor_id is None else rows[successor_id].topic
        said.append(GrantChangeCalledOff(**grant.named, version=notice.version, topic=topic, called_off_at=now))
    for view in rows.values():
        view.successor_id = None
    await store.end(tx, resource_id)
    await tx.flush()
    await grants.close_unused(tx, [resource_id], now=now)
    await outbox.add_all(tx, said, now=now)


async def _open_coming(tx: AsyncSession, view: View, notice: Notice, *, now: datetime) -> View | None:
    """Point a view to the one of the coming version, opened if there is none yet; return it if it was opened."""
    after = views.snapshot(view.open_view, notice.read())
    if after is None:
        return None
    items = after.items
    identity = views.coming_identity(view.open_view, view.identity, notice.version, items)
    found = await grant_store.find_open_view(tx, view.resource_id, identity)
    opened = None
    if found is None:
        view_id = uuid7()
        found = opened = View(
            view_id=view_id,
            resource_id=view.resource_id,
            resource_version=notice.version,
            items=list(items),
            identity=identity,
            topic=views.topic_of(view_id),
            form=notice.snapshot,
            where=view.where,
            masks=view.masks,
            scope=view.scope,
            schema_base=None if view.schema_base is None else view.schema_base.replace(str(view.view_id), str(view_id)),
            opened_at=now,
        )
        tx.add(found)
        await tx.flush()
    view.successor_id = found.view_id
    await tx.flush()
    return opened


async def _tell(tx: AsyncSession, notice: Notice, touched: Iterable[View], readers: Sequence[Grant], *, now: datetime) -> None:
    coming = notice.read()
    told: dict[UUID, ViewSnapshot | None] = {}
    for view in touched:
        after = None if view.successor_id is None else await grant_store.get_view(tx, view.successor_id)
        told[view.view_id] = None if after is None else _told(after, coming)
    said = [
        GrantChangeAnnounced(
            **grant.named,
            version=notice.version,
            view=told[grant.view_id],
            announced_at=notice.announced_at,
            effective_at=notice.effective_at,
        )
        for grant in readers
    ]
    await outbox.add_all(tx, said, now=now)


def _told(view: View, coming: ResourceSnapshot) -> ViewSnapshot:
    found = views.snapshot(view.open_view, coming)
    assert found is not None, "a view is opened for a coming version only with items of it"
    return found
