"""The broker's behaviour suite: duplicate, replay, rebalance, poison, broker away, broker emptied, two relays."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports
from dxmesh_runtime import broker, outbox
from dxmesh_runtime.consumer import Consumer, Group
from dxmesh_runtime.db import Database, utc_now
from dxmesh_runtime.relay import LOCK, Relay
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.problem import Invalid

pytestmark = pytest.mark.long


async def until(holds: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(item) for item in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


async def say(database: Database, thing: Any, *values: int, thing_id: UUID | None = None) -> None:
    async with database.sessions.begin() as tx:
        await outbox.add_all(tx, [thing.event(thing_id=thing_id or uuid4(), value=value) for value in values], now=utc_now())


async def effects(database: Database) -> list[int]:
    async with database.sessions() as session:
        return list((await session.execute(text("SELECT value FROM effect ORDER BY n"))).scalars())


def recording(database: Database, thing: Any, settings: KafkaSettings, **more: Any) -> Consumer:
    async def on_happened(tx: AsyncSession, event: Any, _: Meta) -> None:
        if event.value < 0:
            raise Invalid("value is negative; send a positive one")
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

    return Consumer(thing.group, settings, database, {thing.event: on_happened}, **more)


async def partitions(database: Database, thing: Any) -> dict[int, int]:
    """Return on which partition each value was published."""
    async with database.sessions() as session:
        rows = await session.execute(text("SELECT payload, partition FROM outbox WHERE published_at IS NOT NULL"))
        return {thing.event.decode(payload).value: partition for payload, partition in rows}


async def pending(database: Database) -> int:
    async with database.sessions() as session:
        return int((await session.execute(text("SELECT count(*) FROM outbox WHERE published_at IS NULL"))).scalar_one())


async def test_each_event_takes_effect_once_and_in_order(database: Database, thing: Any, settings: KafkaSettings) -> None:
    one = uuid4()
    async with running(Relay(database, settings, source=thing.source).run(), recording(database, thing, settings, max_group=7).run()):
        for start in range(0, 100, 10):
            await say(database, thing, *range(start, start + 10), thing_id=one)

        async def all_there() -> bool:
            return len(await effects(database)) == 100

        await until(all_there)
    assert await effects(database) == list(range(100))
    assert await pending(database) == 0
    assert sum((await broker.end_offsets(settings, [thing.topic])).values()) == 100  # published once: nothing was healed that was not lost


async def test_an_event_sent_again_has_no_second_effect(database: Database, thing: Any, settings: KafkaSettings) -> None:
    async with running(Relay(database, settings, source=thing.source).run(), recording(database, thing, settings).run()):
        await say(database, thing, 1)

        async def first_there() -> bool:
            return await effects(database) == [1]

        await until(first_there)
        async with database.sessions.begin() as tx:
            await tx.execute(text("UPDATE outbox SET published_at = NULL"))
        await say(database, thing, 2)

        async def both_there() -> bool:
            return 2 in await effects(database)

        await until(both_there)
    assert await effects(database) == [1, 2]


async def test_wrong_data_is_parked_and_what_follows_goes_on_and_replay_repairs_it(
    database: Database, thing: Any, settings: KafkaSettings
) -> None:
    one = uuid4()
    consumer = recording(database, thing, settings)
    async with running(Relay(database, settings, source=thing.source).run(), consumer.run()):
        await say(database, thing, 1, -2, 3, thing_id=one)

        async def others_there() -> bool:
            return await effects(database) == [1, 3]

        await until(others_there)
    reader = broker.consumer(settings, thing.topic + ".dlt")
    await reader.start()
    parked = await reader.getone()
    await reader.stop()
    headers = dict(parked.headers)
    assert headers["dlt_reason"] == b"value is negative; send a positive one"
    assert headers["dlt_consumer"] == thing.group.encode()
    assert thing.event.decode(parked.value).value == -2

    async def mended(tx: AsyncSession, event: Any, _: Meta) -> None:
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

    replayer = Consumer(thing.group, settings, database, {thing.event: mended})
    assert await replayer.replay() == (1, 0)
    assert await effects(database) == [1, 3, -2]
    assert await Consumer(thing.group, settings, database, {thing.event: mended}).replay() == (0, 0)


async def test_a_record_that_is_no_cloudevent_is_parked(database: Database, thing: Any, settings: KafkaSettings) -> None:
    await broker.ensure_topics(settings, [thing.topic])
    producer = broker.producer(settings)
    await producer.start()
    await producer.send_and_wait(thing.topic, b"hello", b"k")
    await producer.stop()
    async with running(recording(database, thing, settings).run(), Relay(database, settings, source=thing.source).run()):
        await say(database, thing, 5)

        async def parked_and_next_there() -> bool:
            ends = await broker.end_offsets(settings, [thing.topic + ".dlt"])
            return await effects(database) == [5] and sum(ends.values()) == 1

        await until(parked_and_next_there)


async def test_a_fault_of_ours_stalls_its_partition_and_skips_nothing(database: Database, thing: Any, settings: KafkaSettings) -> None:
    failures = 0

    async def failing(tx: AsyncSession, event: Any, _: Meta) -> None:
        nonlocal failures
        if event.value == 2 and failures < 3:
            failures += 1
            raise ConnectionError("a neighbour is away")
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

    consumer = Consumer(thing.group, settings, database, {thing.event: failing})
    async with running(Relay(database, settings, source=thing.source).run(), consumer.run()):
        await say(database, thing, 1, 2, 3, thing_id=uuid4())

        async def all_there() -> bool:
            return len(await effects(database)) == 3

        await until(all_there)
    assert await effects(database) == [1, 2, 3]
    assert failures == 3


async def test_a_second_consumer_takes_over_and_nothing_is_handled_twice(database: Database, thing: Any, settings: KafkaSettings) -> None:
    async with running(Relay(database, settings, source=thing.source).run(), recording(database, thing, settings, max_group=5).run()):
        for value in range(200):
            await say(database, thing, value)
        async with running(recording(database, thing, settings, max_group=5).run()):
            for value in range(200, 400):
                await say(database, thing, value)

            async def most_there() -> bool:
                return len(await effects(database)) > 250

            await until(most_there)

        async def all_there() -> bool:
            return len(await effects(database)) >= 400

        await until(all_there, 40)
    assert sorted(await effects(database)) == list(range(400))


async def test_of_two_relays_one_works_and_the_other_takes_over(database: Database, thing: Any, settings: KafkaSettings) -> None:
    first, second = Relay(database, settings, source=thing.source), Relay(database, settings, source=thing.source)
    async with running(first.run(), second.run()) as tasks:

        async def one_ready() -> bool:
            return bool(first.ready) != bool(second.ready)

        await until(one_ready)
        await say(database, thing, *range(50))
        leader = 0 if first.ready else 1
        tasks[leader].cancel()
        await asyncio.gather(tasks[leader], return_exceptions=True)
        await say(database, thing, *range(50, 100))

        async def none_pending() -> bool:
            return await pending(database) == 0

        await until(none_pending)
    ends = await broker.end_offsets(settings, [thing.topic])
    assert sum(ends.values()) >= 100


async def test_events_of_one_group_share_a_transaction_or_have_no_effect(database: Database, thing: Any, settings: KafkaSettings) -> None:
    sizes: list[int] = []

    async def on_many(tx: AsyncSession, found: Any) -> None:
        sizes.append(len(found))
        for item in found:
            await tx.execute(
                text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": item.event.thing_id, "v": item.event.value}
            )

    await say(database, thing, *range(300), thing_id=uuid4())
    consumer = Consumer(thing.group, settings, database, {thing.event: Group(on_many)})
    async with running(Relay(database, settings, source=thing.source).run()):

        async def none_pending() -> bool:
            return await pending(database) == 0

        await until(none_pending)
        async with running(consumer.run()):

            async def all_there() -> bool:
                return len(await effects(database)) == 300

            await until(all_there)
    assert await effects(database) == list(range(300))
    assert max(sizes) > 50


async def test_what_waits_in_several_partitions_shares_a_transaction(database: Database, thing: Any, settings: KafkaSettings) -> None:
    groups: list[set[tuple[int, int]]] = []  # (transaction, partition)

    async def on_many(tx: AsyncSession, found: Any) -> None:
        number = (await tx.execute(text("SELECT txid_current()"))).scalar_one()
        groups.append({(number, item.partition) for item in found})
        for item in found:
            await tx.execute(
                text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": item.event.thing_id, "v": item.event.value}
            )

    for value in range(40):
        await say(database, thing, value)
    consumer = Consumer(thing.group, settings, database, {thing.event: Group(on_many)}, together=True)
    async with running(Relay(database, settings, source=thing.source).run()):

        async def none_pending() -> bool:
            return await pending(database) == 0

        await until(none_pending)
        async with running(consumer.run()):

            async def all_there() -> bool:
                return len(await effects(database)) == 40

            await until(all_there)
    assert sorted(await effects(database)) == list(range(40))
    assert max(len(group) for group in groups) == len(await broker.end_offsets(settings, [thing.topic])) > 1


async def test_of_partitions_that_go_together_only_the_one_at_fault_waits(database: Database, thing: Any, settings: KafkaSettings) -> None:
    """One record is wrong, another meets a fault that lasts: the first is parked, the second stalls its partition, all others go on."""
    lasting = True

    async def failing(tx: AsyncSession, event: Any, _: Meta) -> None:
        if event.value < 0:
            raise Invalid("value is negative; send a positive one")
        if event.value == 1_000 and lasting:
            raise ConnectionError("a neighbour is away")
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

    await say(database, thing, 1, 1_000, 1_001, thing_id=uuid4())
    for value in (-1, *range(2, 30)):
        await say(database, thing, value)
    consumer = Consumer(thing.group, settings, database, {thing.event: failing}, together=True)
    async with running(Relay(database, settings, source=thing.source).run(), consumer.run()):

        async def others_there() -> bool:
            found = set(await effects(database))
            places = await partitions(database, thing)
            return places.keys() >= {-1, 1_001} and {v for v in places if v > 0 and places[v] != places[1_000]} <= found

        await until(others_there)
        assert not {1_000, 1_001} & set(await effects(database))
        lasting = False

        async def all_there() -> bool:
            return len(await effects(database)) == 31

        await until(all_there)
    found = await effects(database)
    assert sorted(found) == [*range(1, 30), 1_000, 1_001]
    assert found.index(1) < found.index(1_000) < found.index(1_001)
    assert sum((await broker.end_offsets(settings, [f"{thing.topic}.dlt"])).values()) == 1


@pytest.fixture
async def own_kafka(server_folder: Path) -> AsyncIterator[Kafka]:
    """A broker that this test may kill and empty."""
    ports = Ports.free()
    own = Kafka(server_folder / f"kafka-faults-{ports.kafka}", ports.kafka, ports.kafka_controller, say=print)
    await asyncio.to_thread(own.start)
    yield own
    await asyncio.to_thread(own.kill)


async def test_a_broker_that_is_killed_and_then_emptied_costs_nothing(database: Database, thing: Any, own_kafka: Kafka) -> None:
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)
    async with running(Relay(database, settings, source=thing.source).run(), recording(database, thing, settings).run()):
        await say(database, thing, *range(100))

        async def there(count: int) -> bool:
            return len(await effects(database)) >= count

        await until(lambda: there(100))
        await asyncio.to_thread(own_kafka.kill)
        await say(database, thing, *range(100, 150))
        await asyncio.to_thread(own_kafka.start)
        await until(lambda: there(150), 120)
        await asyncio.to_thread(own_kafka.kill)
        own_kafka.be_empty_at_next_start()
        await say(database, thing, *range(150, 200))
        await asyncio.to_thread(own_kafka.start)
        await until(lambda: there(200), 180)

        async def whole_again() -> bool:
            return await pending(database) == 0 and sum((await broker.end_offsets(settings, [thing.topic])).values()) >= 200

        await until(whole_again, 120)
    assert sorted(await effects(database)) == list(range(200))


async def test_a_relay_that_lost_its_lock_stops_publishing_under_load(database: Database, thing: Any, settings: KafkaSettings) -> None:
    relay = Relay(database, settings, source=thing.source)
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            await say(database, thing, 1)

    async with running(relay.run(), load()), database.engine.connect() as holder:

        async def leads() -> bool:
            return bool(relay.ready)

        await until(leads)
        waiting = asyncio.create_task(holder.execute(select(func.pg_advisory_lock(LOCK))))
        async with database.sessions() as session:

            async def queued() -> bool:
                found = await session.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
                await session.rollback()
                return found.scalar_one() == 1

            await until(queued)
            await session.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"))
        await waiting

        async def follows() -> bool:
            return not relay.ready

        await until(follows)  # what it had begun to publish is acknowledged by then

        async def piling_up() -> bool:
            return await pending(database) >= 20

        await until(piling_up)
        stop.set()
        before = await pending(database)
        assert before >= 20
        await holder.execute(select(func.pg_advisory_unlock(LOCK)))

        async def none_pending() -> bool:
            return await pending(database) == 0

        await until(none_pending)


async def test_a_log_that_was_replaced_is_healed_even_where_something_stands_in_it_again(
    database: Database, thing: Any, own_kafka: Kafka
) -> None:
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)

    async def none_pending() -> bool:
        return await pending(database) == 0

    async with running(Relay(database, settings, source=thing.source).run()):
        await say(database, thing, *range(30))
        await until(none_pending)
    await asyncio.to_thread(own_kafka.kill)
    own_kafka.be_empty_at_next_start()
    await asyncio.to_thread(own_kafka.start)
    await broker.ensure_topics(settings, [thing.topic])
    producer = broker.producer(settings)
    await producer.start()
    for partition in range(settings.partitions):
        for _ in range(40):
            await producer.send_and_wait(thing.topic, b"{}", b"stray", partition=partition)
    await producer.stop()
    async with running(Relay(database, settings, source=thing.source).run(), recording(database, thing, settings).run()):

        async def all_there() -> bool:
            return len(await effects(database)) == 30

        await until(all_there)
        await until(none_pending)
    assert sorted(await effects(database)) == list(range(30))
