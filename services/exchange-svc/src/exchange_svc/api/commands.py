"""What is done about calls: let them in, count them, make hours of them, and tell the hours."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.exchange_terms import Mode
from dxmesh_schemas.exchange_usage import ApiUsed
from exchange_svc.api import domain, standing, store
from exchange_svc.api.changes import Since
from exchange_svc.api.standing import Standing
from exchange_svc.grant import domain as grants
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.grant.pull import Readable
from exchange_svc.grant.store import Grant
from exchange_svc.lag import store as lag

_HOUR = timedelta(hours=1)
_MOST_CALLS = 50_000
_MOST_HOURS = 1_000


@dataclass
class Call:
    """A call of a grant's holder, as it is counted; what it stands on is as it was when that was looked at last."""

    standing: Standing
    api: domain.Api
    system_id: UUID | None
    subject: str
    called_at: datetime
    row_count: int = 0
    question_count: int = 0
    read_to: Since | None = None  # how far the grant's rows were read, once a reading is complete

    @property
    def grant(self) -> Grant:
        """Return the grant it is made by."""
        return self.standing.grant

    @property
    def readable(self) -> Readable:
        """Return what it may read."""
        return self.standing.readable


async def begin(
    connection: AsyncConnection, grant_id: UUID, api: domain.Api, *, system_id: UUID | None, by: Principal, now: datetime
) -> Call:
    """Return the call of a grant's holder, not yet let in. Raises: GrantNotFound (404) for anyone else."""
    found = await standing.find(connection, grant_id, system_id=system_id)
    if found is None or by.organization_id != found.grant.requester_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not read by it")
    return Call(found, api, system_id, by.subject, now)


async def admit(connection: AsyncConnection, call: Call, *, now: datetime) -> None:
    """Let a call in that the grant's state, terms and rate allow.

    Raises: GrantOver, GrantIsSuspended, ModeNotGranted, SystemNotAdmitted (403), RateExceeded (429).
    """
    terms = call.grant.read_terms
    check(call, now=now)
    is_own = call.standing.system_of == call.grant.requester_id
    domain.check_system(call.system_id, is_own=is_own, admitted=terms.systems)
    limit = terms.calls_per_minute
    if limit is not None and not await store.take(connection, call.grant.grant_id, minute=domain.minute_of(now), limit=limit):
        raise domain.rate_exceeded(limit, now)


def check(call: Call, *, now: datetime) -> None:
    """Let a call through that the grant's state and ways allow now. Raises: GrantOver, GrantIsSuspended, ModeNotGranted (403)."""
    grant = call.grant
    grants.check_readable(
        grant.state_at(now),
        use_until=grant.use_until,
        termination_reason=grant.termination_reason,
        suspension_reason=grant.suspension_reason,
    )
    grants.check_mode(call.api.mode, grant.read_terms)


async def count(connection: AsyncConnection, call: Call, *, refused: str | None, now: datetime) -> None:
    """Count a call before its answer leaves; an answer is let out only if the grant still allows it.

    The call is entered if the grant's row is the one it was let in by: from the moment it was suspended or ended, none is.

    Raises: GrantOver, GrantIsSuspended, ModeNotGranted (403) when that ended meanwhile.
    Source: 政务数据共享条例 Art. 29 (use is recorded).
    """
    entry = {
        "api": call.api,
        "system_id": call.system_id,
        "subject": call.subject,
        "refused": refused,
        "row_count": call.row_count if refused is None else 0,
        "question_count": call.question_count if refused is None else 0,
        "called_at": call.called_at,
    }
    if refused is not None:
        await store.enter(connection, call.grant.grant_id, entry, mark=None)
        return
    check(call, now=now)
    while not await store.enter(connection, call.grant.grant_id, entry, mark=call.standing.mark):
        found = await standing.find(connection, call.grant.grant_id, system_id=call.system_id)
        assert found is not None, "grants are kept"
        call.standing = found
        check(call, now=now)
    if call.read_to is not None:
        name, read_to = "" if call.system_id is None else str(call.system_id), call.read_to
        sequence, place = read_to.sequence or 0, read_to.place
        await lag.note_read(connection, call.grant.grant_id, Mode.PULL, name, sequence=sequence, place=place, now=call.called_at)


async def roll_up(tx: AsyncSession) -> bool:
    """Make hours of calls; return whether more are waiting."""
    return await store.roll_up(tx, most=_MOST_CALLS) == _MOST_CALLS


async def tell_hours(tx: AsyncSession, *, grace: timedelta, now: datetime) -> bool:
    """Tell the hours that are over and not told as they are; return whether more are waiting.

    Emits: exchange.api.used.v1 for each hour, grant and API.
    """
    rows = await store.list_untold(tx, before=now - grace - _HOUR, most=_MOST_HOURS)
    await outbox.add_all(tx, [_told(row) for row in rows], now=now)
    await store.note_told(tx, rows, now=now)
    return len(rows) == _MOST_HOURS


def _told(row: RowMapping) -> ApiUsed:
    return ApiUsed.model_validate({**row, "system_ids": tuple(row["system_ids"] or ())})


async def forget(tx: AsyncSession, *, kept_days: int, now: datetime) -> None:
    """Remove the hours that are older than records of use are kept. Source: 政务数据共享条例 Art. 29 (three years and more)."""
    await store.forget(tx, before=now - timedelta(days=kept_days))
