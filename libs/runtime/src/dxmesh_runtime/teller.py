"""A loop that tells things at their moment: it sleeps until the next one, or until whoever changes something wakes it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import structlog
from prometheus_client import Counter
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now

log = structlog.get_logger(__name__)
told = Counter("dxmesh_told", "What was told at its moment", ["what"])
_AWAY = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_RETRY_SECONDS = 1.0
_LEAST_SECONDS = 1.0  # what is overdue and not ours to tell is in the hands of another teller
_MOST_SECONDS = 3600.0  # a clock that was set or a machine that slept is noticed by then


class Work(Protocol):
    """Does something in a transaction as of a time; returns how much was done."""

    async def __call__(self, tx: AsyncSession, *, now: datetime) -> int:
        """Return how many were done: 0 when nothing is left."""


class Ahead(Protocol):
    """Looks ahead."""

    async def __call__(self, tx: AsyncSession, *, now: datetime) -> datetime | None:
        """Return when something is to be told next; in the past when it is overdue, None when nothing is."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells what is due, each thing by one of the tellers that run at once: `tell` locks what it takes and skips what is locked.

    channel: on which `wake` is heard. begin: done each time it begins to listen, as when the service starts.
    """

    name: str
    channel: str
    tell: Work
    next_moment: Ahead
    begin: Work | None = None

    async def run(self, database: Database, *, now: Callable[[], datetime] = utc_now) -> None:
        """Tell of things as they come due, until cancelled; a database that is away is waited for."""
        while True:
            broker.end_if_cancelled()
            try:
                await self._listen(database, now)
            except _AWAY as away:
                if not is_away(away):
                    raise
                log.warning("teller.interrupted", what=self.name, error=repr(away))
            await asyncio.sleep(_RETRY_SECONDS)

    async def tell_due(self, database: Database, *, now: datetime) -> datetime | None:
        """Tell of everything that is due; return the next moment."""
        while True:
            async with database.sessions.begin() as tx:
                count = await self.tell(tx, now=now)
                if not count:
                    return await self.next_moment(tx, now=now)
            told.labels(self.name).inc(count)
            log.info("teller.told", what=self.name, count=count)

    async def _listen(self, database: Database, now: Callable[[], datetime]) -> None:
        wake = asyncio.Event()

        def changed(*_: Any) -> None:
            wake.set()

        async with database.autocommit.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            try:
                await raw.add_listener(self.channel, changed)
                raw.add_termination_listener(changed)
                begun = 0
                if self.begin is not None:
                    async with database.sessions.begin() as tx:
                        begun = await self.begin(tx, now=now())
                log.info("teller.listens", what=self.name, begun=begun)
                while not raw.is_closed():
                    broker.end_if_cancelled()
                    wake.clear()
                    moment = await self.tell_due(database, now=now())
                    wait = _MOST_SECONDS if moment is None else (moment - now()).total_seconds()
                    # wait_for would swallow a cancellation that comes with a change
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(max(wait, _LEAST_SECONDS), _MOST_SECONDS)):
                            await wake.wait()
            finally:
                # the pool would keep the listener: the connection is closed, not returned
                await asyncio.shield(connection.invalidate())


async def wake(tx: AsyncSession, channel: str) -> None:
    """Let the tellers of a channel look again once this transaction is committed."""
    await tx.execute(select(func.pg_notify(channel, "")))
