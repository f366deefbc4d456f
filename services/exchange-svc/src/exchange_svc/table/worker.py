"""The upkeep of tables: in rounds, one process at a time, beside the folds and never in their way."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import func, select

from dxmesh_runtime.db import Database, is_away, utc_now
from dxmesh_schemas.problem import Conflict, Unavailable
from dxmesh_tabular import table_upkeep
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import TableDamaged, table_key
from exchange_svc.table import commands, domain, store
from exchange_svc.table.settings import TableSettings

log = structlog.get_logger(__name__)
LOCK = 0x64787570  # the advisory lock of who tends the tables
upkeep_seconds = Histogram("dxmesh_table_upkeep_seconds", "Time of one step of a table's upkeep", ["step"])
joined_files = Counter("dxmesh_table_joined_files", "Small files of tables that were joined into larger ones")
removed_bytes = Counter("dxmesh_table_removed_bytes", "Bytes of old versions of tables that were removed")
damaged_tables = Gauge("dxmesh_table_damaged", "Tables that the last round of upkeep found damaged")


async def run_upkeep(database: Database, objects: ObjectStore, settings: TableSettings) -> None:
    """Tend the tables until cancelled, a round every `upkeep_seconds`; a database that is away is waited for."""
    while True:
        try:
            await tend_due(database, objects, settings, now=utc_now())
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("upkeep.interrupted", error=repr(error))
        await asyncio.sleep(settings.upkeep_seconds)


async def tend_due(database: Database, objects: ObjectStore, settings: TableSettings, *, now: datetime) -> int:
    """Tend every table that is due, unless another process is at it; return how many were.

    Cut short anywhere, a round leaves tables whole: what is not committed is removed by a later one. Should the lock be lost with its
    connection, two may work on a table: each puts its files in place under the row's lock, and the later finds them replaced.
    """
    async with database.autocommit.connect() as connection:
        if not await connection.scalar(select(func.pg_try_advisory_lock(LOCK))):
            return 0
        try:
            async with database.sessions() as tx:
                due = await store.list_due(tx, commits=settings.upkeep_commits, tended_before=now - settings.kept)
            sound = [await _tended(database, objects, settings, row, now=now) for row in due]
            damaged_tables.set(sound.count(False))
            return len(due)
        finally:
            # the pool would keep the lock: the connection is closed, not returned
            await asyncio.shield(connection.invalidate())


async def _tended(database: Database, objects: ObjectStore, settings: TableSettings, row: store.ResourceTable, *, now: datetime) -> bool:
    """Tend a table; what goes wrong with one is told and does not keep the others waiting. Returns False for one that is damaged."""
    try:
        await tend(database, objects, settings, row, now=now)
    except TableDamaged as damaged:
        log.error("table.damaged", resource_id=str(row.resource_id), reason=str(damaged), remedy=domain.remedy(row.table_key))
        return False
    except (Conflict, Unavailable, OSError) as error:
        log.warning("upkeep.put_off", resource_id=str(row.resource_id), error=repr(error))
    except Exception as error:
        if is_away(error):
            raise
        log.exception("upkeep.failed", resource_id=str(row.resource_id))  # folds go on in this process: it does not end for one table
    return True


async def tend(database: Database, objects: ObjectStore, settings: TableSettings, row: store.ResourceTable, *, now: datetime) -> None:
    """Look a table over, join its small files, and remove what no version within its time needs.

    Raises: TableDamaged; Conflict (409) when a fold came between: the next round joins again.
    """
    folder = row.table_key
    with _timed("check"):
        await asyncio.to_thread(table_upkeep.check, objects, folder)
    with _timed("join"):
        joined = await asyncio.to_thread(table_upkeep.join_small, objects, folder, spare_files=settings.spare_files)
    if joined is not None:
        with _timed("put"):
            async with database.sessions.begin() as tx:
                await commands.put_joined(tx, objects, row.resource_id, folder, joined, now=now)
        joined_files.inc(len(joined.removes))
        log.info("table.joined", resource_id=str(row.resource_id), small=len(joined.removes), made=len(joined.adds))
    with _timed("remove"):
        removed = await asyncio.to_thread(
            table_upkeep.remove_old, objects, folder, kept=settings.kept, told_version=row.told_version, now=now
        )
        for number in range(domain.times_rebuilt(folder)):
            await asyncio.to_thread(table_upkeep.remove_folder, objects, table_key(row.resource_id, number), kept=settings.kept, now=now)
    removed_bytes.inc(removed.byte_count)
    async with database.sessions.begin() as tx:
        tended = await store.lock(tx, row.resource_id, table_key=folder, now=now)
        if tended.table_key == folder:
            tended.tended_version, tended.tended_at = max(row.version, tended.version if joined else row.version), now


@contextmanager
def _timed(step: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    upkeep_seconds.labels(step).observe(time.perf_counter() - begun)
