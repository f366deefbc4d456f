"""A catalogue of a city's size: all its events make the same catalogue elsewhere, and everything in it is found."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import select

from benchmarks import catalog_t5
from catalog_svc.resource.store import Resource, ResourceVersion
from dxmesh_runtime.db import connect
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_runtime.testing import deliver, incoming, outbox_events
from dxmesh_schemas.catalog_events import OrganizationRegistered, ResourcePublished
from exchange_svc.catalog import consumers as catalog
from exchange_svc.catalog import store as replica
from tests.scale.conftest import City

_AT_ONCE = 500
_LOADED_SECONDS = 120


async def test_the_whole_catalogue_is_published_with_its_items(city: City) -> None:
    async with city.sessions() as session:
        rows = (await session.execute(select(Resource.state, Resource.item_count, Resource.shareable_item_count))).all()
    assert {row.state for row in rows} == {"published"}
    assert len(rows) == catalog_t5.RESOURCES
    assert sum(row.item_count for row in rows) == catalog_t5.ITEMS
    assert sum(row.shareable_item_count for row in rows) == catalog_t5.SHAREABLE_ITEMS


async def test_all_events_make_the_same_catalogue_in_an_empty_neighbour(
    city: City, fresh_database: Callable[[str], Awaitable[str]]
) -> None:
    events = [event for event in await outbox_events(city.sessions) if type(event) in catalog.HANDLERS]
    assert sum(isinstance(event, ResourcePublished) for event in events) == catalog_t5.RESOURCES
    assert sum(isinstance(event, OrganizationRegistered) for event in events) == len(catalog_t5.publishers())
    # order holds per key alone: other keys may come in any order, and some events twice
    chance = random.Random(7)
    chance.shuffle(events)
    sent = [incoming(event) for event in events]
    sent += chance.sample(sent, 1000)
    neighbour = connect(DatabaseSettings(url=await fresh_database("exchange_svc")))
    for begin in range(0, len(sent), _AT_ONCE):
        await deliver(neighbour.sessions, catalog.HANDLERS, *sent[begin : begin + _AT_ONCE])
    async with city.sessions() as session:
        published = {row.resource_id: row.snapshot for row in await session.scalars(select(ResourceVersion))}
    async with neighbour.sessions() as session:
        held = {row.resource_id: row for row in await session.scalars(select(replica.Resource))}
        organizations = {row.uscc: row.name for row in await session.scalars(select(replica.Organization))}
    await neighbour.close()
    assert held.keys() == published.keys()
    assert [resource_id for resource_id, row in held.items() if row.snapshot != published[resource_id]] == []
    assert organizations == {publisher.uscc: publisher.name for publisher in catalog_t5.publishers()}


async def test_every_resource_is_found_by_its_name(city: City) -> None:
    deadline = time.monotonic() + _LOADED_SECONDS
    while (await city.client.get("/v1/search", headers=city.authority)).json().get("total") != catalog_t5.RESOURCES:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    chance = random.Random(11)
    for publisher, entry in chance.sample(catalog_t5.resources(), 300):
        asked = {"q": entry["name"], "organization": city.organizations[publisher.uscc], "limit": 1}
        found = (await city.client.get("/v1/search", params=asked, headers=city.keeper(publisher.uscc))).json()
        assert found["items"][0]["name"] == entry["name"]
    facets = (await city.client.get("/v1/search", headers=city.authority)).json()["facets"]
    assert sum(one["count"] for one in facets["organization"]) == catalog_t5.RESOURCES
    assert len(facets["organization"]) == len(catalog_t5.publishers())
