"""The worker on real Kafka and PostgreSQL: what is on the topics is in the log, once, whatever happens in between."""

import asyncio
import time
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import select

from audit_svc import worker
from audit_svc.checkpoint.domain import Head, Signer, published
from audit_svc.log.errors import TreeCorrupt
from audit_svc.log.store import Entry, Tree
from dxmesh_client.receipt import verify
from dxmesh_runtime import broker
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_runtime.signing import create_key
from dxmesh_runtime.testing import incoming
from dxmesh_schemas.catalog_events import SystemRegistered
from dxmesh_schemas.event import Meta
from dxmesh_schemas.events import topics

TOPIC = "dxmesh.catalog.system"
DEADLINE_SECONDS = 60


async def until(found, what):
    """Return what `found` gives once it gives something."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if result := await found():
            return result
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what} did not come within {DEADLINE_SECONDS} s")


@pytest.fixture
async def on_kafka(log, kafka):
    """The settings of the log, and a producer, on a broker that has every topic."""
    settings = log.settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)})
    await broker.ensure_topics(settings.kafka, [*topics(), "dxmesh.test.future"])
    settings = settings.model_copy(update={"log": settings.log.model_copy(update={"topics": ("dxmesh.test.future",)})})
    producer = broker.producer(settings.kafka)
    await producer.start()
    yield settings, producer
    await producer.stop()


@asynccontextmanager
async def working(settings):
    task = asyncio.create_task(worker.run(settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send(producer, *items, topic=TOPIC):
    waiting = [await producer.send(topic, item.payload, b"key", headers=item.meta.headers()) for item in items]
    await asyncio.gather(*waiting)


def systems(count):
    return [incoming(SystemRegistered(system_id=uuid7(), organization_id=UUID(int=1), name="x")) for _ in range(count)]


def recorded(log, items):
    async def found():
        async with log.sessions() as session:
            wanted = [item.meta.event_id for item in items]
            rows = (await session.scalars(select(Entry).where(Entry.event_id.in_(wanted)).order_by(Entry.index))).all()
            tree = (await session.scalars(select(Tree))).one()
            return rows if len(rows) == len(items) and tree.signed_size == tree.size else None

    return lambda: until(found, f"{len(items)} signed entries")


async def test_what_is_on_the_topics_is_recorded_in_order_and_proven(log, on_kafka, client, auditor):
    settings, producer = on_kafka
    items = systems(700)
    future = [Meta(uuid7(), "dxmesh.test.future.happened.v1", "/future-svc", utc_now())]
    async with working(settings):
        await send(producer, *items)
        await producer.send_and_wait("dxmesh.test.future", b"\x00 any bytes", None, headers=future[0].headers())
        rows = await recorded(log, items)()
        assert [(row.event_id, row.payload) for row in rows] == [(item.meta.event_id, item.payload) for item in items]

        async def receipt():
            answer = await client.get(f"/v1/receipts/{future[0].event_id}", headers=auditor)
            return answer if answer.status_code == 200 else None

        answer = await until(receipt, "the receipt of an unknown type")
    found = verify(answer.content, (await client.get("/v1/log-key")).text)
    assert (found.payload, found.event_type) == (b"\x00 any bytes", "dxmesh.test.future.happened.v1")


async def test_a_worker_that_stops_midway_goes_on_without_a_repeat(log, on_kafka):
    settings, producer = on_kafka
    items = systems(3000)
    await send(producer, *items[:2000])
    async with working(settings):
        await recorded(log, items[:1])()
    await send(producer, *items[1500:])  # the last 500 of before once more, as after a broker that lost its end
    async with working(settings):
        rows = await recorded(log, items)()
    assert [row.event_id for row in rows] == [item.meta.event_id for item in items]
    await worker.verify(log.database, log.signer)


async def test_a_record_that_is_no_event_is_parked_and_what_follows_is_recorded(log, on_kafka):
    settings, producer = on_kafka
    good = systems(2)
    async with working(settings):
        await send(producer, good[0])
        await producer.send_and_wait(TOPIC, b"junk", b"key")
        await producer.send_and_wait(TOPIC, b"{}", b"key", headers=systems(1)[0].meta.headers())
        await send(producer, good[1])
        await recorded(log, good)()
        reader = broker.consumer(settings.kafka, f"{TOPIC}.dlt")
        await reader.start()
        try:
            values = set()
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not {b"junk", b"{}"} <= values:
                    values.add((await reader.getone()).value)
        finally:
            await reader.stop()


async def test_a_worker_does_not_start_on_a_tampered_log(log, on_kafka):
    settings, _ = on_kafka
    await log.record(*systems(5))
    async with log.sessions.begin() as tx:
        (await tx.scalars(select(Entry).where(Entry.index == 3))).one().payload = b"{}"
    with pytest.raises(TreeCorrupt, match="the payload of entry 3"):
        await asyncio.wait_for(worker.run(settings), DEADLINE_SECONDS)


async def test_a_worker_does_not_start_on_a_database_older_than_what_was_announced(log, on_kafka):
    settings, producer = on_kafka
    items = systems(5)
    await log.record(*items)
    async with log.sessions() as session:
        tree = (await session.scalars(select(Tree))).one()
    ahead, other = (
        published(settings.log.origin, head, log.signer.sign(head), utc_now()) for head in (Head(9, bytes(32)), Head(5, bytes(32)))
    )
    same = published(settings.log.origin, Head(5, tree.root_hash), log.signer.sign(Head(5, tree.root_hash)), utc_now())
    for announcement, fault in ((same, None), (ahead, "a checkpoint of 9 was announced"), (other, "announced was 0000")):
        found = incoming(announcement)
        await producer.send_and_wait(announcement.TOPIC, found.payload, announcement.key.encode(), headers=found.meta.headers())
        if fault is None:
            await worker.verify(log.database, log.signer, settings.kafka)
        else:
            with pytest.raises(TreeCorrupt, match=fault):
                await worker.verify(log.database, log.signer, settings.kafka)
    await producer.send_and_wait(ahead.TOPIC, b"junk", ahead.key.encode())
    await worker.verify(log.database, log.signer, settings.kafka)


async def test_an_announcement_by_another_key_is_not_ours(log, on_kafka, tmp_path):
    settings, producer = on_kafka
    stranger = Signer(settings.log.origin, create_key(tmp_path / "stranger.pem"))
    announcement = published(settings.log.origin, Head(9, bytes(32)), stranger.sign(Head(9, bytes(32))), utc_now())
    await producer.send_and_wait(announcement.TOPIC, announcement.encode(), announcement.key.encode())
    await worker.verify(log.database, log.signer, settings.kafka)
