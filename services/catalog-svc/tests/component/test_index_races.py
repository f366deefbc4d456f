"""Who writes the index of items at once, or late: each waits for the other, and nothing old overwrites what is."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.claim.consumers import HANDLERS
from catalog_svc.grant import store as grants
from catalog_svc.matching import commands, store
from catalog_svc.matching.store import ItemEntry, ItemName, ItemToken
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog_events import OrganizationChanged, ResourcePublished

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def published(node: Any, **changes: Any) -> tuple[dict[str, Any], ResourcePublished]:
    """Publish a resource; return its provider and its event."""
    organization, system = await node.provider()
    made = await node.published(organization, system, **changes)
    of_it = [one for one in await node.events() if isinstance(one, ResourcePublished)]
    return organization, next(one for one in of_it if str(one.resource.resource_id) == made["resource_id"])


async def waits_for(node: Any, first: AsyncSession, second: Awaitable[Any]) -> bool:
    """Start the second while the first is not committed; say whether it waited, and end both."""
    task = asyncio.ensure_future(second)
    waited = False
    async with asyncio.timeout(20), node.sessions() as watch:
        while not task.done() and not waited:
            waited = bool(await watch.scalar(WAITING))
            await watch.rollback()  # the next look sees the statistics anew
            await asyncio.sleep(0.01)
    await first.commit()
    await task
    return waited


async def divisions(node: Any) -> set[str]:
    async with node.sessions() as tx:
        return set(await tx.scalars(select(ItemEntry.division_code)))


async def move(node: Any, organization: dict[str, Any]) -> OrganizationChanged:
    body = {"name": organization["name"], "level": "county", "division_code": "330602", "kind": "department"}
    path = f"/v1/organizations/{organization['organization_id']}"
    assert (await node.client.put(path, json=body, headers=node.authority)).status_code == 200
    return next(one for one in await node.events() if isinstance(one, OrganizationChanged))


async def test_two_that_index_a_resource_at_once_do_so_one_after_the_other(node: Any) -> None:
    _, event = await published(node)
    await deliver(node.sessions, HANDLERS, event)  # its names are known, so that nobody waits for those
    async with node.sessions() as tx:
        await commands.index(tx, [event.resource])
        assert await waits_for(node, tx, deliver(node.sessions, HANDLERS, event))
    async with node.sessions() as tx:
        assert len((await tx.scalars(select(ItemEntry))).all()) == 3


async def test_a_version_indexed_while_words_change_is_indexed_in_the_words_in_force(node: Any) -> None:
    _, event = await published(node)
    async with node.sessions() as tx:
        await commands.put_synonym(tx, "街道代码", concept="镇街编号", by="test-client", now=utc_now())
        assert await waits_for(node, tx, deliver(node.sessions, HANDLERS, event))
    async with node.sessions.begin() as tx:
        assert await commands.rekey_all(tx) == 0, "nothing was left in the words of before"


async def test_bringing_all_names_to_the_words_in_force_waits_for_whoever_changes_them(node: Any) -> None:
    _, event = await published(node)
    await deliver(node.sessions, HANDLERS, event)

    async def all_of_them() -> None:
        async with node.sessions.begin() as tx:
            assert await commands.rekey_all(tx) == 0

    async with node.sessions() as tx:
        await commands.put_synonym(tx, "街道代码", concept="镇街编号", by="test-client", now=utc_now())
        assert await waits_for(node, tx, all_of_them())


async def test_an_older_version_handled_after_a_move_leaves_its_items_where_the_organization_is(node: Any) -> None:
    organization, event = await published(node)
    moved = await move(node, organization)
    await deliver(node.sessions, HANDLERS, moved)
    await deliver(node.sessions, HANDLERS, event)  # of another topic: it may come later
    assert await divisions(node) == {"330602"}


async def test_a_move_told_while_a_version_is_indexed_moves_its_items_too(node: Any) -> None:
    organization, event = await published(node)
    async with node.sessions() as tx:
        await commands.index(tx, [event.resource])
        moved = await move(node, organization)
        assert await waits_for(node, tx, deliver(node.sessions, HANDLERS, moved))
    assert await divisions(node) == {"330602"}


async def test_names_that_no_item_has_any_more_go(node: Any) -> None:
    _, event = await published(node)
    await deliver(node.sessions, HANDLERS, event)
    async with node.sessions.begin() as tx:
        assert await commands.remove_unused_names(tx, utc_now()) == 0
        kept = set(await tx.scalars(select(ItemName.key)))
    async with node.sessions.begin() as tx:
        await store.remove_entries(tx, [event.resource.resource_id])
        assert await commands.remove_unused_names(tx, utc_now()) == len(kept) > 0
        assert (await tx.scalars(select(ItemName.key))).all() == []
        assert (await tx.scalars(select(ItemToken.key))).all() == []


async def test_names_are_not_taken_from_a_version_that_is_being_indexed(node: Any) -> None:
    _, event = await published(node)
    await deliver(node.sessions, HANDLERS, event)
    async with node.sessions.begin() as tx:
        await store.remove_entries(tx, [event.resource.resource_id])  # its names are left, and nobody's

    async def sweep() -> None:
        async with node.sessions.begin() as tx:
            assert await commands.remove_unused_names(tx, utc_now()) == 0

    async with node.sessions() as tx:
        await commands.index(tx, [event.resource])
        assert await waits_for(node, tx, sweep())


async def test_a_grant_whose_term_is_over_is_kept_no_longer(node: Any) -> None:
    now = utc_now()
    row = {"resource_id": UUID(int=1), "requester_id": UUID(int=2), "requester_name": "局", "items": ["a"], "activated_at": now}
    terms = {UUID(int=3): now, UUID(int=4): now + timedelta(seconds=1), UUID(int=5): None}
    async with node.sessions.begin() as tx:
        tx.add_all([grants.GrantInForce(grant_id=grant_id, use_until=until, **row) for grant_id, until in terms.items()])
    async with node.sessions.begin() as tx:
        assert await grants.remove_lapsed(tx, now) == 1
        assert set(await tx.scalars(select(grants.GrantInForce.grant_id))) == {UUID(int=4), UUID(int=5)}
