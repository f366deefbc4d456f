"""The broker's behaviour suite: duplicate, replay, rebalance, poison, order, groups."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import broker
from dxmesh_runtime.consumer import Consumer, Group
from dxmesh_runtime.db import Database
from dxmesh_runtime.relay import Relay
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.problem import Invalid

pytestmark = pytest.mark.long


async def test_each_event_takes_effect_once_and_in_order(database: Database, suite: Any, thing: Any, settings: KafkaSettings) -> None:
    one = uuid4()
    async with suite.running(
        Relay(database, settings, source=thing.source).run(), suite.recording(database, thing, settings, max_group=7).run()
    ):
        for start in range(0, 100, 10):
            await suite.say(database, thing, *range(start, start + 10), thing_id=one)

        async def all_there() -> bool:
            return len(await suite.effects(database)) == 100

        await suite.until(all_there)
    assert await suite.effects(database) == list(range(100))
    assert await suite.pending(database) == 0
    assert sum((await broker.end_offsets(settings, [thing.topic])).values()) == 100  # published once: nothing was healed that was not lost


async def test_an_event_sent_again_has_no_second_effect(database: Database, suite: Any, thing: Any, settings: KafkaSettings) -> None:
    async with suite.running(Relay(database, settings, source=thing.source).run(), suite.recording(database, thing, settings).run()):
        await suite.say(database, thing, 1)

        async def first_there() -> bool:
            return await suite.effects(database) == [1]

        await suite.until(first_there)
        async with database.sessions.begin() as tx:
            await tx.execute(text("UPDATE outbox SET published_at = NULL"))
        await suite.say(database, thing, 2)

        async def both_there() -> bool:
            return 2 in await suite.effects(database)

        await suite.until(both_there)
    assert await suite.effects(database) == [1, 2]


async def test_wrong_data_is_parked_and_what_follows_goes_on_and_replay_repairs_it(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    one = uuid4()
    consumer = suite.recording(database, thing, settings)
    async with suite.running(Relay(database, settings, source=thing.source).run(), consumer.run()):
        await suite.say(database, thing, 1, -2, 3, thing_id=one)

        async def others_there() -> bool:
            return await suite.effects(database) == [1, 3]

        await suite.until(others_there)
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
    assert await suite.effects(database) == [1, 3, -2]
    assert await Consumer(thing.group, settings, database, {thing.event: mended}).replay() == (0, 0)


async def test_a_record_that_is_no_cloudevent_is_parked(database: Database, suite: Any, thing: Any, settings: KafkaSettings) -> None:
    await broker.ensure_topics(settings, [thing.topic])
    producer = broker.producer(settings)
    await producer.start()
    await producer.send_and_wait(thing.topic, b"hello", b"k")
    await producer.stop()
    async with suite.running(suite.recording(database, thing, settings).run(), Relay(database, settings, source=thing.source).run()):
        await suite.say(database, thing, 5)

        async def parked_and_next_there() -> bool:
            ends = await broker.end_offsets(settings, [thing.topic + ".dlt"])
            return await suite.effects(database) == [5] and sum(ends.values()) == 1

        await suite.until(parked_and_next_there)


async def test_a_fault_of_ours_stalls_its_partition_and_skips_nothing(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    failures = 0

    async def failing(tx: AsyncSession, event: Any, _: Meta) -> None:
        nonlocal failures
        if event.value == 2 and failures < 3:
            failures += 1
            raise ConnectionError("a neighbour is away")
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

    consumer = Consumer(thing.group, settings, database, {thing.event: failing})
    async with suite.running(Relay(database, settings, source=thing.source).run(), consumer.run()):
        await suite.say(database, thing, 1, 2, 3, thing_id=uuid4())

        async def all_there() -> bool:
            return len(await suite.effects(database)) == 3

        await suite.until(all_there)
    assert await suite.effects(database) == [1, 2, 3]
    assert failures == 3


async def test_a_second_consumer_takes_over_and_nothing_is_handled_twice(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    async with suite.running(
        Relay(database, settings, source=thing.source).run(), suite.recording(database, thing, settings, max_group=5).run()
    ):
        for value in range(200):
            await suite.say(database, thing, value)
        async with suite.running(suite.recording(database, thing, settings, max_group=5).run()):
            for value in range(200, 400):
                await suite.say(database, thing, value)

            async def most_there() -> bool:
                return len(await suite.effects(database)) > 250

            await suite.until(most_there)

        async def all_there() -> bool:
            return len(await suite.effects(database)) >= 400

        await suite.until(all_there, 40)
    assert sorted(await suite.effects(database)) == list(range(400))


async def test_events_of_one_group_share_a_transaction_or_have_no_effect(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    sizes: list[int] = []

    async def on_many(tx: AsyncSession, found: Any) -> None:
        sizes.append(len(found))
        for item in found:
            await tx.execute(
                text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": item.event.thing_id, "v": item.event.value}
            )

    await suite.say(database, thing, *range(300), thing_id=uuid4())
    consumer = Consumer(thing.group, settings, database, {thing.event: Group(on_many)})
    async with suite.running(Relay(database, settings, source=thing.source).run()):

        async def none_pending() -> bool:
            return await suite.pending(database) == 0

        await suite.until(none_pending)
        async with suite.running(consumer.run()):

            async def all_there() -> bool:
                return len(await suite.effects(database)) == 300

            await suite.until(all_there)
    assert await suite.effects(database) == list(range(300))
    assert max(sizes) > 50


async def test_what_waits_in_several_partitions_shares_a_transaction(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    groups: list[set[tuple[int, int]]] = []  # (transaction, partition)

    async def on_many(tx: AsyncSession, found: Any) -> None:
        number = (await tx.execute(text("SELECT txid_current()"))).scalar_one()
        groups.append({(number, item.partition) for item in found})
        for item in found:
            await tx.execute(
                text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": item.event.thing_id, "v": item.event.value}
            )

    for value in range(40):
        await suite.say(database, thing, value)
    consumer = Consumer(thing.group, settings, database, {thing.event: Group(on_many)}, together=True)
    async with suite.running(Relay(database, settings, source=thing.source).run()):

        async def none_pending() -> bool:
            return await suite.pending(database) == 0

        await suite.until(none_pending)
        async with suite.running(consumer.run()):

            async def all_there() -> bool:
                return len(await suite.effects(database)) == 40

            await suite.until(all_there)
    assert sorted(await suite.effects(database)) == list(range(40))
    assert max(len(group) for group in groups) == len(await broker.end_offsets(settings, [thing.topic])) > 1


async def test_of_partitions_that_go_together_only_the_one_at_fault_waits(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    """One record is wrong, another meets a fault that lasts: the first is parked, the second stalls its partition, all others go on."""
    lasting = True

    async def failing(tx: AsyncSession, event: Any, _: Meta) -> None:
        if event.value < 0:
            raise Invalid("value is negative; send a positive one")
        if event.value == 1_000 and lasting:
            raise ConnectionError("a neighbour is away")
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

    await suite.say(database, thing, 1, 1_000, 1_001, thing_id=uuid4())
    for value in (-1, *range(2, 30)):
        await suite.say(database, thing, value)
    consumer = Consumer(thing.group, settings, database, {thing.event: failing}, together=True)
    async with suite.running(Relay(database, settings, source=thing.source).run(), consumer.run()):

        async def others_there() -> bool:
            found = set(await suite.effects(database))
            places = await suite.partitions(database, thing)
            return places.keys() >= {-1, 1_001} and {v for v in places if v > 0 and places[v] != places[1_000]} <= found

        await suite.until(others_there)
        assert not {1_000, 1_001} & set(await suite.effects(database))
        lasting = False

        async def all_there() -> bool:
            return len(await suite.effects(database)) == 31

        await suite.until(all_there)
    found = await suite.effects(database)
    assert sorted(found) == [*range(1, 30), 1_000, 1_001]
    assert found.index(1) < found.index(1_000) < found.index(1_001)
    assert sum((await broker.end_offsets(settings, [f"{thing.topic}.dlt"])).values()) == 1
