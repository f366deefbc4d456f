"""A snapshot of a resource that everyone reads whole: by each way its readers end with its rows, and none it has no more."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from dxmesh_local.kafka import Kafka
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.subscription.domain import Place
from exchange_svc.subscription.records import Reader

Copy = dict[str, Any]
Read = Callable[[], Awaitable[Copy]]


@pytest.fixture
def kafka_settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


def csv(found: dict[str, str]) -> bytes:
    return ("code,name,people\n" + "".join(f"{code},{name},1\n" for code, name in found.items())).encode()


@asynccontextmanager
async def topic(node: Any, grant: Any, _: str) -> AsyncIterator[Read]:
    async def read() -> Copy:
        async with Reader(node.kafka, grant["topic"], max_rows=100, max_bytes=1 << 20) as reader:
            place, copy = await reader.begin(Place(), None), Copy()
            while not await reader.drained():
                rows, place = await reader.next(place, timeout_ms=50)
                copy |= {row.key: None if row.value is None else json.loads(row.value)["name"] for row in rows}
        return {key: name for key, name in copy.items() if name is not None}

    yield read


@asynccontextmanager
async def changes(node: Any, grant: Any, _: str) -> AsyncIterator[Read]:
    path = f"/v1/grants/{grant['grant_id']}"
    copy = Copy()
    cursor = (await node.get(f"{path}/rows")).headers["changes-cursor"]

    async def read() -> Copy:
        nonlocal cursor
        answer = await node.get(f"{path}/changes?cursor={cursor}")
        assert answer.status_code == 200, answer.text
        cursor = answer.json()["next_cursor"]
        copy.update({one["key"]: one["value"] and one["value"]["name"] for one in answer.json()["items"]})
        return {key: name for key, name in copy.items() if name is not None}

    yield read


@asynccontextmanager
async def webhook(node: Any, grant: Any, _: str) -> AsyncIterator[Read]:
    subscriber = await node.subscriber()
    await node.hooked(grant, subscriber)

    async def read() -> Copy:
        events = [event for call in subscriber.taken for event in call.events]
        copy = {event["subject"]: event.get("data", {}).get("name") for event in events}
        return {key: name for key, name in copy.items() if name is not None}

    yield read


@asynccontextmanager
async def table(node: Any, grant: Any, url: str) -> AsyncIterator[Read]:
    connection = await asyncpg.connect(url)
    await node.subscribed(grant, {"mode": "table", "url": f"{url}?sslmode=disable", "table": "streets", "create": True})

    async def read() -> Copy:
        return {row["code"]: row["name"] for row in await connection.fetch("SELECT code, name FROM streets")}

    yield read
    await connection.close()


@pytest.mark.parametrize("way", [topic, changes, webhook, table], ids=lambda way: way.__name__)
async def test_a_snapshot_of_base_data_leaves_no_reader_with_rows_it_has_no_more(
    node: Any, until: Any, fresh_database: Any, way: Any
) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id, csv({"1": "a", "2": "b", "3": "c"}), params={"kind": "snapshot"})
    grant = await exchange.granted(resource, items=["code", "name"])
    url = (await fresh_database("")).replace("+asyncpg", "") if way is table else ""
    async with way(node, grant, url) as read, node.working():
        for upserted, snapshot in (({"4": "d", "2": "e"}, {"2": "f", "5": "g"}), ({"1": "h"}, {"1": "h"})):
            await exchange.accepted(resource.resource_id, csv(upserted), params={"kind": "upsert"})
            await exchange.accepted(resource.resource_id, csv(snapshot), params={"kind": "snapshot"})
            await node.flow()

            async def is_there(expected: Copy = snapshot) -> bool:
                return await read() == expected

            await until(is_there)
