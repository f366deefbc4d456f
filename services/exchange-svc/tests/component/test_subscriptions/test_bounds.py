"""What one subscription meets does not reach the others: bounded in number, and patient with what nobody foresaw."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.subscription import store
from exchange_svc.subscription.worker import Worker


@pytest.fixture
async def theirs(fresh_database: Any) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    yield connection, f"{url}?sslmode=disable"
    await connection.close()


async def test_a_process_owns_so_many_and_leaves_the_others_to_another(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscribers = [await node.subscriber() for _ in range(2)]
    for one in subscribers:
        await node.hooked(grant, one)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working(most_owned=1):
        await until(lambda: len(subscribers[0].rows) == 3)
        assert subscribers[1].taken == []
        async with node.working(most_owned=1):
            await until(lambda: len(subscribers[1].rows) == 3)


@pytest.mark.parametrize("offsets", ["[]", '{"0": -5}', '{"x": 1}', '{"0": 1.5}'])
async def test_a_place_that_somebody_changed_pauses_the_table_with_the_remedy(
    node: Any, until: Any, theirs: tuple[asyncpg.Connection, str], offsets: str
) -> None:
    exchange, (connection, url) = node.exchange, theirs
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    made = await node.subscribed(grant, {"mode": "table", "url": url, "table": "streets", "create": True})
    enter = "INSERT INTO dxmesh_place VALUES ($1, 1, $2, $3, 0, now())"
    await connection.execute(enter, UUID(made["subscription_id"]), grant["topic"], offsets)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working():
        found = await until(lambda: _paused(node, made))
    assert "dxmesh_place is not as this node left it" in found["reason"]


async def test_what_nobody_foresaw_is_met_with_patience_and_is_told(node: Any, until: Any) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    made = await node.hooked(grant, await node.subscriber())
    steps = 0

    class Broken:
        async def step(self, _: Any) -> None:
            nonlocal steps
            steps += 1
            raise RuntimeError("of a kind that no courier names")

        async def close(self) -> None: ...

    means = node.means(first_retry_seconds=3600.0, most_retry_seconds=3600.0)
    task = asyncio.create_task(Worker(node.database, means, {Mode.WEBHOOK: lambda _: Broken()}).run())
    try:
        found = await until(lambda: _failing(node, made))
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "RuntimeError" in found["failure"]
    assert "no courier names" not in found["failure"]


async def test_ranges_of_a_batch_and_those_after_it_are_of_its_own_topic(node: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant, other = await exchange.granted(resource), await exchange.granted(resource, by=exchange.stranger, items=["code"])
    batches = [await exchange.accepted(resource.resource_id) for _ in range(3)]
    await node.flow()
    async with exchange.sessions() as tx:
        mine = await store.ranges_since(tx, grant["topic"], UUID(str(batches[1]["batch_id"])))
        theirs = await store.ranges_since(tx, other["topic"], UUID(str(batches[0]["batch_id"])))
        assert await store.ranges_since(tx, "", UUID(str(batches[0]["batch_id"]))) is None
        assert await store.ranges_since(tx, grant["topic"], UUID(int=1)) is None
    assert mine is not None
    assert theirs is not None
    assert sum(last - first + 1 for _, first, last in mine) == 6
    assert sum(last - first + 1 for _, first, last in theirs) == 9


async def _paused(node: Any, made: dict[str, Any]) -> Any:
    found = await node.seen(made)
    return found if found["state"] == "paused" else None


async def _failing(node: Any, made: dict[str, Any]) -> Any:
    found = await node.seen(made)
    return found if found["failure_count"] else None
