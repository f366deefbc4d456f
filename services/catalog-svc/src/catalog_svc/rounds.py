"""What the worker looks after from time to time, as it comes with the calendar and not with a record."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now

log = structlog.get_logger(__name__)
_LOOK_SECONDS = 300.0


async def tell_from_time_to_time(database: Database, name: str, tell: Callable[[AsyncSession, datetime], Awaitable[int]]) -> None:
    """Tell what is due, a transaction at a time until nothing is, every five minutes until cancelled; `tell` returns how much it told.

    Several workers may do so: `tell` sees to it that each thing is told by one. A database that is away is waited for.
    """
    while True:
        broker.end_if_cancelled()
        try:
            while count := await _once(database, tell):
                log.info(f"{name}.told", count=count)
        except (SQLAlchemyError, OSError) as away:
            if not is_away(away):
                raise
            log.warning(f"{name}.database_away", error=repr(away))
        await asyncio.sleep(_LOOK_SECONDS)


async def _once(database: Database, tell: Callable[[AsyncSession, datetime], Awaitable[int]]) -> int:
    async with database.sessions.begin() as tx:
        return await tell(tx, utc_now())
