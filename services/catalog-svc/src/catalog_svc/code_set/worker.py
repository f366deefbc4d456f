"""The calendar of code sets: a code that begins or ends today is in force, or is not, from today on."""

import asyncio

import structlog
from sqlalchemy.exc import DBAPIError

from catalog_svc.code_set import commands, store
from catalog_svc.code_set.entry import day_of
from dxmesh_runtime.db import Database, utc_now

log = structlog.get_logger(__name__)
_LOOK_SECONDS = 60.0


async def keep_current(database: Database) -> None:
    """Look every minute, until cancelled, for codes that began or ended; a database that is away is asked again."""
    while True:
        try:
            await bring_all_into_force(database)
        except (DBAPIError, OSError) as away:
            log.warning("code_set.calendar.waits", reason=str(away))
        await asyncio.sleep(_LOOK_SECONDS)


async def bring_all_into_force(database: Database) -> int:
    """Make a version with today's codes of each set that needs one, each in its own transaction; return how many there were."""
    now = utc_now()
    async with database.sessions() as tx:
        due = await store.due_for_change(tx, day_of(now))
    made = 0
    for name in due:
        async with database.sessions.begin() as tx:
            version = await commands.bring_into_force(tx, name, now=now)
        if version is not None:
            made += 1
            log.info("code_set.brought_into_force", name=name, version=version.version)
    return made
