"""A change in a base resource reaches every subscriber, and each one's lag is seen until it has (B03): on a broker with users."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from dxmesh_local.kafka import SECURITY_PROTOCOL, SUPER_USER, SUPER_USER_MECHANISM, Kafka
from dxmesh_runtime import signing
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.lag.settings import LagSettings
from exchange_svc.lag.worker import measure_all
from exchange_svc.package.worker import Workshop
from exchange_svc.reader.settings import ReaderSettings
from exchange_svc.reader.worker import run_readers
from exchange_svc.secrets import derived

CHANGE = "code,name,people,since\n330602001,塔山街道,90000,2001-05-01\n".encode()
WAYS = ["file", "pull", "table", "topic", "webhook"]


@pytest.fixture(scope="session")
def kafka_settings(secured_kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=secured_kafka.bootstrap_servers,
        security_protocol=SECURITY_PROTOCOL,
        sasl_mechanism=SUPER_USER_MECHANISM,
        sasl_username=SUPER_USER,
        sasl_password=secured_kafka.password,
    )


@pytest.fixture
def broker_settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    return kafka_settings


@pytest.fixture
async def keeper(node: Any, tmp_path: Path) -> AsyncIterator[None]:
    """Keep the broker's users and access list as the grants have them."""
    key = derived(signing.load_key(tmp_path / "node.pem"), "readers")
    task = asyncio.create_task(run_readers(node.database, node.kafka, key, ReaderSettings(check_seconds=0.5)))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Reader:
    """A Kafka user that reads a topic in a group, and says what it has."""

    def __init__(self, told: dict[str, Any], topic: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=told["bootstrap_servers"],
            security_protocol=told["security_protocol"],
            sasl_mechanism=told["sasl_mechanism"],
            sasl_plain_username=told["user_name"],
            sasl_plain_password=told["password"],
            group_id=told["group_prefix"] + "clinics",
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            retry_backoff_ms=20,
        )

    async def read(self, count: int) -> None:
        """Read until there are so many rows, and commit behind them."""
        while len(self.rows) < count:
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
                self.rows += [json.loads(record.value) for record in records]
        await self.consumer.commit()


@contextlib.asynccontextmanager
async def _reading(node: Any, topic: str) -> AsyncIterator[Reader]:
    """Register a Kafka user, and yield it connected once the broker knows it."""
    answer = await node.post("/v1/readers", {"name": "clinics"})
    assert answer.status_code == 201, answer.text
    async with asyncio.timeout(60):
        while True:
            reader = Reader(answer.json(), topic)
            try:
                await reader.consumer.start()
                break
            except KafkaError:
                await reader.consumer.stop()
    try:
        yield reader
    finally:
        await reader.consumer.stop()


async def _lags(node: Any, **params: Any) -> dict[str, Any]:
    """Return the lag of each way, by what the requester is told."""
    answer = await node.exchange.client.get("/v1/lag", params=params, headers=node.exchange.steward(node.exchange.requester))
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["groups_told"] is True
    return {one["mode"]: one for item in page["items"] for one in item["subscribers"]}


def _unread(lags: dict[str, Any]) -> dict[str, tuple[str, int, int]]:
    return {mode: (one["standing"], one["unread_batch_count"], one["unread_row_count"]) for mode, one in lags.items()}


async def test_a_change_in_a_base_resource_reaches_every_subscriber_and_the_lag_of_each_is_seen(
    node: Any, until: Any, fresh_database: Any, keeper: None, tmp_path: Path
) -> None:
    exchange = node.exchange
    base = await exchange.publish(taxonomies=("base-population",))
    other = await exchange.granted(await exchange.publish(resource_code="330600-2"))
    grant = await exchange.granted(base)
    theirs = (await fresh_database("")).replace("+asyncpg", "")
    subscriber = await node.subscriber()
    hooked = await node.hooked(grant, subscriber)
    kept = await node.subscribed(grant, {"mode": "table", "url": f"{theirs}?sslmode=disable", "table": "streets", "create": True})
    filed = await node.subscribed(grant, {"mode": "file", "form": "csv"})
    key = signing.load_key(tmp_path / "node.pem")
    sign = partial(signing.sign_jws, key, typ="dxmesh-package+jws")
    workshop = Workshop(node.database, exchange.objects, tmp_path / "packages", "330600", sign, token_keys(derived(key, "pseudonym")))
    rows = f"/v1/grants/{grant['grant_id']}/rows"

    async def had(reader: Reader, count: int) -> None:
        """Let every subscriber have all there is, each by its own way."""
        async with node.working():
            await until(lambda: len(subscriber.rows) == count)
            await reader.read(count)
            await node.get(rows)
            link = (await node.post(filed["path"] + "/packages")).json()["link"]
            assert await workshop.make_next()
            assert (await node.get(link)).status_code == 200
            await until(lambda: _took(node, hooked, kept, count))

    await exchange.accepted(base.resource_id)
    assert _unread(await _lags(node)) == dict.fromkeys(["webhook", "table", "file"], ("reading", 1, 3)), "accepted, on no topic yet"
    await node.flow()
    await exchange.fold()
    assert _unread(await _lags(node)) == dict.fromkeys(["webhook", "table", "file"], ("reading", 1, 3))
    async with _reading(node, grant["topic"]) as reader:
        await had(reader, 3)
        assert _unread(await _lags(node)) == dict.fromkeys(WAYS, ("current", 0, 0))

        await exchange.accepted(base.resource_id, CHANGE, params={"kind": "upsert"})
        await node.flow()
        await exchange.fold()
        lags = await _lags(node, taxonomy="base-population")
        assert _unread(lags) == dict.fromkeys(WAYS, ("reading", 1, 1))
        assert all(one["lag_seconds"] > 0 for one in lags.values())
        assert (lags["topic"]["name"], lags["webhook"]["name"]) == (
            f"org.{exchange.requester.organization_id}.clinics",
            hooked["subscription_id"],
        )
        assert await _lags(node, taxonomy="base-credit") == {}
        await measure_all(node.database, node.kafka, LagSettings(), now=utc_now() + timedelta(hours=1))
        told = {mode: REGISTRY.get_sample_value("dxmesh_subscribers", {"mode": mode, "standing": "behind"}) for mode in WAYS}
        assert told == {"topic": 1, "webhook": 1, "table": 1, "pull": 0, "file": 0}, "what is fetched may wait for a day"
        assert (REGISTRY.get_sample_value("dxmesh_subscriber_lag_seconds", {"mode": "topic"}) or 0) > 3500

        await had(reader, 4)
        lags = await _lags(node)
        assert _unread(lags) == dict.fromkeys(WAYS, ("current", 0, 0))
        assert {one["lag_seconds"] for one in lags.values()} == {0}
        assert subscriber.rows[-1]["people"] == reader.rows[-1]["people"] == 90000
        assert await _people(theirs) == 90000
        assert [row["people"] for row in (await node.get(rows)).json()["items"] if row["code"] == "330602001"] == [90000]
    by_grant = (await node.get(f"/v1/grants/{other['grant_id']}/lag")).json()["items"]
    assert [one["subscribers"] for one in by_grant] == [[]], "nobody reads by it"


async def _took(node: Any, hooked: dict[str, Any], kept: dict[str, Any], count: int) -> bool:
    return [(await node.seen(one))["row_count"] for one in (hooked, kept)] == [count, count]


async def _people(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT people FROM streets WHERE code = '330602001'"))
    finally:
        await connection.close()
