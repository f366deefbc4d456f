"""Deadlines of sharing: what starts, pauses, extends and ends them, what is told of them, and grants whose time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import RuleName, local, regulation
from dxmesh_clocks.working_days import ZONE, add
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import connect
from dxmesh_runtime.settings import DatabaseSettings
from dxmesh_schemas.catalog import OrganizationRef, SharingType
from dxmesh_schemas.exchange_deadlines import DeadlineApproaching, DeadlineEscalated, DeadlineEvent, DeadlineMissed
from dxmesh_schemas.exchange_sharing import Disposal, GrantExpired
from dxmesh_schemas.exchange_terms import Terms
from exchange_svc.api.settings import ApiSettings
from exchange_svc.api.worker import roll_up_due
from exchange_svc.clock import commands, store
from exchange_svc.clock.worker import teller
from exchange_svc.grant import commands as grants
from exchange_svc.request import answering
from exchange_svc.request import commands as requests
from exchange_svc.request.domain import Outcome
from exchange_svc.request.errors import ExtensionTooLong

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
POLICY = regulation()
URL = "https://mesh.example"
GRANTED = answering.Answer(Outcome.GRANTED, None, "卫健委主任")
AUTHORITY = Principal("authority", None, frozenset({"authority"}))


def at(month: int, day: int, hour: int = 9, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZONE)


def steward(who: OrganizationRef) -> Principal:
    return Principal("steward", who.organization_id, frozenset({"steward"}))


async def in_tx(exchange: Any, do: Callable[[Any], Awaitable[Any]]) -> Any:
    async with exchange.sessions.begin() as tx:
        return await do(tx)


async def ask(exchange: Any, resource: Any, *, now: datetime, policy: Any = POLICY, use_until: datetime | None = None) -> UUID:
    """Hand a request in at a moment; return its id."""
    asked = requests.Asked(resource.resource_id, None, "第二十条", "老年人优待证", "核对居住街道", use_until, "民政局局长", Terms())
    row = await in_tx(exchange, lambda tx: answering.ask(tx, policy, asked, by=steward(exchange.requester), public_url=URL, now=now))
    found: UUID = row.request_id
    return found


async def decide(exchange: Any, request_id: UUID, *, now: datetime, answer: answering.Answer = GRANTED) -> Any:
    return await in_tx(
        exchange, lambda tx: answering.decide(tx, POLICY, request_id, answer, by=steward(exchange.provider), public_url=URL, now=now)
    )


async def told(exchange: Any, now: datetime) -> list[DeadlineEvent]:
    """Tell what is due at a moment; return everything that was told so far."""
    while await in_tx(exchange, lambda tx: commands.tell_due(tx, now=now)):
        pass
    return [event for event in await exchange.outbox() if isinstance(event, DeadlineEvent)]


async def clocks(exchange: Any, headers: dict[str, str] | None = None, **params: Any) -> list[dict[str, Any]]:
    answer = await exchange.client.get("/v1/clocks", params=params, headers=headers or exchange.authority)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_an_answer_is_due_in_ten_working_days_and_told_of_until_it_is_given(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request_id = await ask(exchange, resource, now=at(11, 2))
    [near] = await told(exchange, at(11, 11))
    assert isinstance(near, DeadlineApproaching)
    assert (near.request_id, near.due_on, near.days, near.days_left) == (request_id, date(2026, 11, 16), 10, 3)
    assert (near.organization, near.resource_name, near.responsible) == (exchange.provider, "街道", "provider")
    assert near.assumed_years == ()
    assert len(await told(exchange, at(11, 17, 0))) == 1, "an answer that began in time has a minute to end"
    [_, missed, cdo] = await told(exchange, at(11, 17))
    assert isinstance(missed, DeadlineMissed)
    assert (missed.source, missed.missed_at, missed.met_at) == ("政务数据共享条例第二十一条", at(11, 17, 0), None)
    assert isinstance(cdo, DeadlineEscalated)
    assert (cdo.level, cdo.organization, cdo.overdue_days) == ("chief_data_officer", exchange.provider, 1)
    assert len(await told(exchange, at(11, 19, 23))) == 3
    authority = (await told(exchange, at(11, 20)))[3:]
    assert [(type(one), one.level, one.overdue_days) for one in authority] == [(DeadlineEscalated, "data_authority", 4)]
    assert len(await told(exchange, at(12, 31))) == 4, "each once"
    await decide(exchange, request_id, now=at(12, 31))
    seen = (await exchange.client.get(f"/v1/requests/{request_id}", headers=exchange.steward(exchange.requester))).json()
    assert (seen["state"], seen["due_on"], seen["standing"]) == ("granted", "2026-11-16", "missed")


async def test_what_needs_no_condition_is_answered_by_the_next_working_day_and_at_once_with_consent(exchange: Any) -> None:
    slow = await exchange.publish(standing_consent=None)
    request_id = await ask(exchange, slow, now=at(11, 6))
    [clock] = await clocks(exchange, request=request_id)
    assert (clock["rule"], clock["due_on"], clock["days"]) == ("request_unconditional", "2026-11-09", 1), "Friday to Monday"
    await decide(exchange, request_id, now=at(11, 9, 23))
    assert await told(exchange, at(11, 10)) == []
    at_once = (await exchange.ask(await exchange.publish())).json()
    assert (at_once["state"], at_once["due_on"], at_once["standing"]) == ("granted", None, None)


async def test_an_answer_given_late_while_no_teller_ran_is_told_as_missed_and_goes_to_nobody(exchange: Any) -> None:
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(11, 2))
    await decide(exchange, request_id, now=at(11, 17), answer=answering.Answer(Outcome.REFUSED, "用途不符", "主任"))
    [missed] = await told(exchange, at(11, 18))
    assert isinstance(missed, DeadlineMissed)
    assert missed.met_at == at(11, 17)


async def test_the_clock_stands_still_while_material_is_asked_for(exchange: Any) -> None:
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(11, 2))
    await in_tx(
        exchange, lambda tx: answering.ask_materials(tx, request_id, missing=["签批件"], by=steward(exchange.provider), now=at(11, 4))
    )
    [paused] = await clocks(exchange, standing="paused")
    assert (paused["request_id"], await told(exchange, at(11, 30))) == (str(request_id), [])
    await in_tx(exchange, lambda tx: requests.supply(tx, request_id, supplied="已补", by=steward(exchange.requester), now=at(11, 18)))
    [clock] = await clocks(exchange, request=request_id)
    assert (clock["due_on"], clock["paused_days"]) == ("2026-11-30", 10)
    [near] = await told(exchange, at(11, 25))
    assert near.due_on == date(2026, 11, 30)


async def test_a_policy_may_forbid_the_pause_and_shorten_the_extension(exchange: Any) -> None:
    rule = '{"days": 5, "extension_days": 3, "pausable": false, "source": "第六条"}'
    policy = local(f'{{"jurisdiction": "330600", "title": "办法", "rules": {{"request_conditional": {rule}}}}}')
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(11, 2), policy=policy)
    by = steward(exchange.provider)

    def wanted(days: int) -> Callable[[Any], Awaitable[Any]]:
        return lambda tx: answering.ask_extension(tx, request_id, days=days, reason="会商", by=by, now=at(11, 3))

    with pytest.raises(ExtensionTooLong, match="3 working days"):
        await in_tx(exchange, wanted(4))
    await in_tx(exchange, wanted(3))
    await in_tx(
        exchange,
        lambda tx: answering.decide_extension(tx, request_id, consents=True, approved_by="数据局局长", by=AUTHORITY, now=at(11, 4)),
    )
    await in_tx(exchange, lambda tx: answering.ask_materials(tx, request_id, missing=["签批件"], by=by, now=at(11, 5)))
    [clock] = await clocks(exchange, request=request_id)
    assert (clock["due_on"], clock["extension_days"], clock["paused_days"], clock["source"]) == ("2026-11-12", 3, 0, "第六条")
    [missed, _] = [one for one in await told(exchange, at(11, 13)) if not isinstance(one, DeadlineApproaching)]
    assert isinstance(missed, DeadlineMissed), "the clock went on while material was asked for"


async def test_an_extension_beyond_the_policy_or_behind_the_end_is_refused(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request = (await exchange.ask(resource)).json()
    path = f"/v1/requests/{request['request_id']}/extension"
    headers = exchange.steward(exchange.provider)
    long = await exchange.client.post(path, json={"days": 11, "reason": "x"}, headers=headers)
    assert (long.status_code, long.json()["type"].rsplit("/", 1)[1]) == (422, "extension-too-long")
    assert long.json()["errors"][0]["pointer"] == "/days"
    late = await ask(exchange, resource, now=at(11, 2))
    with pytest.raises(ClockRefused):
        await in_tx(
            exchange,
            lambda tx: answering.ask_extension(tx, late, days=5, reason="x", by=steward(exchange.provider), now=at(11, 17)),
        )


async def test_an_end_that_moved_is_told_anew(exchange: Any) -> None:
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(11, 2))
    assert len(await told(exchange, at(11, 12))) == 1
    by = steward(exchange.provider)
    await in_tx(exchange, lambda tx: answering.ask_extension(tx, request_id, days=10, reason="x", by=by, now=at(11, 13)))
    await in_tx(
        exchange, lambda tx: answering.decide_extension(tx, request_id, consents=True, approved_by="局长", by=AUTHORITY, now=at(11, 16))
    )
    assert len(await told(exchange, at(11, 17))) == 1
    events = await told(exchange, at(11, 26))
    assert [event.due_on for event in events] == [date(2026, 11, 16), date(2026, 11, 30)]


async def test_a_withdrawn_request_owes_nothing(exchange: Any) -> None:
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(11, 2))
    await in_tx(exchange, lambda tx: requests.withdraw(tx, request_id, reason="取消", by=steward(exchange.requester), now=at(11, 3)))
    assert await told(exchange, at(12, 31)) == []
    assert [clock["standing"] for clock in await clocks(exchange)] == ["stopped"]


async def test_data_are_due_in_twenty_working_days_and_are_there_with_the_first_batch(exchange: Any) -> None:
    one, other = await exchange.publish(**CONDITIONAL), await exchange.publish(**CONDITIONAL, name="社区")
    for resource in (one, other):
        await decide(exchange, await ask(exchange, resource, now=at(11, 2)), now=at(11, 3))
    due = {clock["due_on"] for clock in await clocks(exchange) if clock["rule"] == "delivery"}
    assert due == {"2026-12-01"}
    await exchange.accepted(one.resource_id)
    await exchange.accepted(one.resource_id)
    standings = {clock["resource_name"]: clock["met_by"] for clock in await clocks(exchange) if clock["rule"] == "delivery"}
    assert standings == {"街道": "exchange-svc", "社区": None}
    missed = [event for event in await told(exchange, at(12, 2)) if isinstance(event, DeadlineMissed) and event.rule == "delivery"]
    assert [(event.resource_name, event.organization) for event in missed] == [("社区", exchange.provider)]


async def test_a_remedy_has_a_last_day_and_its_miss_is_told_and_ends_nothing(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    named, unnamed = [UUID((await exchange.granted(resource))["grant_id"]) for _ in range(2)]
    by = steward(exchange.provider)
    for grant_id, until in ((named, date(2027, 1, 9)), (unnamed, None)):
        row, _ = await in_tx(
            exchange,
            lambda tx, grant_id=grant_id, until=until: grants.suspend(
                tx, POLICY, grant_id, reason="超出用途", remedy_until=until, by=by, now=at(12, 28)
            ),
        )
        assert row.remedy_until == (until or add(date(2026, 12, 28), 10))
    near = [event for event in await told(exchange, at(1, 8, year=2027)) if event.grant_id == named]
    assert [(type(event), event.due_on, event.organization) for event in near] == [
        (DeadlineApproaching, date(2027, 1, 9), exchange.requester)
    ], "a Saturday, as it was named"
    missed = [event for event in await told(exchange, at(1, 10, year=2027)) if event.grant_id == named][1:]
    assert [type(event) for event in missed] == [DeadlineMissed, DeadlineEscalated]
    seen = await exchange.client.get(f"/v1/grants/{named}", headers=exchange.steward(exchange.requester))
    assert seen.json()["state"] == "suspended"
    await in_tx(exchange, lambda tx: grants.resume(tx, unnamed, reason="已整改", by=by, now=at(12, 29)))
    [met] = [clock for clock in await clocks(exchange, standing="met") if clock["rule"] == "remedy"]
    assert met["grant_id"] == str(unnamed)


async def test_disposal_is_asked_for_when_a_grant_is_over_and_there_was_something_to_read(exchange: Any) -> None:
    resource, empty = await exchange.publish(), await exchange.publish(name="社区")
    await exchange.accepted(resource.resource_id)
    read, unread = [UUID((await exchange.granted(one))["grant_id"]) for one in (resource, empty)]
    by = steward(exchange.requester)
    for grant_id in (read, unread):
        await in_tx(exchange, lambda tx, grant_id=grant_id: grants.terminate(tx, POLICY, grant_id, reason="用完", by=by, now=at(12, 1)))
    standings = {(clock["rule"], clock["grant_id"]): clock["standing"] for clock in await clocks(exchange)}
    assert standings["delivery", str(unread)] == "stopped"
    [disposal] = [clock for clock in await clocks(exchange) if clock["rule"] == "disposal"]
    assert (disposal["grant_id"], disposal["responsible"]) == (str(read), "requester")
    assert disposal["organization"]["name"] == exchange.requester.name
    assert "未定期限" in disposal["source"], "the regulation names no term: this one is ours, and says so"
    filed = Disposal(what="副本", how="删除", disposed_on=date(2026, 12, 2), done_by="信息中心")
    await in_tx(exchange, lambda tx: grants.dispose(tx, read, filed, by=by, now=at(12, 3)))
    [met] = [clock for clock in await clocks(exchange) if clock["rule"] == "disposal"]
    assert met["met_by"] == "信息中心"
    assert [event for event in await told(exchange, at(6, 1, year=2027)) if event.rule == "disposal"] == []


async def test_a_disposal_that_is_not_filed_is_taken_further_and_one_that_is_is_kept_for_years(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant_id = UUID((await exchange.granted(resource))["grant_id"])
    by = steward(exchange.requester)
    await in_tx(exchange, lambda tx: grants.terminate(tx, POLICY, grant_id, reason="用完", by=by, now=at(11, 2)))
    missed, officer = (await told(exchange, at(12, 1)))[-2:]
    assert isinstance(missed, DeadlineMissed)
    assert (missed.rule, missed.responsible, missed.organization, missed.due_on) == (
        "disposal",
        "requester",
        exchange.requester,
        date(2026, 11, 30),
    )
    assert isinstance(officer, DeadlineEscalated)
    authority = (await told(exchange, at(12, 10)))[-1]
    assert isinstance(authority, DeadlineEscalated)
    assert (officer.level, authority.level) == ("chief_data_officer", "data_authority")
    said = {"what": "数据库中的副本", "how": "删除并覆写", "disposed_on": "2026-11-20", "done_by": "信息中心"}
    url = f"/v1/grants/{grant_id}/disposal"
    for name in said:
        lacking = {one: value for one, value in said.items() if one != name}
        answer = await exchange.client.post(url, json=lacking, headers=exchange.steward(exchange.requester))
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]
    filed = Disposal(what="数据库中的副本", how="删除并覆写", disposed_on=date(2026, 11, 20), done_by="信息中心")
    await in_tx(exchange, lambda tx: grants.dispose(tx, grant_id, filed, by=by, now=at(12, 11)))
    [late] = [clock for clock in await clocks(exchange) if clock["rule"] == "disposal"]
    assert (late["standing"], late["met_by"]) == ("missed", "信息中心")
    database = connect(DatabaseSettings(url=exchange.url))
    try:  # what the workers do as time passes takes none of it away
        await teller(POLICY).tell_due(database, now=at(12, 31, year=2031))
        await roll_up_due(database, ApiSettings(), now=at(12, 31, year=2031))
    finally:
        await database.close()
    for headers in (exchange.steward(exchange.provider), exchange.authority):
        kept = (await exchange.client.get(f"/v1/grants/{grant_id}", headers=headers)).json()
        assert (kept["state"], kept["disposal"]) == ("disposed", said)
        request = (await exchange.client.get(f"/v1/requests/{kept['request_id']}", headers=headers)).json()
        assert (request["scenario"], request["purpose"]) == ("老年人优待证", "核对居住街道")


async def test_the_teller_tells_of_a_grant_that_ends_and_asks_for_disposal(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    until = at(12, 10, year=2030)
    request_id = await ask(exchange, resource, now=at(11, 2), use_until=until)
    database = connect(DatabaseSettings(url=exchange.url))
    try:
        telling = teller(POLICY)
        assert await telling.tell_due(database, now=at(11, 3)) == until, "the end of the grant is the next moment"
        following = await telling.tell_due(database, now=until)
    finally:
        await database.close()
    [expired] = [event for event in await exchange.outbox() if isinstance(event, GrantExpired)]
    assert (expired.request_id, expired.use_until) == (request_id, until)
    [disposal] = await clocks(exchange, request=request_id)
    assert disposal["rule"] == "disposal"
    assert following is not None
    assert until < following < until + timedelta(days=40)


async def test_tellers_that_sleep_are_woken_by_a_request_and_tell_each_deadline_once(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    database = connect(DatabaseSettings(url=exchange.url))
    tellers = [asyncio.create_task(teller(POLICY).run(database, now=lambda: at(11, 12))) for _ in range(2)]
    asked: list[UUID] = []
    events: list[Any] = []
    try:
        async with asyncio.timeout(30):
            for _ in range(2):  # for the second they sleep: the next moment is days ahead, and their time stands
                asked.append(await ask(exchange, resource, now=at(11, 2)))
                while len(events := [one for one in await exchange.outbox() if isinstance(one, DeadlineEvent)]) < len(asked):
                    await asyncio.sleep(0.02)
    finally:
        for task in tellers:
            task.cancel()
        await asyncio.gather(*tellers, return_exceptions=True)
        await database.close()
    assert [event.request_id for event in events] == asked


async def test_tellers_at_once_tell_each_deadline_once(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    for _ in range(6):
        await ask(exchange, resource, now=at(11, 2))
    counts = await asyncio.gather(*(in_tx(exchange, lambda tx: commands.tell_due(tx, now=at(11, 12))) for _ in range(4)))
    assert sum(counts) == 6
    events = await told(exchange, at(11, 12))
    assert len({event.clock_id for event in events}) == len(events) == 6


async def test_each_organization_sees_what_it_owes_and_the_authority_everything(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    first, second = [(await exchange.ask(resource)).json() for _ in range(2)]
    owed = await clocks(exchange, exchange.steward(exchange.provider), owed=True)
    assert [clock["request_id"] for clock in owed] == [first["request_id"], second["request_id"]]
    assert owed[0]["due_on"] == first["due_on"]
    assert first["standing"] == owed[0]["standing"] == "running"
    assert await clocks(exchange, exchange.steward(exchange.requester)) == []
    assert len(await clocks(exchange)) == 2
    answer = await exchange.client.get("/v1/clocks", params={"limit": 1}, headers=exchange.authority)
    rest = await clocks(exchange, limit=1, cursor=answer.json()["next_cursor"])
    assert [clock["request_id"] for clock in rest] == [second["request_id"]]
    wrong = await exchange.client.get("/v1/clocks", params={"standing": "late"}, headers=exchange.authority)
    nobody = await exchange.client.get("/v1/clocks", headers=exchange.tokens.issue(None, "auditor"))
    assert (wrong.status_code, nobody.status_code) == (422, 403)


async def test_a_thousand_open_clocks_are_one_look_at_an_index(exchange: Any) -> None:
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(11, 2))
    async with exchange.sessions.begin() as tx:
        names = [column.name for column in store.Clock.__table__.columns if column.name not in ("clock_id", "rule", "next_at")]
        columns = ", ".join(f'"{name}"' for name in names)
        copied = f"""INSERT INTO clock (clock_id, rule, next_at, {columns})
            SELECT gen_random_uuid(), 'copy ' || n, next_at + n * interval '1 minute', {columns} FROM clock, generate_series(1, 1000) n"""
        await tx.execute(text(copied))
        await tx.execute(text("ANALYZE clock"))
        looks = (
            "SELECT min(next_at) FROM clock WHERE next_at IS NOT NULL",
            "SELECT clock_id FROM clock WHERE next_at <= '2026-11-11 00:00+08' ORDER BY next_at, clock_id LIMIT 200",
        )
        plans = ["\n".join(await tx.scalars(text(f"EXPLAIN {look}"))) for look in looks]
        found = await store.next_moment(tx)
    assert all("ix_clock_next" in plan and "Seq Scan" not in plan for plan in plans), plans
    assert found == at(11, 11, 0)
    [approaching] = await told(exchange, at(11, 11, 0))
    assert approaching.request_id == request_id


async def test_days_that_rest_on_a_year_without_holidays_say_so_and_are_counted_again(exchange: Any) -> None:
    request_id = await ask(exchange, await exchange.publish(**CONDITIONAL), now=at(12, 28, year=2097))
    [clock] = await clocks(exchange, request=request_id)
    assert 2098 in clock["assumed_years"]
    async with exchange.sessions.begin() as tx:
        await tx.execute(text("UPDATE clock SET due_on = due_on - 1"))
        assert await commands.recount(tx, now=at(12, 28, year=2097)) == 1
    assert [one["due_on"] for one in await clocks(exchange, request=request_id)] == [clock["due_on"]]
    assert RuleName(clock["rule"]) is RuleName.REQUEST_CONDITIONAL
