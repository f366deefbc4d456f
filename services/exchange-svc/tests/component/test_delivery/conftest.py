"""A broker of their own for the tests of delivery, which share its one topic of dispatches and may kill it."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import polars as pl
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports
from dxmesh_runtime import broker
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.settings import KafkaSettings, ObjectStoreSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, DeliveryCompleted, DispatchOrdered, ObjectRef, ViewSnapshot
from dxmesh_tabular.store import ObjectStore
from exchange_svc.delivery.settings import DeliverySettings
from exchange_svc.delivery.worker import run_delivery
from exchange_svc.enforcement.rows import token_keys

TOPICS = [DispatchOrdered.TOPIC, DeliveryCompleted.TOPIC]
SECONDS = 120


@dataclass
class Mesh:
    """A broker, an object store, and what the rest of exchange-svc would do: order dispatches, read topics."""

    server: Kafka
    folder: Path
    sequences: dict[UUID, int] = field(default_factory=dict)

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.server.bootstrap_servers)

    @property
    def store(self) -> ObjectStore:
        return ObjectStore.open(self.folder.as_uri())

    @property
    def settings(self) -> SimpleNamespace:
        return SimpleNamespace(kafka=self.kafka, object_store=ObjectStoreSettings(url=self.folder.as_uri()))

    def put(self, frame: pl.DataFrame) -> ObjectRef:
        path = self.folder.parent / f"{uuid4()}.parquet"
        frame.write_parquet(path)
        return self.store.put_file(f"batches/{uuid4()}/rows.parquet", path, row_count=len(frame))

    def view(self, resource_id: UUID, items: Sequence[str] = ("code", "name"), key: Sequence[str] = ("code",)) -> ViewSnapshot:
        view_id = uuid4()
        return ViewSnapshot(
            view_id=view_id,
            resource_id=resource_id,
            resource_version=1,
            items=tuple(items),
            key=tuple(key),
            topic=f"dxmesh.view.{view_id}",
            schema_url=f"http://node.test/v1/resources/{resource_id}/versions/1/schema.json",
        )

    def order(
        self, *views: ViewSnapshot, rows: pl.DataFrame | ObjectRef, kind: BatchKind = BatchKind.UPSERT, sequence: int | None = None
    ) -> DispatchOrdered:
        resource_id = views[0].resource_id
        self.sequences[resource_id] = sequence or self.sequences.get(resource_id, 0) + 1
        return DispatchOrdered(
            resource_id=resource_id,
            batch_id=uuid4(),
            sequence=self.sequences[resource_id],
            kind=kind,
            rows=rows if isinstance(rows, ObjectRef) else self.put(rows),
            views=views,
            ordered_at=utc_now(),
        )

    async def publish(self, *events: DispatchOrdered, traceparent: str | None = None) -> None:
        """Publish dispatches as the relay does."""
        await broker.ensure_topics(self.kafka, TOPICS)
        producer = broker.producer(self.kafka)
        async with producer:
            for event in events:
                headers = Meta(uuid4(), event.TYPE, event.SOURCE, utc_now(), traceparent=traceparent).headers()
                await producer.send_and_wait(event.TOPIC, event.encode(), event.key.encode(), headers=headers)

    async def publish_bytes(self, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        await broker.ensure_topics(self.kafka, TOPICS)
        async with broker.producer(self.kafka) as producer:
            await producer.send_and_wait(DispatchOrdered.TOPIC, value, b"poison", headers=headers)

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """Return every committed record of a topic, by partition and offset; none when the topic does not exist."""
        async with asyncio.timeout(SECONDS):
            return await self._read(topic)

    async def _read(self, topic: str) -> list[ConsumerRecord]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.server.bootstrap_servers)
        await admin.start()
        [found] = await admin.describe_topics([topic])
        await admin.close()
        places = [TopicPartition(topic, partition) for partition in sorted(part["partition"] for part in found["partitions"])]
        if not places:
            return []
        async with broker.consumer(self.kafka) as reader:
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            ends = await reader.end_offsets(places)
            found = []
            for place in places:
                while await reader.position(place) < ends[place]:
                    found += (await reader.getmany(place, timeout_ms=200)).get(place, [])
        return found

    async def completions(self, *events: DispatchOrdered) -> list[DeliveryCompleted]:
        batches = {event.batch_id for event in events}
        found = [DeliveryCompleted.decode(record.value) for record in await self.read(DeliveryCompleted.TOPIC)]
        return sorted((event for event in found if event.batch_id in batches), key=lambda event: event.sequence)

    async def all_completed(self, *events: DispatchOrdered) -> list[DeliveryCompleted]:
        """Wait until every view of these dispatches has its event, and return all of them."""
        wanted = {(event.batch_id, view.view_id) for event in events for view in event.views}

        async def enough() -> bool:
            return {(event.batch_id, event.view_id) for event in await self.completions(*events)} >= wanted

        await eventually(enough)
        return await self.completions(*events)

    @contextlib.asynccontextmanager
    async def worker(self, **tuning: object) -> AsyncIterator[asyncio.Task[None]]:
        await broker.ensure_topics(self.kafka, TOPICS)
        task = asyncio.create_task(run_delivery(self.settings, token_keys(b"node"), DeliverySettings(**tuning)))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("delivery ")], "a lane outlived its worker"


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"did not hold within {seconds} s"
        await asyncio.sleep(0.05)


def frame(first: int, count: int) -> pl.DataFrame:
    numbers = pl.int_range(first, first + count, dtype=pl.UInt32, eager=True)
    return pl.DataFrame({"row_": numbers, "code": numbers.cast(pl.String).str.zfill(6), "name": "街道" + numbers.cast(pl.String)})


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with tempfile.TemporaryDirectory(prefix="dxmesh-delivery-") as name:
        ports = Ports.free()
        server = Kafka(Path(name) / "kafka", ports.kafka, ports.kafka_controller)
        folder = Path(name) / "objects"
        folder.mkdir()
        server.start()
        yield Mesh(server, folder)
        server.kill()


@pytest.fixture
def rows() -> Callable[[int, int], pl.DataFrame]:
    return frame


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    return eventually
