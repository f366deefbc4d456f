"""A broker that lost its disk and was given its topics again: subscriptions skip nothing of them and bring nothing twice unseen."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from exchange_svc.subscription.domain import Place
from exchange_svc.subscription.records import Reader, TopicShort


@pytest.fixture
async def theirs(fresh_database: Any) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    yield connection, f"{url}?sslmode=disable"
    await connection.close()


def line(name: str) -> bytes:
    return f"code,name\n1,{name}\n".encode()


async def lose(node: Any, *topics: str) -> None:
    """Let the broker lose topics with all that was on them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=node.kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
    finally:
        await admin.close()


async def give_again(node: Any) -> None:
    """Publish every dispatch again, as the relay does for a broker that was emptied."""
    node.published.clear()
    await node.flow()


async def names(connection: asyncpg.Connection, table: str) -> list[str]:
    return [row["name"] for row in await connection.fetch(f"SELECT name FROM {table} ORDER BY name")]


async def test_a_topic_that_was_made_anew_is_known_by_its_records_and_not_by_its_length(node: Any, until: Any, theirs: Any) -> None:
    connection, url = theirs
    exchange = node.exchange
    keyed, blind = await exchange.publish(), await exchange.publish(key=())
    grants = [await exchange.granted(keyed, items=["code", "name"]), await exchange.granted(blind, items=["code", "name"])]
    subscriber = await node.subscriber()
    hook = await node.hooked(grants[0], subscriber)
    tables = [
        await node.subscribed(grant, {"mode": "table", "url": url, "table": name, "create": True})
        for grant, name in zip(grants, ("keyed", "blind"), strict=True)
    ]
    for name in ("a", "b"):  # a transaction each: the marker of the first takes an offset
        for resource in (keyed, blind):
            await exchange.accepted(resource.resource_id, line(name), params={"kind": "upsert" if resource.key else "append"})
        await node.flow()
    async with node.working():
        await until(lambda: _has(node, hook, 2))
        for made in tables:
            await until(lambda made=made: _has(node, made, 2))
    await lose(node, *(grant["topic"] for grant in grants))
    for resource in (keyed, blind):
        await exchange.accepted(resource.resource_id, line("c"), params={"kind": "upsert" if resource.key else "append"})
    await give_again(node)  # all in one transaction: what is new lies before the place of what was read
    async with node.working():
        await until(lambda: _seen(subscriber, "c"))
        await until(lambda: _is(connection, "keyed", ["c"]))
        found = await until(lambda: _paused(node, tables[1]))
    assert "the topic was made anew" in found["reason"], "rows without a key would be there twice"
    assert await names(connection, "blind") == ["a", "b"]
    told = [(event["source"], event["id"]) for call in subscriber.taken for event in call.events]
    assert len(set(told)) == 3, "what comes again has the names it had"
    assert [row["name"] for row in subscriber.rows][-3:] == ["a", "b", "c"]


async def test_a_reader_that_stays_open_knows_a_topic_that_was_made_anew(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource, items=["code", "name"])
    for name in ("a", "b"):
        await exchange.accepted(resource.resource_id, line(name), params={"kind": "upsert"})
        await node.flow()
    async with Reader(node.kafka, grant["topic"], max_rows=100, max_bytes=1 << 20) as reader:
        place = await reader.begin(Place(), None)
        while len(place.marks) < 1 or not await reader.drained():
            _, place = await reader.next(place, timeout_ms=100)
        await lose(node, grant["topic"])
        for name in ("c", "d", "e"):
            await exchange.accepted(resource.resource_id, line(name), params={"kind": "upsert"})
        await give_again(node)
        monkeypatch.setattr("exchange_svc.subscription.records._SILENCE_MS", 0)  # the broker was away
        with pytest.raises(TopicShort, match="another record"):
            await _read_on(reader, place)


async def _read_on(reader: Reader, place: Place) -> None:
    for _ in range(100):
        rows, place = await reader.next(place, timeout_ms=100)
        assert rows == [], "they were read from the middle of another topic"


async def _has(node: Any, made: dict[str, Any], count: int) -> bool:
    return bool((await node.seen(made))["row_count"] >= count)


async def _paused(node: Any, made: dict[str, Any]) -> Any:
    found = await node.seen(made)
    return found if found["state"] == "paused" else None


async def _is(connection: asyncpg.Connection, table: str, wanted: list[str]) -> bool:
    return await names(connection, table) == wanted


def _seen(subscriber: Any, name: str) -> bool:
    return any(row.get("name") == name for row in subscriber.rows)
