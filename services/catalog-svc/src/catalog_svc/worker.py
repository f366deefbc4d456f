"""What is wired for Kafka: the relay, the consumers, the clocks, and the consumers' replay."""

from collections.abc import Coroutine, Sequence
from typing import Any

from catalog_svc.grant import consumers as grants
from catalog_svc.settings import Settings
from catalog_svc.step.worker import run_notices
from dxmesh_runtime import worker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database


def consumers(settings: Settings, database: Database) -> list[Consumer]:
    """Return this service's consumers."""
    return [Consumer("catalog", settings.kafka, database, {**grants.HANDLERS})]


async def run(settings: Settings) -> None:
    """Publish the catalogue's events, keep what others tell, and mind the clocks, until cancelled."""

    def tasks(database: Database) -> Sequence[Coroutine[Any, Any, None]]:
        return [
            *(consumer.run() for consumer in consumers(settings, database)),
            run_notices(database, public_url=settings.public_url),
        ]

    await worker.run_worker(settings, name="catalog-svc", tasks=tasks)


async def replay(settings: Settings) -> tuple[int, int]:
    """Handle again what the consumers parked; return how many records took effect and how many were parked again."""
    return await worker.replay(settings, lambda database: consumers(settings, database))
