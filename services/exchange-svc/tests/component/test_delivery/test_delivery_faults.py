"""Delivery while workers and the broker die: a `read_committed` reader sees each row once, and nothing is missing."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from uuid import uuid4

import polars as pl
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from dxmesh_runtime import broker
from dxmesh_schemas.exchange import BatchKind, DeliveryCompleted, DispatchOrdered
from dxmesh_schemas.exchange_terms import Comparison

pytestmark = [pytest.mark.faults, pytest.mark.long]
WORKER = """
import asyncio, os, sys
from types import SimpleNamespace
from aiokafka import AIOKafkaProducer
from dxmesh_runtime.settings import KafkaSettings, ObjectStoreSettings
from exchange_svc.delivery.worker import run_delivery
from exchange_svc.enforcement.rows import token_keys

at, servers, store = sys.argv[1:]
if at:
    method = getattr(AIOKafkaProducer, at)
    async def die(self, *args, **options):
        if at == "send_batch":
            await (await method(self, *args, **options))
        elif os.environ.get("AFTER"):
            await method(self, *args, **options)
        os._exit(9)
    setattr(AIOKafkaProducer, at, die)
settings = SimpleNamespace(kafka=KafkaSettings(bootstrap_servers=servers), object_store=ObjectStoreSettings(url=store))
asyncio.run(run_delivery(settings, token_keys(b"node")))
"""


def start(mesh, at: str = "", **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-c", WORKER, at, mesh.server.bootstrap_servers, mesh.folder.as_uri()]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


async def ended(process: subprocess.Popen) -> int:
    return await asyncio.wait_for(asyncio.to_thread(process.wait), 60)


def rows_seen(records) -> Counter:
    return Counter((dict(record.headers)["batch"].decode(), int(dict(record.headers)["row"])) for record in records)


def rows_expected(*orders: DispatchOrdered) -> Counter:
    return Counter((str(order.batch_id), row) for order in orders for row in range(1, order.rows.row_count + 1))


@pytest.mark.parametrize(
    ("at", "after", "done"),
    [
        ("send_batch", "", False),
        ("send_offsets_to_transaction", "1", False),
        ("commit_transaction", "1", True),
    ],
)
async def test_a_worker_that_dies_in_the_middle_leaves_nothing_twice_and_nothing_out(mesh, rows, at, after, done):
    view = mesh.view(uuid4())
    order = mesh.order(view, rows=rows(1, 3000))
    await mesh.publish(order)
    assert await ended(start(mesh, at, AFTER=after)) == 9
    assert bool(await mesh.read(view.topic)) is done
    later = mesh.order(view, rows=rows(1, 10))
    async with mesh.worker():
        await mesh.publish(later)
        await mesh.all_completed(order, later)
    assert rows_seen(await mesh.read(view.topic)) == rows_expected(order, later)
    assert len(await mesh.completions(order, later)) == 2


@pytest.mark.parametrize(("at", "after"), [("send_offsets_to_transaction", "1"), ("commit_transaction", "1")])
async def test_which_keys_readers_have_outlives_a_worker_that_dies(mesh, rows, at, after):
    view = mesh.view(uuid4()).model_copy(update={"where": (Comparison(item="name", op="ne", value="hidden"),)})
    first = mesh.order(view, rows=rows(1, 10))
    hidden = rows(1, 12).filter(pl.col("row_").is_in([1, 2, 3, 11, 12])).with_columns(name=pl.lit("hidden"))
    leaves, deletes = mesh.order(view, rows=hidden), mesh.order(view, rows=rows(1, 12), kind=BatchKind.DELETE)
    async with mesh.worker():
        await mesh.publish(first)
        await mesh.all_completed(first)
    await mesh.publish(leaves)
    assert await ended(start(mesh, at, AFTER=after)) == 9
    async with mesh.worker():
        await mesh.publish(deletes)
        events = await mesh.all_completed(leaves, deletes)
    assert [(event.delivered_count, event.filtered_count) for event in events] == [(3, 2), (7, 5)]
    gone = [record.key.decode() for record in await mesh.read(view.topic) if record.value is None]
    assert sorted(gone) == [f"{number:06}" for number in range(1, 11)]


async def test_a_snapshot_s_deletions_come_once_though_its_worker_dies(mesh, rows):
    view = mesh.view(uuid4())
    first, some, other = (mesh.order(view, rows=rows(1, count), kind=BatchKind.SNAPSHOT) for count in (10, 7, 2))
    async with mesh.worker():
        await mesh.publish(first)
        await mesh.all_completed(first)
    await mesh.publish(some, other)
    assert await ended(start(mesh, "send_offsets_to_transaction", AFTER="1")) == 9
    async with mesh.worker():
        events = await mesh.all_completed(first, some, other)
    assert [(event.delivered_count, event.vanished_count) for event in events] == [(10, 0), (7, 3), (2, 5)]
    gone = [record.key.decode() for record in await mesh.read(view.topic) if record.value is None]
    assert sorted(gone) == [f"{number:06}" for number in range(3, 11)]


async def test_workers_take_partitions_over_from_each_other_under_load(mesh, rows):
    views = [mesh.view(uuid4()) for _ in range(6)]
    orders = []
    await mesh.publish(*[mesh.order(view, rows=rows(1, 1)) for view in views])
    processes = [start(mesh), start(mesh)]
    try:
        for number in range(30):
            some = [mesh.order(view, rows=rows(1, 200)) for view in views]
            orders += some
            await mesh.publish(*some)
            if number % 10 == 5:
                victim = processes.pop(0)
                victim.send_signal(signal.SIGKILL)
                await ended(victim)
                processes.append(start(mesh))
            if number % 10 == 9:
                victim = processes.pop(0)
                victim.terminate()
                processes.append(start(mesh))
                await ended(victim)
        events = await mesh.all_completed(*orders)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len(events) == len(orders)
    for view in views:
        mine = [order for order in orders if order.views == (view,)]
        seen = rows_seen(await mesh.read(view.topic))
        assert {place: count for place, count in seen.items() if count > 1} == {}
        assert not rows_expected(*mine) - seen


async def test_a_cancelled_worker_aborts_and_the_next_one_delivers(mesh, rows):
    view = mesh.view(uuid4())
    orders = [mesh.order(view, rows=rows(1, 100_000)) for _ in range(2)]
    await mesh.publish(*orders)
    for seconds in (0.4, 0.7, 1.0):
        async with mesh.worker():
            await asyncio.sleep(seconds)  # a moment in the middle of something, which one does not matter
    async with mesh.worker():
        await mesh.all_completed(*orders)
    assert sum(rows_seen(await mesh.read(view.topic)).values()) == 200_000
    assert len(await mesh.completions(*orders)) == 2


async def test_a_broker_killed_and_started_again_loses_and_doubles_nothing(mesh, rows):
    view = mesh.view(uuid4())
    orders = [mesh.order(view, rows=rows(1, 20_000)) for _ in range(10)]
    async with mesh.worker(progress_seconds=8):
        await mesh.publish(*orders[:5])
        await mesh.all_completed(orders[0])
        await asyncio.to_thread(mesh.server.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(mesh.server.start)
        await mesh.publish(*orders[5:])
        events = await mesh.all_completed(*orders)
    assert len(events) == len(orders)
    assert rows_seen(await mesh.read(view.topic)) == rows_expected(*orders)


async def test_an_emptied_broker_is_given_every_dispatch_that_is_published_again(mesh, rows):
    views = [mesh.view(uuid4()) for _ in range(4)]
    orders = [mesh.order(view, rows=rows(1, 50)) for _ in range(5) for view in views]
    async with mesh.worker(progress_seconds=8):
        await mesh.publish(*orders)
        await mesh.all_completed(*orders)
        await asyncio.to_thread(mesh.server.empty)
        # the relay creates its topics anew and publishes what was lost, and then what is new
        await broker.ensure_topics(mesh.kafka, [DispatchOrdered.TOPIC, DeliveryCompleted.TOPIC])
        fresh = [mesh.order(view, rows=rows(1, 50)) for view in views]
        await mesh.publish(*orders, *fresh)
        events = await mesh.all_completed(*orders, *fresh)
    assert len(events) == len(orders) + len(fresh)
    for view in views:
        assert rows_seen(await mesh.read(view.topic)) == rows_expected(*(o for o in [*orders, *fresh] if o.views == (view,)))


async def test_a_view_s_topic_made_anew_is_given_its_rows_again(mesh, rows):
    view = mesh.view(uuid4())
    order = mesh.order(view, rows=rows(1, 30))
    async with mesh.worker():
        await mesh.publish(order)
        await mesh.all_completed(order)
    admin = AIOKafkaAdminClient(bootstrap_servers=mesh.server.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([view.topic])
    await admin.close()
    later = mesh.order(view, rows=rows(1, 1))
    async with mesh.worker():
        await mesh.publish(order, later)
        await mesh.all_completed(later)
    assert rows_seen(await mesh.read(view.topic)) == rows_expected(order, later)
