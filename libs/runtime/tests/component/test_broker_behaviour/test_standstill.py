"""A consumer whose client stands still is begun anew; one that waits, works or leaves its partitions to another is let be."""

import asyncio
import gc
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import broker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database
from dxmesh_runtime.relay import Relay
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings
from dxmesh_runtime.worker import run_worker
from dxmesh_schemas.event import Meta

pytestmark = pytest.mark.long
LOOK = 0.3
_SEVERAL_LOOKS = 3.0


def _clients(group: str) -> list[AIOKafkaConsumer]:
    found = [one for one in gc.get_objects() if isinstance(one, AIOKafkaConsumer)]
    return [one for one in found if one._group_id == group and not one._closed]


def _fetching(client: AIOKafkaConsumer) -> None:
    client._fetcher._fetch_task.cancel()


def _coordinating(client: AIOKafkaConsumer) -> None:
    client._coordinator._coordination_task.cancel()


def _joining(client: AIOKafkaConsumer) -> None:
    client._client._sync_task.cancel()
    client._client.force_metadata_update()
    client._coordinator.request_rejoin()


@pytest.mark.parametrize("harm", [_fetching, _coordinating, _joining])
async def test_a_client_that_ends_within_is_begun_anew(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings, harm: Any
) -> None:
    consumer = suite.recording(database, thing, settings, look_seconds=LOOK)
    async with suite.running(Relay(database, settings, source=thing.source).run(), consumer.run()):
        await suite.say(database, thing, *range(20))

        async def there(count: int) -> bool:
            return len(await suite.effects(database)) >= count

        await suite.until(lambda: there(20))
        [client] = _clients(thing.group)
        harm(client)
        for start in (20, 40, 60):  # what was on its way may still come
            await suite.say(database, thing, *range(start, start + 20))
            await suite.until(partial(there, start + 20), 60)
        assert client._closed
    assert sorted(await suite.effects(database)) == list(range(80))


async def test_who_waits_or_works_is_let_be(database: Database, suite: Any, thing: Any, settings: KafkaSettings) -> None:
    working, may_end = asyncio.Event(), asyncio.Event()

    async def slowly(tx: AsyncSession, event: Any, _: Meta) -> None:
        await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})
        if event.value == 1:
            working.set()
            await may_end.wait()

    consumer = Consumer(thing.group, settings, database, {thing.event: slowly}, max_group=2, look_seconds=LOOK)
    async with suite.running(Relay(database, settings, source=thing.source).run(), consumer.run()):
        await suite.say(database, thing, 0)

        async def there(count: int) -> bool:
            return len(await suite.effects(database)) >= count

        await suite.until(lambda: there(1))
        [client] = _clients(thing.group)
        async with broker.producer(settings, transactional_id=thing.group) as producer:  # behind its records stands a mark of the commit
            async with producer.transaction():
                await producer.send(thing.topic, b"{}", partition=0)
            await asyncio.sleep(_SEVERAL_LOOKS)
            await producer.begin_transaction()
            await producer.send_and_wait(thing.topic, b"{}", partition=0)
            await asyncio.sleep(_SEVERAL_LOOKS)
            await producer.commit_transaction()
        one = uuid4()
        await suite.say(database, thing, 1, thing_id=one)
        await working.wait()
        await suite.say(database, thing, *range(2, 102), thing_id=one)  # more than are taken while one is worked on
        await asyncio.sleep(_SEVERAL_LOOKS)
        may_end.set()
        await suite.until(lambda: there(102), 60)
        assert _clients(thing.group) == [client]


async def test_what_no_member_reads_is_told_from_what_another_reads(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    place = TopicPartition(thing.topic, 0)
    async with suite.running(Relay(database, settings, source=thing.source).run()):
        async with suite.running(suite.recording(database, thing, settings).run()):
            await suite.say(database, thing, *range(20))

            async def shared_out() -> bool:
                return len(await suite.effects(database)) == 20

            await suite.until(shared_out)
            assert await broker.unassigned(settings, thing.group, [place]) == {}

        async def left() -> bool:
            return place in await broker.unassigned(settings, thing.group, [place])

        await suite.until(left)
    assert await broker.unassigned(settings, f"{thing.group}-nobody", [place]) == {place: 0}


async def _cancelled_within(_: object = None) -> None:
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner


async def test_a_relay_one_of_whose_loops_is_cancelled_from_within_leads_anew(
    database: Database, suite: Any, thing: Any, settings: KafkaSettings
) -> None:
    class Cancelled(Relay):
        leads = 0

        async def _maintain(self) -> None:
            self.leads += 1
            await (_cancelled_within() if self.leads == 1 else super()._maintain())

    relay = Cancelled(database, settings, source=thing.source)

    async def led_again() -> bool:
        return relay.leads == 2

    async with suite.running(relay.run()):
        await suite.until(led_again)


async def test_a_worker_one_of_whose_loops_is_cancelled_from_within_ends_with_a_failure(
    database: Database, settings: KafkaSettings
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    wired: Any = SimpleNamespace(database=DatabaseSettings(url=url), kafka=settings)
    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup) as failed:
            await run_worker(wired, name="catalog-svc", tasks=lambda database: [_cancelled_within(database)])
    assert failed.group_contains(broker.EndedWithin)
