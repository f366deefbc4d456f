"""What is done about requests that wait, without anybody asking: a scenario that covers one by now grants it; each has its deadline."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import Policy
from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime.teller import Teller
from dxmesh_schemas.problem import Problem
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.domain import ANSWER
from exchange_svc.offer.store import CHANNEL
from exchange_svc.request import answering, commands, domain, store


def teller(policy: Policy, public_url: str) -> Teller:
    """Return the teller that looks at waiting requests whenever a scenario changes, and with each day in China."""

    async def grant(tx: AsyncSession, *, now: datetime) -> int:
        return await grant_covered(tx, policy, public_url=public_url, now=now)

    async def begin(tx: AsyncSession, *, now: datetime) -> int:
        return await start_clocks(tx, policy, now=now)

    async def next_day(tx: AsyncSession, *, now: datetime) -> datetime:  # noqa: ARG001  # scenarios begin with a day
        return begin_of(day_of(now) + timedelta(days=1))

    return Teller("waiting requests", CHANNEL, grant, next_day, begin=begin)


async def grant_covered(tx: AsyncSession, policy: Policy, *, public_url: str, now: datetime) -> int:
    """Look at a request under review whose scenario changed since, or that was not looked at today: granted, or noted why not.

    One at a time, so that resources are locked one at a time. Returns 0 when none is left. Emits: as `answering.ask`.
    """
    found = await store.find_to_look_at(tx, today=day_of(now))
    if found is None:
        return 0
    row, revision = found
    row.scenario_revision, row.scenario_looked_on = revision, day_of(now)
    try:
        resource = await commands.in_force(tx, row.resource_id)
        items = domain.choose_items(resource, row.items)
        domain.check_use_until(row.use_until, now)
        domain.check_terms(row.read_terms, items)
    except Problem:  # it cannot be granted as it is; its provider says so
        return 1
    row.sharing_type = domain.sharing_of(resource, items).value
    if await answering.by_scenario(tx, policy, row, resource, items, public_url=public_url, now=now):
        await clocks.meet(tx, row.request_id, *ANSWER, by=row.decided_by or "", now=now)
    await tx.flush()
    return 1


async def start_clocks(tx: AsyncSession, policy: Policy, *, now: datetime) -> int:
    """Give requests that wait without a clock, as those of before there were any, the one they would have; return how many."""
    rows = await store.list_without_clock(tx)
    for row in rows:
        await clocks.start(tx, policy, answering.answer_owed(row), now=row.submitted_at or now)
        if row.missing_asked_at is not None:
            await clocks.pause(tx, row.request_id, *ANSWER, now=row.missing_asked_at)
        if row.supplied_at is not None:
            await clocks.resume(tx, row.request_id, *ANSWER, now=row.supplied_at)
        if row.extension is not None and store.is_extended(row):
            try:
                answered_at = datetime.fromisoformat(row.extension["answered_at"])
                await clocks.extend(tx, row.request_id, *ANSWER, days=row.extension["days"], now=answered_at)
            except ClockRefused:  # it was behind its end by then, and stays missed
                continue
    return len(rows)
