"""What starts, pauses, extends and ends clocks, in the transaction of what they are about; and the telling of them."""

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.clock import Clock as Deadline
from dxmesh_clocks.clock import State
from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_clocks.working_days import between, day_of
from dxmesh_runtime import outbox, teller
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.event import Event
from exchange_svc.clock import domain, store
from exchange_svc.clock.domain import Owed, Responsible, Telling

_TOLD_AT_ONCE = 200


async def start(tx: AsyncSession, policy: Policy, owed: Owed, *, now: datetime, until: date | None = None) -> store.Clock | None:
    """Start the clock of something that is owed from now on; None when that clock runs already.

    until: the last day, where it was named; without, the policy's days are counted.
    """
    if await store.lock_owed(tx, owed.request_id, owed.rule, correction_id=owed.correction_id):
        return None
    rule, today = policy.rule(owed.rule), day_of(now)
    if until is not None:
        rule = rule.model_copy(update={"days": max(1, between(today, until))})
    row = store.Clock(
        clock_id=uuid7(),
        rule=owed.rule.value,
        terms=rule.model_dump(mode="json"),
        responsible=owed.responsible.value,
        organization_id=None if owed.responsible is Responsible.AUTHORITY else owed.organization.organization_id,
        organization=owed.organization.model_dump(mode="json"),
        request_id=owed.request_id,
        resource_id=owed.resource_id,
        grant_id=owed.grant_id,
        dispute_id=owed.dispute_id,
        correction_id=owed.correction_id,
        reason=owed.reason,
        started_at=now,
        started_on=today,
        until=until,
    )
    row.show(Deadline(rule, today, until=until), now=now)
    tx.add(row)
    await tx.flush()
    await teller.wake(tx, store.CHANNEL)
    return row


async def meet(tx: AsyncSession, request_id: UUID, *rules: RuleName, correction_id: UUID | None = None, by: str, now: datetime) -> None:
    """End the clocks of what is done now, in time or late."""
    for row in await store.lock_owed(tx, request_id, *rules, correction_id=correction_id):
        _meet(row, by=by, now=now)
    await tx.flush()


async def meet_deliveries(tx: AsyncSession, resource_ids: Collection[UUID], *, now: datetime) -> None:
    """End the clocks of deliveries: there is something to read. Call it under the lock of the resources' rows."""
    for row in await store.lock_deliveries(tx, resource_ids):
        _meet(row, by="exchange-svc", now=now)
    await tx.flush()


def _meet(row: store.Clock, *, by: str, now: datetime) -> None:
    ended = row.deadline.meet(day_of(now))
    row.met_at, row.met_by = now, by
    row.show(ended, now=now)


async def stop(tx: AsyncSession, request_id: UUID, *rules: RuleName, correction_id: UUID | None = None, reason: str, now: datetime) -> None:
    """End the clocks of what is not owed any more; one that was missed by then stays missed."""
    for row in await store.lock_owed(tx, request_id, *rules, correction_id=correction_id):
        deadline = row.deadline
        row.stopped_at, row.stopped_reason = now, reason
        row.show(deadline if row.paused_on is None else deadline.resume(day_of(now)), now=now)
    await tx.flush()


async def pause(tx: AsyncSession, request_id: UUID, *rules: RuleName, now: datetime) -> None:
    """Let clocks stand still that the policy lets, and that are not missed."""
    for row in await store.lock_owed(tx, request_id, *rules):
        deadline, today = row.deadline, day_of(now)
        if deadline.rule.pausable and deadline.state(today) in (State.RUNNING, State.EXTENDED):
            row.show(deadline.pause(today), now=now)
    await tx.flush()


async def resume(tx: AsyncSession, request_id: UUID, *rules: RuleName, now: datetime) -> None:
    """Let clocks go on that stand still, with the working days they had left."""
    for row in await store.lock_owed(tx, request_id, *rules):
        if row.paused_on is not None:
            row.show(row.deadline.resume(day_of(now)), now=now)
    await tx.flush()
    await teller.wake(tx, store.CHANNEL)


async def extended(tx: AsyncSession, request_id: UUID, *rules: RuleName, days: int, now: datetime) -> int | None:
    """Return how many working days a clock may be extended at most, after making sure that it can be extended now; None without one.

    Raises: ClockRefused (409) for one that is missed, was extended, or has no extension.
    """
    for row in await store.lock_owed(tx, request_id, *rules):
        most = row.deadline.rule.extension_days
        row.deadline.extend(max(1, min(days, most)), day_of(now))
        return most
    return None


async def extend(tx: AsyncSession, request_id: UUID, *rules: RuleName, days: int, now: datetime) -> None:
    """Give clocks more working days, once. Raises: ClockRefused (409) for one that is missed meanwhile."""
    for row in await store.lock_owed(tx, request_id, *rules):
        row.show(row.deadline.extend(days, day_of(now)), now=now)
    await tx.flush()
    await teller.wake(tx, store.CHANNEL)


async def tell_due(tx: AsyncSession, *, now: datetime) -> int:
    """Tell of deadlines that are near their end, missed, or long missed, each once; return of how many. Tellers at once share the work.

    Emits: exchange.deadline.approaching.v1, .missed.v1, .escalated.v1.
    """
    events: list[Event] = []
    rows = await store.lock_due(tx, now=now, limit=_TOLD_AT_ONCE)
    for row, resource_name in rows:
        following = row.next_telling(now)
        if following is not None and following[1] <= now:
            events += _tell(row, resource_name, following[0], now=now)
        row.show(row.deadline, now=now)
    await tx.flush()
    await outbox.add_all(tx, events, now=now)
    return len(rows)


def _tell(row: store.Clock, resource_name: str, telling: Telling, *, now: datetime) -> list[Event]:
    match telling:
        case Telling.APPROACHING:
            row.approaching_told_at = now
        case Telling.MISSED:
            row.missed_told_at = now
        case Telling.ESCALATED:
            row.escalated_told_at = now
    common = {
        "clock_id": row.clock_id,
        "rule": row.rule,
        "organization": row.organization_ref,
        "resource_id": row.resource_id,
        "resource_name": resource_name,
        "request_id": row.request_id,
        "grant_id": row.grant_id,
        "dispute_id": row.dispute_id,
        "correction_id": row.correction_id,
        "reason": row.reason,
    }
    return [
        *domain.tellings(
            telling,
            row.deadline,
            common,
            responsible=Responsible(row.responsible),
            ended_at=row.met_at or row.stopped_at,
            met_at=row.met_at,
            now=now,
        )
    ]


async def recount(tx: AsyncSession, *, now: datetime) -> int:
    """Count again where a year was assumed and its holidays are announced by now; return how many due days moved."""
    moved = 0
    for row in await store.lock_assumed(tx):
        before = row.due_on
        row.show(row.deadline, now=now)
        moved += row.due_on != before
    await tx.flush()
    return moved
