"""The broker's behaviour suite: broker away, broker emptied, two relays, a relay that lost its lock."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import func, select, text

from dxmesh_local.kafka import Kafka
from dxmesh_runtime import broker
from dxmesh_runtime.db import Database
from dxmesh_runtime.relay import LOCK, Relay
from dxmesh_runtime.settings import KafkaSettings

pytestmark = pytest.mark.long


async def test_of_two_relays_one_works_and_the_other_takes_over(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    first, second = Relay(database, settings, source=thing.source), Relay(database, settings, source=thing.source)
    async with suite.running(first.run(), second.run()) as tasks:

        async def one_ready() -> bool:
            return bool(first.ready) != bool(second.ready)

        await suite.until(one_ready)
        await suite.say(database, thing, *range(50))
        leader = 0 if first.ready else 1
        tasks[leader].cancel()
        await asyncio.gather(tasks[leader], return_exceptions=True)
        await suite.say(database, thing, *range(50, 100))

        async def none_pending() -> bool:
            return await suite.pending(database) == 0

        await suite.until(none_pending)
    ends = await broker.end_offsets(settings, [thing.topic])
    assert sum(ends.values()) >= 100


async def test_a_broker_that_is_killed_and_then_emptied_costs_nothing(database: Database, suite: Any, thing: Any, own_kafka: Kafka) -> None:
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)
    async with suite.running(Relay(database, settings, source=thing.source).run(), suite.recording(database, thing, settings).run()):
        await suite.say(database, thing, *range(100))

        async def there(count: int) -> bool:
            return len(await suite.effects(database)) >= count

        await suite.until(lambda: there(100))
        await asyncio.to_thread(own_kafka.kill)
        await suite.say(database, thing, *range(100, 150))
        await asyncio.to_thread(own_kafka.start)
        await suite.until(lambda: there(150), 120)
        await asyncio.to_thread(own_kafka.kill)
        own_kafka.be_empty_at_next_start()
        await suite.say(database, thing, *range(150, 200))
        await asyncio.to_thread(own_kafka.start)
        await suite.until(lambda: there(200), 180)

        async def whole_again() -> bool:
            return await suite.pending(database) == 0 and sum((await broker.end_offsets(settings, [thing.topic])).values()) >= 200

        await suite.until(whole_again, 120)
    assert sorted(await suite.effects(database)) == list(range(200))


async def test_a_relay_that_lost_its_lock_stops_publishing_under_load(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    relay = Relay(database, settings, source=thing.source)
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            await suite.say(database, thing, 1)

    async with suite.running(relay.run(), load()), database.engine.connect() as holder:

        async def leads() -> bool:
            return bool(relay.ready)

        await suite.until(leads)
        waiting = asyncio.create_task(holder.execute(select(func.pg_advisory_lock(LOCK))))
        async with database.sessions() as session:

            async def queued() -> bool:
                found = await session.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
                await session.rollback()
                return found.scalar_one() == 1

            await suite.until(queued)
            await session.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"))
        await waiting

        async def follows() -> bool:
            return not relay.ready

        await suite.until(follows)  # what it had begun to publish is acknowledged by then

        async def piling_up() -> bool:
            return await suite.pending(database) >= 20

        await suite.until(piling_up)
        stop.set()
        before = await suite.pending(database)
        assert before >= 20
        await holder.execute(select(func.pg_advisory_unlock(LOCK)))

        async def none_pending() -> bool:
            return await suite.pending(database) == 0

        await suite.until(none_pending)


async def test_a_log_that_was_replaced_is_healed_even_where_something_stands_in_it_again(
    database: Database, suite: Any, thing: Any, own_kafka: Kafka
) -> None:
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)

    async def none_pending() -> bool:
        return await suite.pending(database) == 0

    async with suite.running(Relay(database, settings, source=thing.source).run()):
        await suite.say(database, thing, *range(30))
        await suite.until(none_pending)
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
    async with suite.running(Relay(database, settings, source=thing.source).run(), suite.recording(database, thing, settings).run()):

        async def all_there() -> bool:
            return len(await suite.effects(database)) == 30

        await suite.until(all_there)
        await suite.until(none_pending)
    assert sorted(await suite.effects(database)) == list(range(30))


async def test_topics_that_are_gone_come_back_though_nothing_was_published_on_them(
    database: Database, suite: Any, thing: Any, own_kafka: Kafka
) -> None:
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)
    relay = Relay(database, settings, source=thing.source)

    async def leads() -> bool:
        return bool(relay.ready)

    async def made_anew() -> bool:
        ends = await broker.end_offsets(settings, [thing.topic])
        return bool(ends) and sum(ends.values()) == 0

    async with suite.running(relay.run()):
        await suite.until(leads)
        async with broker.producer(settings) as producer:
            await producer.send_and_wait(thing.topic, b"of another")
        admin = AIOKafkaAdminClient(**broker.options(settings))
        await admin.start()
        await admin.delete_topics([thing.topic])
        await admin.close()
        await suite.until(made_anew)


async def test_a_client_whose_broker_died_closes_like_any(thing: Any, own_kafka: Kafka) -> None:
    settings = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)
    await broker.ensure_topics(settings, [thing.topic])
    place = TopicPartition(thing.topic, 0)
    begun, dead = asyncio.Barrier(6), asyncio.Event()

    async def reads() -> None:
        async with broker.reading(settings) as reader:
            reader.assign([place])
            await reader.position(place)
            await begun.wait()
            await dead.wait()
            # its fetches fail, and wait in between: to be cancelled then is what aiokafka's close tells
            await reader.getmany(timeout_ms=100)

    tasks = [asyncio.create_task(reads()) for _ in range(5)]
    await begun.wait()
    await asyncio.to_thread(own_kafka.kill)
    dead.set()
    await asyncio.wait(tasks, timeout=30)
    assert [task.cancelled() for task in tasks] == [False] * 5
    assert [task.exception() for task in tasks] == [None] * 5
