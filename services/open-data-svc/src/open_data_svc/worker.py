"""What is wired for Kafka: one consumer of the catalogue and the tables, and the removal of old files."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from dxmesh_runtime import worker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database, utc_now
from dxmesh_tabular.store import ObjectStore
from open_data_svc.dataset import commands
from open_data_svc.dataset.consumers import handlers
from open_data_svc.settings import Settings

NAME = "open-data-svc"
log = structlog.get_logger(__name__)
_FOLLOW_SECONDS = 0.2  # between two groups of changes that datasets follow
_REMOVAL_SECONDS = 300.0


def _consumer(settings: Settings, database: Database) -> Consumer:
    objects = ObjectStore.open(settings.object_store.url)
    following = handlers(objects, keep_versions=settings.dataset.keep_versions)
    return Consumer(NAME, settings.kafka, database, following, max_group=100, pace_seconds=_FOLLOW_SECONDS)


async def _remove_old_files(settings: Settings, database: Database) -> None:
    """Remove, every few minutes, the files of versions kept no longer."""
    objects = ObjectStore.open(settings.object_store.url)
    while True:
        try:
            async with database.sessions.begin() as tx:
                removed = await commands.remove_old_files(tx, objects, now=utc_now())
        except (DBAPIError, OSError) as away:
            log.warning("dataset.removal_interrupted", error=repr(away))
            removed = 0
        if not removed:
            await asyncio.sleep(_REMOVAL_SECONDS)


async def run(settings: Settings) -> None:
    """Run the consumer, the relay and the removal until cancelled."""

    def tasks(database: Database) -> Sequence[Coroutine[Any, Any, None]]:
        return [_consumer(settings, database).run(), _remove_old_files(settings, database)]

    await worker.run_worker(settings, name=NAME, tasks=tasks)


async def replay(settings: Settings) -> tuple[int, int]:
    """Handle again what was parked; return how many took effect and how many were parked again."""
    return await worker.replay(settings, lambda database: [_consumer(settings, database)])
