"""One call of a shared API, from being let in to being counted; its answer leaves after that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Database, utc_now
from dxmesh_schemas.problem import Problem
from exchange_svc.api import commands, domain


@asynccontextmanager
async def calling(
    database: Database, grant_id: UUID, api: domain.Api, *, system_id: UUID | None, by: Principal
) -> AsyncIterator[commands.Call]:
    """Let a call in, yield it to be answered, and count it; one that ends in a problem of the caller's is counted as refused.

    Counted is what could be given out, and before it is: whoever is killed between leaves no answer that was not counted.
    One statement lets in and one counts, each a transaction of its own: none is open while the answer is made.
    Raises: see `commands.begin`, `admit` and `count`.
    """
    async with database.autocommit.connect() as connection:
        call = await commands.begin(connection, grant_id, api, system_id=system_id, by=by, now=utc_now())
        try:
            await commands.admit(connection, call, now=utc_now())
        except Problem as problem:
            await commands.count(connection, call, refused=problem.slug, now=utc_now())
            raise
    try:
        yield call
        async with database.autocommit.connect() as connection:
            await commands.count(connection, call, refused=None, now=utc_now())
    except Problem as problem:
        if problem.status < 500:
            async with database.autocommit.connect() as connection:
                await commands.count(connection, call, refused=problem.slug, now=utc_now())
        raise
