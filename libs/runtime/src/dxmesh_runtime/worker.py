"""What every service's Kafka side has in common: the relay and the service's own loops, together or not at all."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from dxmesh_runtime import broker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database, connect
from dxmesh_runtime.relay import PACE_SECONDS, Relay
from dxmesh_runtime.settings import ServiceSettings

Tasks = Callable[[Database], Sequence[Coroutine[Any, Any, None]]]


async def run_worker(settings: ServiceSettings, *, name: str, tasks: Tasks, pace_seconds: float = PACE_SECONDS) -> None:
    """Run the relay and the given loops until cancelled; when one fails for good, all end and the failure is raised.

    `pace_seconds` is the relay's.
    """
    database = connect(settings.database)
    try:
        async with asyncio.TaskGroup() as group:
            relay = Relay(database, settings.kafka, source=f"/{name}", pace_seconds=pace_seconds)
            group.create_task(broker.lasting(relay.run()), name="relay")
            for task in tasks(database):
                group.create_task(broker.lasting(task))
    finally:
        await database.close()


async def replay(settings: ServiceSettings, consumers: Callable[[Database], Sequence[Consumer]]) -> tuple[int, int]:
    """Handle again what the consumers parked; return how many records took effect and how many were parked again."""
    database = connect(settings.database)
    try:
        counts = [await consumer.replay() for consumer in consumers(database)]
    finally:
        await database.close()
    return sum(done for done, _ in counts), sum(again for _, again in counts)
