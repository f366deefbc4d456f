"""What is wired for Kafka: the relay, the consumers, the clocks, and the consumers' replay."""

from collections.abc import Coroutine, Sequence
from typing import Any

from catalog_svc.claim import consumers as sources
from catalog_svc.code_set.worker import keep_current
from catalog_svc.duty.worker import DEADLINES
from catalog_svc.grant import consumers as grants
from catalog_svc.grant.store import remove_lapsed
from catalog_svc.matching.commands import remove_unused_names
from catalog_svc.mount import consumers as mounts
from catalog_svc.mount.commands import tell_stale
from catalog_svc.organization.commands import tell_lapsed
from catalog_svc.rounds import tell_from_time_to_time
from catalog_svc.settings import Settings
from catalog_svc.sharing_list import consumers as lists
from catalog_svc.step.worker import run_notices
from dxmesh_runtime import worker
from dxmesh_runtime.consumer import Consumer
from dxmesh_runtime.db import Database

_TELL_SECONDS = 0.06  # between two publications of events: an import tells hundreds a second, and who waits for one waits no longer
_INDEX_SECONDS = 0.5  # between two groups of versions whose items are indexed
_NOTE_SECONDS = 0.5  # between two groups of accepted batches that are noted: nobody waits for the note


def consumers(settings: Settings, database: Database) -> list[Consumer]:
    """Return this service's consumers."""
    return [
        Consumer("catalog", settings.kafka, database, {**grants.HANDLERS}),
        Consumer("catalog-sources", settings.kafka, database, sources.HANDLERS, pace_seconds=_INDEX_SECONDS, together=True),
        Consumer("catalog-lists", settings.kafka, database, lists.HANDLERS, pace_seconds=_INDEX_SECONDS, together=True),
        Consumer("catalog-mounts", settings.kafka, database, mounts.HANDLERS, pace_seconds=_NOTE_SECONDS, together=True),
    ]


async def run(settings: Settings) -> None:
    """Publish the catalogue's events, keep what others tell, and mind the clocks, until cancelled."""

    def tasks(database: Database) -> Sequence[Coroutine[Any, Any, None]]:
        return [
            *(consumer.run() for consumer in consumers(settings, database)),
            run_notices(database, public_url=settings.public_url),
            DEADLINES.run(database),
            keep_current(database),
            tell_from_time_to_time(database, "stale", tell_stale),
            tell_from_time_to_time(database, "lapsed", tell_lapsed),
            tell_from_time_to_time(database, "unused_names", remove_unused_names),
            tell_from_time_to_time(database, "lapsed_grants", remove_lapsed),
        ]

    await worker.run_worker(settings, name="catalog-svc", tasks=tasks, pace_seconds=_TELL_SECONDS)


async def replay(settings: Settings) -> tuple[int, int]:
    """Handle again what the consumers parked; return how many records took effect and how many were parked again."""
    return await worker.replay(settings, lambda database: consumers(settings, database))
