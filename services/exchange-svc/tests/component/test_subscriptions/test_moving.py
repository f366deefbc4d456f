"""A version that breaks what a grant reads comes in force: a subscription goes on by the new topic, in the new form."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from dxmesh_schemas.catalog import DataItem, DataType, ResourceSnapshot
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced

NEXT = "code,name,people\n330602009,新街道,七\n".encode()


def coming_of(first: ResourceSnapshot) -> ResourceSnapshot:
    """The next version: `since` is gone, `people` is text."""
    items = (first.items[0], first.items[1], DataItem(code="people", name="人数", data_type=DataType.TEXT))
    return first.model_copy(update={"version": 2, "items": items, "schema_url": "https://mesh.example/2"})


async def announce(exchange: Any, coming: ResourceSnapshot) -> None:
    event = ResourceChangeAnnounced(
        resource_id=coming.resource_id,
        resource=coming,
        effective_at=datetime(2026, 12, 22, tzinfo=UTC),
        announced_at=datetime(2026, 11, 22, tzinfo=UTC),
        broken_items=("since", "people"),
        breaks_all=False,
        grants=(),
    )
    await exchange.deliver(event)


async def come_in_force(exchange: Any, coming: ResourceSnapshot) -> None:
    await exchange.publish(**{name: getattr(coming, name) for name in type(coming).model_fields})


@pytest.fixture
async def theirs(fresh_database: Any) -> Any:
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    yield connection, f"{url}?sslmode=disable"
    await connection.close()


async def test_a_subscription_follows_its_grant_to_the_topic_of_the_new_version(node: Any, until: Any, theirs: Any) -> None:
    exchange = node.exchange
    connection, url = theirs
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    grant = await exchange.granted(first)
    subscriber = await node.subscriber()
    hook = await node.hooked(grant, subscriber)
    sink = await node.subscribed(grant, {"mode": "table", "url": url, "table": "streets", "create": True})
    coming = coming_of(first)
    await announce(exchange, coming)
    await node.flow()
    async with node.working():
        await until(lambda: len(subscriber.rows) == 3)
        await until(lambda: _count(connection, 3))
        await come_in_force(exchange, coming)
        await exchange.accepted(first.resource_id, NEXT)
        await node.flow()
        await until(lambda: {"code": "330602009", "name": "新街道", "people": "七"} in subscriber.rows)
        found = await until(lambda: _state(node, sink, "paused"))
        assert "people is bigint; rows need text" in found["reason"].replace("column ", "")
        await connection.execute("ALTER TABLE streets ALTER people TYPE text, DROP COLUMN since")
        assert (await node.post(sink["path"] + "/resumption", {"reason": "已改"})).status_code == 201
        await until(lambda: _count(connection, 4))
        assert (await node.seen(hook))["state"] == "active"
    later = subscriber.rows[3:]
    assert sorted(row["people"] or "" for row in later) == ["", "55000", "81234", "七"], "everything comes once in the new form"
    assert {event["source"] for call in subscriber.taken for event in call.events} == {
        f"/exchange-svc/views/{grant['view_id']}",
        f"/exchange-svc/views/{(await node.get('/v1/grants/' + grant['grant_id'])).json()['view_id']}",
    }
    rows = [tuple(row) for row in await connection.fetch("SELECT code, people FROM streets ORDER BY code")]
    assert rows == [("330602001", "81234"), ("330602002", None), ("330602003", "55000"), ("330602009", "七")]


async def _count(connection: asyncpg.Connection, count: int) -> bool:
    return bool(await connection.fetchval("SELECT count(*) FROM streets") == count)


async def _state(node: Any, made: dict[str, Any], state: str) -> Any:
    found = await node.seen(made)
    return found if found["state"] == state else None
