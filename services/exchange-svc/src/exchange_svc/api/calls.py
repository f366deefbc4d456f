"""One call of a shared API, from being let in to being counted; its answer leaves after that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.problem import Problem
from exchange_svc.api import commands, domain
from exchange_svc.grant import pull


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that was let in, and what it may read."""

    call: commands.Call
    readable: pull.Readable


@asynccontextmanager
async def calling(
    sessions: async_sessionmaker[AsyncSession], grant_id: UUID, api: domain.Api, *, system_id: UUID | None, by: Principal
) -> AsyncIterator[Admitted]:
    """Let a call in, yield it to be answered, and count it; one that ends in a problem of the caller's is counted as refused.

    Counted is what could be given out, and before it is: whoever is killed between leaves no answer that was not counted.
    No transaction is open while the answer is made. Raises: see `commands.begin`, `admit` and `count`.
    """
    async with sessions.begin() as tx:
        call = await commands.begin(tx, grant_id, api, system_id=system_id, by=by, now=utc_now())
        try:
            await commands.admit(tx, call, now=utc_now())
            admitted: Admitted | Problem = Admitted(call, await pull.open_view(tx, call.grant, call.view))
        except Problem as problem:
            await commands.count(tx, call, refused=problem.slug, now=utc_now())
            admitted = problem
    if isinstance(admitted, Problem):
        raise admitted
    try:
        yield admitted
        async with sessions.begin() as tx:
            await commands.count(tx, call, refused=None, now=utc_now())
    except Problem as problem:
        if problem.status < 500:
            async with sessions.begin() as tx:
                await commands.count(tx, call, refused=problem.slug, now=utc_now())
        raise
