"""The keeper of calls: makes hours of them, tells the hours, and forgets what is old; one process at a time."""

import asyncio
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.db import Database, is_away, utc_now
from exchange_svc.api import commands, store
from exchange_svc.api.settings import ApiSettings

log = structlog.get_logger(__name__)


async def run_rollup(database: Database, settings: ApiSettings) -> None:
    """Keep calls until cancelled, a round every `rollup_seconds`; a database that is away is waited for."""
    while True:
        try:
            await roll_up_due(database, settings, now=utc_now())
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("rollup.interrupted", error=repr(error))
        await asyncio.sleep(settings.rollup_seconds)


async def roll_up_due(database: Database, settings: ApiSettings, *, now: datetime) -> None:
    """Do one round: every call that waits becomes part of its hour, every hour that is over is told, what is too old is removed.

    Each step is a transaction of its own and holds the lock for as long; another process that is at it is left to it.
    """
    more = True
    while more:
        async with database.sessions.begin() as tx:
            more = await _is_ours(tx) and await commands.roll_up(tx)
    more = True
    while more:
        async with database.sessions.begin() as tx:
            more = await _is_ours(tx) and await commands.tell_hours(tx, grace=timedelta(seconds=settings.grace_seconds), now=now)
    async with database.sessions.begin() as tx:
        await commands.forget(tx, kept_days=settings.use_record_days, now=now)


async def _is_ours(tx: AsyncSession) -> bool:
    return bool(await tx.scalar(select(func.pg_try_advisory_xact_lock(store.LOCK))))
