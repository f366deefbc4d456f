"""Keeps the broker's users and access list as the grants have them: the database is the truth, and the broker follows within a moment."""

import asyncio
from contextlib import suppress
from datetime import datetime

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, utc_now
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.reader import access, domain, scram, store
from exchange_svc.reader.settings import ReaderSettings

log = structlog.get_logger(__name__)
LOCK = 0x6478_7265_6164  # one keeper per database
_PATIENCE_SECONDS = 20.0
_MAX_BACKOFF_SECONDS = 5.0
_FAILURES = (KafkaError, OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

drift = Gauge("dxmesh_reader_drift", "Users and access entries on the broker that are not as the grants have them")
changed = Counter("dxmesh_reader_changes", "Users and access entries changed on the broker", ["kind"])


async def run_readers(database: Database, kafka: KafkaSettings, key: bytes, tuning: ReaderSettings) -> None:
    """Keep the broker as the database has it, until cancelled; of several processes one works, the others wait for its lock.

    It looks when grants, views or readers change, when a grant's time ends, when it begins, and every `check_seconds`, which also
    finds what somebody else changed and a broker that lost its disk: the same passwords work again then.
    """
    await _Keeper(database, kafka, key, tuning).run()


class _Keeper:
    def __init__(self, database: Database, kafka: KafkaSettings, key: bytes, tuning: ReaderSettings) -> None:
        self._database = database
        self._kafka = kafka
        self._key = key
        self._tuning = tuning
        self._wake = asyncio.Event()
        self._written: dict[str, datetime] = {}  # users whose password this process has written, by what names the password

    async def run(self) -> None:
        failures = 0
        while True:
            broker.end_if_cancelled()
            try:
                await self._take_the_lead()
            except _FAILURES as away:
                failures += 1
                pause = min(0.1 * 2**failures, _MAX_BACKOFF_SECONDS)
                log.warning("readers.interrupted", error=repr(away), retry_seconds=pause)
                await asyncio.sleep(pause)

    async def _take_the_lead(self) -> None:
        async with self._database.engine.connect() as connection:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(select(func.pg_advisory_lock(LOCK)))
            try:
                raw = (await connection.get_raw_connection()).driver_connection
                assert raw is not None
                await raw.add_listener(store.CHANNEL, lambda *_: self._wake.set())
                self._written.clear()  # another process may have been at work meanwhile
                while True:
                    broker.end_if_cancelled()
                    if raw.is_closed():
                        raise ConnectionError("the keeper's database connection, and its lock with it, is lost")
                    self._wake.clear()
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        pause = await self._agree()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
            finally:
                # the pool would keep the lock: the connection is closed, not returned
                await asyncio.shield(connection.invalidate())

    async def _agree(self) -> float:
        """Make the broker what the database says; return after how many seconds to look again at the latest."""
        now = utc_now()
        async with self._database.sessions() as tx:
            readers = {row.user_name: row for row in await store.list_unrevoked(tx)}
            topics = await store.topics_of(tx, readers.values(), now=now)
            ends = await store.next_end(tx, now=now)
        wanted = [
            domain.Admitted(user, row.organization_id, topics[row.reader_id], row.rotated_at)
            for user, row in readers.items()
            if topics[row.reader_id]
        ]
        async with access.connected(self._kafka) as there:
            todo = domain.changes(wanted, entries=await there.entries(), users=await there.users(), written=self._written)
            drift.set(len(todo))
            await there.forbid(todo.forbid)
            await there.remove(todo.remove)
            opened = {user: verifier for user in todo.put if (verifier := self._verifier(readers[user])) is not None}
            await there.put(opened)
            await there.allow(todo.allow)
        for user in todo.remove:
            self._written.pop(user, None)
        self._written |= {user: readers[user].rotated_at for user in opened}
        self._tell(todo, unopened=len(todo.put) - len(opened))
        until_end = self._tuning.check_seconds if ends is None else (ends - utc_now()).total_seconds()
        return max(min(self._tuning.check_seconds, until_end), 0.0)

    def _verifier(self, row: store.Reader) -> scram.Verifier | None:
        try:
            return scram.Verifier(row.salt, row.iterations, scram.unseal(self._key, row.user_name, row.sealed))
        except scram.SealBroken as broken:
            log.error("readers.seal_broken", error=str(broken), remedy="give the reader a new password")
            return None

    def _tell(self, todo: domain.Changes, *, unopened: int) -> None:
        drift.set(unopened)
        done = {"forbid": todo.forbid, "remove": todo.remove, "put": todo.put, "allow": todo.allow}
        for kind, things in done.items():
            changed.labels(kind).inc(len(things))
        if len(todo) > unopened:
            log.info("readers.changed", **{kind: len(things) for kind, things in done.items()})
