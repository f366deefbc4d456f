"""The clock of announced versions: each comes in force when its notice is over."""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from catalog_svc.resource import store as resources
from catalog_svc.step import commands
from dxmesh_runtime import broker
from dxmesh_runtime.db import Database, is_away, utc_now

log = structlog.get_logger(__name__)
_LOOK_SECONDS = 10.0
_AT_ONCE = 100


async def put_due_in_force(sessions: async_sessionmaker[AsyncSession], *, public_url: str, now: datetime) -> int:
    """Put every announced version in force whose notice is over by now, one transaction each; return how many came or went back."""
    done, before = 0, -1
    while done > before:  # what another worker was quicker with is no longer due
        before = done
        async with sessions() as tx:
            due = await resources.list_due(tx, now=now, limit=_AT_ONCE)
        for resource_id in due:
            async with sessions.begin() as tx:
                done += await commands.come_in_force(tx, resource_id, public_url=public_url, now=now) is not None
    return done


async def run_notices(database: Database, *, public_url: str) -> None:
    """Look every ten seconds until cancelled; a database that is away is waited for."""
    while True:
        broker.end_if_cancelled()
        try:
            await put_due_in_force(database.sessions, public_url=public_url, now=utc_now())
        except (SQLAlchemyError, OSError) as away:
            if not is_away(away):
                raise
            log.warning("notices.database_away", error=repr(away))
        await asyncio.sleep(_LOOK_SECONDS)
