"""What is wired for Kafka: the two consumers of this service and their replay."""

from collections.abc import Coroutine, Sequence
from typing import Any

from dxmesh_runtime import worker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database
from dxmesh_tabular.store import ObjectStore
from quality_svc.assessment import consumers as assessments
from quality_svc.assessment.bench import Bench
from quality_svc.catalog import consumers as catalog
from quality_svc.settings import Settings

_REPLICA_SECONDS = 0.1  # between two groups of the catalogue's changes


def consumers(settings: Settings, database: Database) -> list[Consumer]:
    """Return this service's consumers: the catalogue's replica never waits for a batch that is being checked."""
    bench = Bench(ObjectStore.open(settings.object_store.url), settings.checking.folder, settings.checking.known_values_bytes)
    return [
        Consumer("quality-catalog", settings.kafka, database, catalog.HANDLERS, pace_seconds=_REPLICA_SECONDS, together=True),
        Consumer("quality", settings.kafka, database, assessments.handlers(bench), max_group=settings.checking.group_batches),
    ]


async def run(settings: Settings) -> None:
    """Run the relay and the consumers until cancelled."""

    def tasks(database: Database) -> Sequence[Coroutine[Any, Any, None]]:
        return [consumer.run() for consumer in consumers(settings, database)]

    await worker.run_worker(settings, name="quality-svc", tasks=tasks)


async def replay(settings: Settings) -> tuple[int, int]:
    """Handle again what the consumers parked; return how many records took effect and how many were parked again."""
    return await worker.replay(settings, lambda database: consumers(settings, database))
