"""Readers on a broker with users: the service with its keeper at work, and consumers as departments have them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from dxmesh_local.kafka import SECURITY_PROTOCOL, SUPER_USER, SUPER_USER_MECHANISM, Kafka
from dxmesh_runtime import broker, signing
from dxmesh_runtime.db import Database, connect
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings
from exchange_svc.reader import access, domain
from exchange_svc.reader.settings import ReaderSettings
from exchange_svc.reader.worker import run_readers
from exchange_svc.secrets import derived

SECONDS = 60


@pytest.fixture(scope="session")
def kafka_settings(secured_kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=secured_kafka.bootstrap_servers,
        security_protocol=SECURITY_PROTOCOL,
        sasl_mechanism=SUPER_USER_MECHANISM,
        sasl_username=SUPER_USER,
        sasl_password=secured_kafka.password,
    )


@dataclass
class Kept:
    """The service with its keeper at work, and the broker."""

    exchange: Any
    kafka: KafkaSettings
    database: Database
    key: bytes
    keeper: asyncio.Task[None]

    async def reader(self, by: Any = None, name: str = "clinics") -> dict[str, Any]:
        """Register a reader and return what was told, once Kafka knows it or it has to wait."""
        answer = await self.exchange.client.post("/v1/readers", json={"name": name}, headers=self.steward(by))
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return await self.agreed(answer.json())

    def steward(self, by: Any = None) -> dict[str, str]:
        headers: dict[str, str] = self.exchange.steward(by or self.exchange.requester)
        return headers

    async def agreed(self, told: dict[str, Any]) -> dict[str, Any]:
        """Wait until the broker has what the service says of this reader."""

        async def same() -> bool:
            shown = (await self.exchange.client.get(f"/v1/readers/{told['reader_id']}", headers=self.exchange.authority)).json()
            users, entries = await self.on_broker(shown["user_name"])
            topics = {entry.name for entry in entries if entry.resource_type == domain.ResourceType.TOPIC}
            return (users, topics) == (shown["state"] == "active", set(shown["topics"]))

        await Kept.until(same, "the broker did not follow")
        return told

    async def on_broker(self, user: str) -> tuple[bool, set[domain.Entry]]:
        async with access.connected(self.kafka) as there:
            entries = {entry for entry in await there.entries() if entry.principal == f"User:{user}"}
            return user in await there.users(), entries

    async def granted(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Grant a new resource and put a row on its topic, as the delivery worker does."""
        resource = await self.exchange.publish()
        grant = await self.exchange.granted(resource, **options)
        await self.write(grant["topic"], b"first")
        return resource, grant

    async def write(self, topic: str, value: bytes) -> None:
        await broker.ensure_topics(self.kafka.model_copy(update={"partitions": 1}), {topic: {}})
        async with broker.producer(self.kafka) as producer:
            await producer.send_and_wait(topic, value)

    @contextlib.asynccontextmanager
    async def consumer(self, reader: dict[str, Any], topic: str, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
        """An ordinary consumer with what the reader was told."""
        found = AIOKafkaConsumer(
            topic,
            **Kept.login(reader),
            group_id=group,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        try:
            await found.start()
            yield found
        finally:
            await found.stop()

    async def read_one(self, reader: dict[str, Any], topic: str, group: str | None = None) -> bytes:
        async with asyncio.timeout(SECONDS), self.consumer(reader, topic, group) as found:
            value: bytes = (await found.getone()).value
            return value

    @staticmethod
    async def until(holds: Callable[[], Awaitable[Any]], otherwise: str) -> Any:
        deadline = time.monotonic() + SECONDS
        while not (found := await holds()):
            assert time.monotonic() < deadline, otherwise
            await asyncio.sleep(0.02)
        return found

    @staticmethod
    def login(reader: dict[str, Any], **changes: Any) -> dict[str, Any]:
        told = {
            "bootstrap_servers": reader["bootstrap_servers"],
            "security_protocol": reader["security_protocol"],
            "sasl_mechanism": reader["sasl_mechanism"],
            "sasl_plain_username": reader["user_name"],
            "sasl_plain_password": reader["password"],
            "retry_backoff_ms": 20,
        }
        return told | changes

    @staticmethod
    def keeping(database: Database, kafka: KafkaSettings, key: bytes) -> asyncio.Task[None]:
        return asyncio.create_task(run_readers(database, kafka, key, ReaderSettings(check_seconds=0.5)))

    @staticmethod
    async def ended(keeper: asyncio.Task[None]) -> None:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper

    @staticmethod
    async def refused(consumer: AIOKafkaConsumer) -> tuple[float, list[bytes]]:
        """Fetch until Kafka refuses; return after how many seconds, and what still came."""
        begun, came = time.monotonic(), []
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    for records in (await consumer.getmany(timeout_ms=50)).values():
                        came += [record.value for record in records]
                except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):
                    return time.monotonic() - begun, came


@pytest.fixture
async def kept(exchange: Any, kafka_settings: KafkaSettings, tmp_path: Any) -> AsyncIterator[Kept]:
    database = connect(DatabaseSettings(url=exchange.url))
    key = derived(signing.load_key(tmp_path / "node.pem"), "readers")
    keeper = Kept.keeping(database, kafka_settings, key)
    yield Kept(exchange, kafka_settings, database, key, keeper)
    await Kept.ended(keeper)
    await database.close()
