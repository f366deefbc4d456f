"""Tools of the broker behaviour suite."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports
from dxmesh_runtime import outbox
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database, utc_now
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta
from dxmesh_schemas.problem import Invalid


class Suite:
    """Says events, consumes them, and looks at their effects."""

    @staticmethod
    async def until(holds: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(0.05)

    @staticmethod
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

    @staticmethod
    async def say(database: Database, thing: Any, *values: int, thing_id: UUID | None = None) -> None:
        async with database.sessions.begin() as tx:
            await outbox.add_all(tx, [thing.event(thing_id=thing_id or uuid4(), value=value) for value in values], now=utc_now())

    @staticmethod
    async def effects(database: Database) -> list[int]:
        async with database.sessions() as session:
            return list((await session.execute(text("SELECT value FROM effect ORDER BY n"))).scalars())

    @staticmethod
    def recording(database: Database, thing: Any, settings: KafkaSettings, **more: Any) -> Consumer:
        async def on_happened(tx: AsyncSession, event: Any, _: Meta) -> None:
            if event.value < 0:
                raise Invalid("value is negative; send a positive one")
            await tx.execute(text("INSERT INTO effect (thing_id, value) VALUES (:t, :v)"), {"t": event.thing_id, "v": event.value})

        return Consumer(thing.group, settings, database, {thing.event: on_happened}, **more)

    @staticmethod
    async def partitions(database: Database, thing: Any) -> dict[int, int]:
        """Return on which partition each value was published."""
        async with database.sessions() as session:
            rows = await session.execute(text("SELECT payload, partition FROM outbox WHERE published_at IS NOT NULL"))
            return {thing.event.decode(payload).value: partition for payload, partition in rows}

    @staticmethod
    async def pending(database: Database) -> int:
        async with database.sessions() as session:
            return int((await session.execute(text("SELECT count(*) FROM outbox WHERE published_at IS NULL"))).scalar_one())


@pytest.fixture
async def own_kafka(server_folder: Path) -> AsyncIterator[Kafka]:
    """A broker that this test may kill and empty."""
    ports = Ports.free()
    own = Kafka(server_folder / f"kafka-faults-{ports.kafka}", ports.kafka, ports.kafka_controller, say=print)
    await asyncio.to_thread(own.start)
    yield own
    await asyncio.to_thread(own.kill)


@pytest.fixture
def suite() -> type[Suite]:
    """Return the tools of the suite."""
    return Suite
