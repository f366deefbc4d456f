"""The teller of deadlines: it sleeps until the next one is near its end or missed, or until a duty changes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from catalog_svc.duty import commands, store
from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now

log = structlog.get_logger(__name__)
told = Counter("dxmesh_deadlines_told", "Deadlines told to be near their end or missed")
_AWAY = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_RETRY_SECONDS = 1.0
_LEAST_SECONDS = 1.0  # what is overdue and not ours to tell is in the hands of another teller
_MOST_SECONDS = 3600.0  # a clock that was set or a machine that slept is noticed by then


async def tell_in_time(database: Database, *, now: Callable[[], datetime] = utc_now) -> None:
    """Tell of deadlines as they come near and pass, until cancelled; a database that is away is waited for.

    Several tellers may run: each deadline is told by one of them.
    """
    while True:
        broker.end_if_cancelled()
        try:
            await _listen(database, now)
        except _AWAY as away:
            if not is_away(away):
                raise
            log.warning("deadlines.interrupted", error=repr(away))
        await asyncio.sleep(_RETRY_SECONDS)


async def tell(database: Database, *, now: datetime) -> datetime | None:
    """Tell of everything that is due; return when the next deadline comes near or passes."""
    while True:
        async with database.sessions.begin() as tx:
            count = await commands.tell_due(tx, now=now)
            if not count:
                return await store.next_moment(tx, now=now)
        told.inc(count)
        log.info("deadlines.told", count=count)


async def _listen(database: Database, now: Callable[[], datetime]) -> None:
    wake = asyncio.Event()

    def changed(*_: Any) -> None:
        wake.set()

    async with database.autocommit.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        try:
            await raw.add_listener(store.CHANNEL, changed)
            raw.add_termination_listener(changed)
            async with database.sessions.begin() as tx:
                moved = await commands.recount(tx, now=now())
            log.info("deadlines.watched", recounted=moved)
            while not raw.is_closed():
                broker.end_if_cancelled()
                wake.clear()
                moment = await tell(database, now=now())
                wait = _MOST_SECONDS if moment is None else (moment - now()).total_seconds()
                # wait_for would swallow a cancellation that comes with a change
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(max(wait, _LEAST_SECONDS), _MOST_SECONDS)):
                        await wake.wait()
        finally:
            # the pool would keep the listener: the connection is closed, not returned
            await asyncio.shield(connection.invalidate())
