"""Answers that take a while to leave: cut off once their grant may be read no more."""

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from dxmesh_runtime.db import utc_now
from exchange_svc.grant import domain, store

_LOOK_BYTES = 1 << 20


async def while_readable(
    pieces: AsyncIterator[bytes], sessions: async_sessionmaker[AsyncSession], grant_id: UUID, *, look_bytes: int = _LOOK_BYTES
) -> AsyncIterator[bytes]:
    """Yield the pieces of an answer, looking at its grant again before each MiB behind the first.

    Raises: GrantOver, GrantIsSuspended (403), by which the connection is cut: a reader cannot take the part for the whole.
    Source: 政务数据共享条例 Art. 27.
    """
    unlooked = 0
    async for piece in pieces:
        if unlooked >= look_bytes:
            async with sessions() as tx:
                grant, _ = await store.get(tx, grant_id)
            domain.check_readable(
                grant.state_at(utc_now()),
                use_until=grant.use_until,
                termination_reason=grant.termination_reason,
                suspension_reason=grant.suspension_reason,
            )
            unlooked = 0
        unlooked += len(piece)
        yield piece
