"""Record batches made from columns, read back from a real broker by three clients, are the records that went in."""

import asyncio
import contextlib
import io
import time
from uuid import uuid4

import confluent_kafka
import cramjam
import kafka as kafka_python
import polars as pl
import pytest

from dxmesh_runtime import broker
from exchange_svc.delivery import record_batch, row_batch
from exchange_svc.delivery.clients import ensure_view_topics, transactional
from exchange_svc.delivery.record_batch import Piece
from exchange_svc.delivery.settings import DeliverySettings

HEADERS = (("batch", b"6f0c3c0e-52a1-5f0d-9a39-6b1f6f1d8c11"), ("schema", b"http://node.test/v1/resources/1/versions/1/schema.json"))
CELLS = [
    (b"a", b"1"),
    ("越城区府山街道".encode(), '{"name":"绍兴市越城区府山街道"}'.encode()),
    (None, b"no key"),
    (b"deleted", None),
    (None, None),
    (b"", b""),
    (b"large", bytes(i * 31 % 251 for i in range(200_000))),
    (b"very large", b"x" * 1_500_000),
    *((f"{n:06d}".encode(), f'{{"n":{n}}}'.encode()) for n in range(20_000)),
]
EXPECTED = [(key, value, [*HEADERS, ("row", str(row).encode())]) for row, (key, value) in enumerate(CELLS, 1)]


def piece() -> Piece:
    keys, values = zip(*CELLS, strict=True)
    return Piece(
        pl.Series(keys, dtype=pl.Binary),
        pl.Series(values, dtype=pl.Binary),
        pl.int_range(1, len(CELLS) + 1, dtype=pl.UInt32, eager=True),
        ((len(CELLS), HEADERS),),
    )


async def send(producer, topic: str, module) -> None:
    for builder in module.pack([piece()], now_ms=time.time_ns() // 1_000_000, transactional=True):
        await (await producer.send_batch(builder, topic, partition=0))


@pytest.fixture(scope="module", params=[record_batch, row_batch], ids=["columns", "rows"])
async def topic(mesh, request):
    """A topic on which the same records were aborted, committed and, by a producer that died, left open and fenced."""
    name = f"record-batch-{uuid4()}"
    tuning = DeliverySettings()
    await ensure_view_topics(mesh.kafka, [name], tuning)
    async with transactional(mesh.kafka, name, tuning) as producer:
        await producer.begin_transaction()
        await send(producer, name, request.param)
        await producer.abort_transaction()
        await producer.begin_transaction()
        await send(producer, name, request.param)
        await producer.commit_transaction()
        await producer.begin_transaction()
        await send(producer, name, request.param)
        async with transactional(mesh.kafka, name, tuning):
            pass  # fences the first and ends its transaction
    return name


async def test_aiokafka_reads_what_went_in(mesh, topic):
    found = await mesh.read(topic)
    assert [(record.key, record.value, list(record.headers)) for record in found] == EXPECTED


async def test_confluent_kafka_reads_what_went_in(mesh, topic):
    reader = confluent_kafka.Consumer(
        {
            "bootstrap.servers": mesh.kafka.bootstrap_servers,
            "group.id": str(uuid4()),
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "check.crcs": True,
            "enable.partition.eof": True,
        }
    )
    reader.assign([confluent_kafka.TopicPartition(topic, 0, 0)])

    def read() -> list[tuple]:
        found = []
        while True:
            for message in reader.consume(5000, timeout=10):
                if message.error():
                    assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
                    return found
                found.append((message.key(), message.value(), message.headers()))

    found = await asyncio.to_thread(read)
    reader.close()
    assert found == EXPECTED


class Zstandard:
    """What kafka-python asks of the package zstandard, which is not installed here."""

    class ZstdDecompressor:
        def stream_reader(self, source: io.BytesIO, read_across_frames: bool):
            return contextlib.nullcontext(io.BytesIO(bytes(cramjam.zstd.decompress(source.read()))))


async def test_kafka_python_reads_what_went_in(mesh, topic, monkeypatch):
    monkeypatch.setattr("kafka.codec.zstd", Zstandard)

    def read() -> list[tuple]:
        reader = kafka_python.KafkaConsumer(
            bootstrap_servers=mesh.kafka.bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest", check_crcs=True
        )
        place = kafka_python.TopicPartition(topic, 0)
        reader.assign([place])
        reader.seek_to_beginning(place)
        end = reader.end_offsets([place])[place]
        found = []
        while reader.position(place) < end:
            for records in reader.poll(timeout_ms=500).values():
                found += [(record.key, record.value, list(record.headers)) for record in records]
        reader.close()
        return found

    assert await asyncio.to_thread(read) == EXPECTED


async def test_a_producer_without_transactions_sends_columns_idempotently(mesh):
    name = f"record-batch-{uuid4()}"
    await ensure_view_topics(mesh.kafka, [name], DeliverySettings())
    async with broker.producer(mesh.kafka) as producer:
        for builder in record_batch.pack([piece()], now_ms=time.time_ns() // 1_000_000, transactional=False):
            await (await producer.send_batch(builder, name, partition=1))
    assert [(record.key, record.value, list(record.headers)) for record in await mesh.read(name)] == EXPECTED
