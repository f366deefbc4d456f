"""What is told of lag: a subscriber that falls behind, and that it has caught up, each once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_usage import GrantCaughtUp, GrantFellBehind
from exchange_svc.lag import domain, store
from exchange_svc.lag.domain import Measured
from exchange_svc.lag.store import Behind, Held


async def tell(tx: AsyncSession, held: Sequence[Held], measured: Mapping[UUID, Sequence[Measured]], *, now: datetime) -> None:
    """Tell of subscribers that are behind now and were not, and of those that were and are not; what was told is kept.

    One that is gone (its subscription ended, its way not granted any more) did not catch up: it is forgotten. A grant that something else
    is done to at this moment, or that is over by now, is looked at again in the next round.
    Emits: exchange.grant.fell_behind.v1, .caught_up.v1.
    """
    known = await store.list_behind(tx, [one.grant.grant_id for one in held])
    changed = {
        one.grant.grant_id
        for one in held
        if domain.has_news({row.key for row in known.get(one.grant.grant_id, ())}, measured[one.grant.grant_id], now)
    }
    events: list[Event] = []
    locked = await store.lock_in_force(tx, changed, now=now)
    known = await store.list_behind(tx, [grant.grant_id for grant in locked])  # as it is under the locks
    for grant in locked:
        rows = {row.key: row for row in known.get(grant.grant_id, ())}
        for one in measured[grant.grant_id]:
            row = rows.pop(one.subscriber.key, None)
            named = {**grant.named, "mode": one.subscriber.mode, "subscriber": one.subscriber.name}
            if row is None and one.is_behind:
                assert one.waiting_since is not None
                assert one.limit is not None
                tx.add(Behind(grant_id=grant.grant_id, mode=one.subscriber.mode.value, name=one.subscriber.name, told_at=now))
                unread: dict[str, Any] = {"unread_batch_count": one.unread.batch_count, "unread_row_count": one.unread.row_count}
                since, limit = one.waiting_since, one.limit.total_seconds()
                events.append(GrantFellBehind(**named, **unread, waiting_since=since, limit_seconds=limit, found_at=now))
            elif row is not None and one.has_caught_up(now):
                await tx.delete(row)
                events.append(GrantCaughtUp(**named, behind_since=row.told_at, found_at=now))
        for row in rows.values():
            await tx.delete(row)
    await tx.flush()
    await outbox.add_all(tx, events, now=now)
