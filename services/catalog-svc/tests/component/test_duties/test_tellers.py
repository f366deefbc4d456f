"""Deadlines that are told: near their end and when missed, each once, whoever sleeps, wakes or fails."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from catalog_svc.duty import commands
from catalog_svc.duty.domain import Extension
from catalog_svc.duty.worker import DEADLINES
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import connect
from dxmesh_schemas.catalog_deadlines import DeadlineApproaching, DeadlineEvent, DeadlineMissed

AUTHORITY = Principal("authority", None, frozenset({"authority"}))


async def test_a_deadline_is_told_near_its_end_and_when_missed_each_once(node: Any, duties: Any) -> None:
    organization, system = await node.provider()
    duty_id = await duties.begun(node, await node.published(organization, system))
    assert await duties.told(node, duties.at(2026, 11, 10, 23)) == []
    [near] = await duties.told(node, duties.at(2026, 11, 11, 0))
    assert isinstance(near, DeadlineApproaching)
    assert (near.clock_id, near.days_left, near.due_on, near.assumed_years) == (duty_id, 3, date(2026, 11, 16), ())
    assert (near.organization.uscc, near.resource_name, near.source) == (organization["uscc"], "街道办事处名录", "政务数据共享条例第十七条")
    assert len(await duties.told(node, duties.at(2026, 11, 16, 23))) == 1
    assert len(await duties.told(node, duties.at(2026, 11, 17, 0))) == 1, "a publication begun before midnight may still end"
    events = await duties.told(node, duties.at(2026, 11, 17, 0) + timedelta(minutes=1))
    assert len(events) == 2
    assert isinstance(events[1], DeadlineMissed)
    assert (events[1].missed_at, events[1].met_at) == (duties.at(2026, 11, 17, 0), None)
    assert len(await duties.told(node, duties.at(2027, 1, 1))) == 2


async def test_a_change_registered_too_late_is_told_as_missed_alone(node: Any, duties: Any) -> None:
    await duties.begun(node, await node.published(*await node.provider()), changed_on=date(2026, 3, 2))
    [missed] = await duties.told(node, duties.at(2026, 11, 1))
    assert isinstance(missed, DeadlineMissed)
    assert len(await duties.told(node, duties.at(2026, 11, 2))) == 1


async def test_what_was_done_late_while_no_teller_ran_is_told_as_missed(node: Any, duties: Any) -> None:
    made = await node.published(*await node.provider())
    await duties.begun(node, made)
    met_at = duties.at(2026, 11, 18)
    given = {"version": 2, "by": "x", "now": met_at}
    await duties.in_tx(node, lambda tx: commands.on_publication(tx, UUID(made["resource_id"]), **given))
    [missed] = await duties.told(node, duties.at(2026, 11, 20))
    assert isinstance(missed, DeadlineMissed)
    assert missed.met_at == met_at


async def test_what_was_done_in_time_or_taken_back_is_told_no_more(node: Any, duties: Any) -> None:
    organization, system = await node.provider()
    done = await node.published(organization, system)
    await duties.begun(node, done)
    await duties.in_tx(
        node, lambda tx: commands.on_publication(tx, UUID(done["resource_id"]), version=2, by="x", now=duties.at(2026, 11, 16, 23))
    )
    mistaken = await duties.begun(node, await node.published(organization, system, name="乡镇名录"))
    await duties.in_tx(node, lambda tx: commands.cancel(tx, mistaken, reason="误登", by=AUTHORITY, now=duties.at(2026, 11, 3)))
    gone = await node.published(organization, system, name="社区名录")
    await duties.begun(node, gone)
    await duties.in_tx(
        node, lambda tx: commands.on_withdrawal(tx, UUID(gone["resource_id"]), by="x", reason="职责划出", now=duties.at(2026, 11, 4))
    )
    assert await duties.told(node, duties.at(2027, 1, 1)) == []


async def test_tellers_at_once_tell_each_deadline_once(node: Any, duties: Any) -> None:
    organization, system = await node.provider()
    for number in range(6):
        await duties.begun(node, await node.published(organization, system, name=f"名录{number}"))
    now = duties.at(2026, 11, 12)
    counts = await asyncio.gather(*(duties.in_tx(node, lambda tx: commands.tell_due(tx, now=now)) for _ in range(4)))
    assert sum(counts) == 6
    events = await duties.told(node, now)
    assert len({event.clock_id for event in events}) == len(events) == 6


async def test_tellers_that_sleep_are_woken_by_a_new_duty_and_one_of_them_tells_it(node: Any, duties: Any) -> None:
    organization, system = await node.provider()
    made = [await node.published(organization, system, name=f"名录{number}") for number in range(3)]
    database = connect(node.settings.database)
    tellers = [asyncio.create_task(DEADLINES.run(database, now=lambda: duties.at(2026, 11, 12))) for _ in range(2)]
    ids = []
    try:
        async with asyncio.timeout(30):
            for one in made:  # from the second on they sleep for an hour: the next deadline is days ahead, and their clock stands
                ids.append(await duties.begun(node, one))
                while len(events := [event for event in await node.events() if isinstance(event, DeadlineEvent)]) < len(ids):
                    await asyncio.sleep(0.02)
    finally:
        for task in tellers:
            task.cancel()
        await asyncio.gather(*tellers, return_exceptions=True)
        await database.close()
    assert [event.clock_id for event in events] == ids


async def test_a_teller_that_lost_its_connection_listens_again(node: Any, duties: Any) -> None:
    organization, system = await node.provider()
    made = [await node.published(organization, system, name=f"名录{number}") for number in range(2)]
    database = connect(node.settings.database)
    teller = asyncio.create_task(DEADLINES.run(database, now=lambda: duties.at(2026, 11, 12)))
    ids = []
    try:
        async with asyncio.timeout(30):
            for one in made:
                ids.append(await duties.begun(node, one))
                while len(events := [event for event in await node.events() if isinstance(event, DeadlineEvent)]) < len(ids):
                    await asyncio.sleep(0.02)
                async with node.sessions.begin() as tx:
                    others = "datname = current_database() AND pid <> pg_backend_pid()"
                    await tx.execute(
                        text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others} AND query ILIKE 'LISTEN%'")
                    )
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
        await database.close()
    assert [event.clock_id for event in events] == ids


async def test_what_was_told_in_a_transaction_that_failed_is_told_by_the_next(node: Any, duties: Any) -> None:
    duty_id = await duties.begun(node, await node.published(*await node.provider()))

    async def told_in_vain(tx: Any) -> None:
        assert await commands.tell_due(tx, now=duties.at(2026, 11, 12)) == 1
        raise ConnectionError("the database went away before the commit")

    with pytest.raises(ConnectionError):
        await duties.in_tx(node, told_in_vain)
    assert [event for event in await node.events() if isinstance(event, DeadlineEvent)] == []
    assert [event.clock_id for event in await duties.told(node, duties.at(2026, 11, 12))] == [duty_id]


async def test_the_teller_wakes_for_the_next_moment(node: Any, duties: Any) -> None:
    organization, system = await node.provider()
    database = connect(node.settings.database)
    try:
        assert await DEADLINES.tell_due(database, now=duties.at(2026, 11, 2)) is None
        await duties.begun(node, await node.published(organization, system))
        await duties.begun(node, await node.published(organization, system, name="乡镇名录"), changed_on=date(2026, 11, 4))
        assert await DEADLINES.tell_due(database, now=duties.at(2026, 11, 4)) == duties.at(2026, 11, 11, 0)
        assert await DEADLINES.tell_due(database, now=duties.at(2026, 11, 12)) == duties.at(2026, 11, 13, 0)
        assert await DEADLINES.tell_due(database, now=duties.at(2026, 11, 14)) == duties.at(2026, 11, 17, 0) + timedelta(minutes=1)
    finally:
        await database.close()


async def test_an_extension_after_the_end_was_near_is_not_told_near_again(node: Any, duties: Any) -> None:
    duty_id = await duties.begun(node, await node.published(*await node.provider()))
    assert len(await duties.told(node, duties.at(2026, 11, 12))) == 1
    given = {"reason": "x", "by": AUTHORITY, "now": duties.at(2026, 11, 13)}
    await duties.in_tx(node, lambda tx: commands.ask_extension(tx, duty_id, days=None, **given))
    await duties.in_tx(node, lambda tx: commands.decide_extension(tx, duty_id, outcome=Extension.GRANTED, **given))
    assert len(await duties.told(node, duties.at(2026, 11, 20))) == 1
    assert [type(event) for event in await duties.told(node, duties.at(2026, 11, 25))] == [DeadlineApproaching, DeadlineMissed]
