import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from catalog_svc.duty import commands, store
from catalog_svc.duty.domain import Change, Extension
from catalog_svc.duty.worker import DEADLINES
from catalog_svc.resource.store import ResourceVersion
from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import RuleName, regulation
from dxmesh_clocks.working_days import CHINA, ZONE, add, day_of
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import connect, utc_now
from dxmesh_schemas.catalog_deadlines import DeadlineApproaching, DeadlineEvent, DeadlineMissed

NOBODY = "00000000-0000-0000-0000-000000000000"
MONDAY = date(2026, 11, 2)
AUTHORITY = Principal("authority", None, frozenset({"authority"}))
BODY = {"change": "law", "basis": "中华人民共和国行政区划代码 (2026年修订)", "reason": "街道撤并", "changed_on": "2026-11-02"}


def at(year: int, month: int, day: int, hour: int = 9) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZONE)


def today() -> date:
    return day_of(utc_now())


async def in_tx(node: Any, do: Callable[[Any], Awaitable[Any]]) -> Any:
    async with node.sessions.begin() as tx:
        return await do(tx)


async def begun(node: Any, made: dict[str, Any], *, changed_on: date = MONDAY, **changes: Any) -> UUID:
    """Register a change of a resource, as on the day it happened; return the duty's id."""
    given: dict[str, Any] = {"organization_id": None, "resource_id": UUID(made["resource_id"]), "basis": None, "reason": "职责调整"}
    given |= {
        "change": Change.DUTIES,
        "changed_on": changed_on,
        "by": AUTHORITY,
        "now": at(changed_on.year, changed_on.month, changed_on.day),
    }
    row = await in_tx(node, lambda tx: commands.register(tx, regulation(), **(given | changes)))
    duty_id: UUID = row.duty_id
    return duty_id


async def told(node: Any, now: datetime) -> list[DeadlineEvent]:
    """Tell what is due at a moment; return all that was told so far."""
    await in_tx(node, lambda tx: commands.tell_due(tx, now=now))
    return [event for event in await node.events() if isinstance(event, DeadlineEvent)]


async def shown(node: Any, duty_id: UUID | str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await node.client.get(f"/v1/duties/{duty_id}", headers=headers or node.authority)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def next_version(node: Any, organization: dict[str, Any], made: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    changed = await node.client.put(f"/v1/resources/{made['resource_id']}", json=entry, headers=node.steward(organization))
    assert changed.status_code == 200, changed.text
    found: dict[str, Any] = await node.put_in_force(changed.json())
    return found


async def test_a_change_of_law_is_due_in_ten_working_days_and_met_by_the_next_version(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"], "changed_on": str(today())}
    duty = await node.made("/v1/duties", body, node.steward(organization))
    assert (duty["rule"], duty["state"], duty["responsible"], duty["days"]) == ("catalogue_update", "running", "provider", 10)
    assert duty["due_on"] == str(add(today(), 10))
    assert duty["source"] == "政务数据共享条例第十七条"
    assert (duty["organization_name"], duty["resource_name"]) == (organization["name"], made["name"])
    await next_version(node, organization, made, good_entry(system, summary="全市街道的代码、名称和撤并情况"))
    met = await shown(node, duty["duty_id"], node.steward(organization))
    assert (met["state"], met["met_version"], met["met_resource_id"], met["days_left"]) == ("met", 2, made["resource_id"], None)
    assert [(step["step"], step["by"], step["reason"]) for step in met["steps"]] == [
        ("registered", "test-client", "街道撤并"),
        ("answered", "test-client", "version 2 is in force"),
    ]
    reviews = (await node.client.get("/v1/duties", params={"rule": "catalogue_review"}, headers=node.authority)).json()["items"]
    assert [(review["state"], review["responsible"], review["days"]) for review in reviews] == [("met", "authority", 2)]


async def test_a_resources_first_version_starts_no_review_clock(node: Any) -> None:
    await node.published(*await node.provider())
    assert (await node.client.get("/v1/duties", headers=node.authority)).json()["items"] == []


async def test_the_authority_has_two_working_days_to_review_and_sending_back_ends_them(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    path = f"/v1/resources/{made['resource_id']}"
    changed = await node.client.put(path, json=good_entry(system, summary="二"), headers=node.steward(organization))
    await node.put_in_force(changed.json(), until="approval")
    [review] = (await node.client.get("/v1/duties", params={"state": "open"}, headers=node.authority)).json()["items"]
    assert (review["change"], review["due_on"]) == ("submission", str(add(today(), 2)))
    for path_of, body in (
        ("answer", {"resource_id": made["resource_id"], "version": 1, "reason": "x"}),
        ("cancellation", {"reason": "x"}),
        ("extension", {"reason": "x"}),
    ):
        refused = await node.client.post(f"/v1/duties/{review['duty_id']}/{path_of}", json=body, headers=node.authority)
        assert refused.status_code == 409, refused.text
    sent_back = await node.client.post(f"{path}/return", json={"reason": "缺少依据"}, headers=node.authority)
    assert sent_back.status_code == 200, sent_back.text
    ended = await shown(node, review["duty_id"])
    assert (ended["state"], ended["met_version"], ended["steps"][-1]["reason"]) == ("met", None, "缺少依据")
    changed = await node.client.put(path, json=good_entry(system, summary="三"), headers=node.steward(organization))
    await node.put_in_force(changed.json(), until="approval")
    listed = (await node.client.get("/v1/duties", params={"state": "open"}, headers=node.authority)).json()["items"]
    assert len(listed) == 1, "handed in again, the term begins again"


async def test_a_deadline_is_told_near_its_end_and_when_missed_each_once(node: Any) -> None:
    organization, system = await node.provider()
    duty_id = await begun(node, await node.published(organization, system))
    assert await told(node, at(2026, 11, 10, 23)) == []
    [near] = await told(node, at(2026, 11, 11, 0))
    assert isinstance(near, DeadlineApproaching)
    assert (near.clock_id, near.days_left, near.due_on, near.assumed_years) == (duty_id, 3, date(2026, 11, 16), ())
    assert (near.organization.uscc, near.resource_name, near.source) == (organization["uscc"], "街道办事处名录", "政务数据共享条例第十七条")
    assert len(await told(node, at(2026, 11, 16, 23))) == 1
    assert len(await told(node, at(2026, 11, 17, 0))) == 1, "a publication begun before midnight may still end"
    events = await told(node, at(2026, 11, 17, 0) + timedelta(minutes=1))
    assert len(events) == 2
    assert isinstance(events[1], DeadlineMissed)
    assert (events[1].missed_at, events[1].met_at) == (at(2026, 11, 17, 0), None)
    assert len(await told(node, at(2027, 1, 1))) == 2


async def test_a_change_registered_too_late_is_told_as_missed_alone(node: Any) -> None:
    await begun(node, await node.published(*await node.provider()), changed_on=date(2026, 3, 2))
    [missed] = await told(node, at(2026, 11, 1))
    assert isinstance(missed, DeadlineMissed)
    assert len(await told(node, at(2026, 11, 2))) == 1


async def test_what_was_done_late_while_no_teller_ran_is_told_as_missed(node: Any) -> None:
    made = await node.published(*await node.provider())
    await begun(node, made)
    met_at = at(2026, 11, 18)
    given = {"version": 2, "by": "x", "now": met_at}
    await in_tx(node, lambda tx: commands.on_publication(tx, UUID(made["resource_id"]), **given))
    [missed] = await told(node, at(2026, 11, 20))
    assert isinstance(missed, DeadlineMissed)
    assert missed.met_at == met_at


async def test_what_was_done_in_time_or_taken_back_is_told_no_more(node: Any) -> None:
    organization, system = await node.provider()
    done = await node.published(organization, system)
    await begun(node, done)
    await in_tx(node, lambda tx: commands.on_publication(tx, UUID(done["resource_id"]), version=2, by="x", now=at(2026, 11, 16, 23)))
    mistaken = await begun(node, await node.published(organization, system, name="乡镇名录"))
    await in_tx(node, lambda tx: commands.cancel(tx, mistaken, reason="误登", by=AUTHORITY, now=at(2026, 11, 3)))
    gone = await node.published(organization, system, name="社区名录")
    await begun(node, gone)
    await in_tx(node, lambda tx: commands.on_withdrawal(tx, UUID(gone["resource_id"]), by="x", reason="职责划出", now=at(2026, 11, 4)))
    assert await told(node, at(2027, 1, 1)) == []


async def test_tellers_at_once_tell_each_deadline_once(node: Any) -> None:
    organization, system = await node.provider()
    for number in range(6):
        await begun(node, await node.published(organization, system, name=f"名录{number}"))
    now = at(2026, 11, 12)
    counts = await asyncio.gather(*(in_tx(node, lambda tx: commands.tell_due(tx, now=now)) for _ in range(4)))
    assert sum(counts) == 6
    events = await told(node, now)
    assert len({event.clock_id for event in events}) == len(events) == 6


async def test_tellers_that_sleep_are_woken_by_a_new_duty_and_one_of_them_tells_it(node: Any) -> None:
    organization, system = await node.provider()
    made = [await node.published(organization, system, name=f"名录{number}") for number in range(3)]
    database = connect(node.settings.database)
    tellers = [asyncio.create_task(DEADLINES.run(database, now=lambda: at(2026, 11, 12))) for _ in range(2)]
    ids = []
    try:
        async with asyncio.timeout(30):
            for one in made:  # from the second on they sleep for an hour: the next deadline is days ahead, and their clock stands
                ids.append(await begun(node, one))
                while len(events := [event for event in await node.events() if isinstance(event, DeadlineEvent)]) < len(ids):
                    await asyncio.sleep(0.02)
    finally:
        for task in tellers:
            task.cancel()
        await asyncio.gather(*tellers, return_exceptions=True)
        await database.close()
    assert [event.clock_id for event in events] == ids


async def test_a_teller_that_lost_its_connection_listens_again(node: Any) -> None:
    organization, system = await node.provider()
    made = [await node.published(organization, system, name=f"名录{number}") for number in range(2)]
    database = connect(node.settings.database)
    teller = asyncio.create_task(DEADLINES.run(database, now=lambda: at(2026, 11, 12)))
    ids = []
    try:
        async with asyncio.timeout(30):
            for one in made:
                ids.append(await begun(node, one))
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


async def test_what_was_told_in_a_transaction_that_failed_is_told_by_the_next(node: Any) -> None:
    duty_id = await begun(node, await node.published(*await node.provider()))

    async def told_in_vain(tx: Any) -> None:
        assert await commands.tell_due(tx, now=at(2026, 11, 12)) == 1
        raise ConnectionError("the database went away before the commit")

    with pytest.raises(ConnectionError):
        await in_tx(node, told_in_vain)
    assert [event for event in await node.events() if isinstance(event, DeadlineEvent)] == []
    assert [event.clock_id for event in await told(node, at(2026, 11, 12))] == [duty_id]


async def test_the_teller_wakes_for_the_next_moment(node: Any) -> None:
    organization, system = await node.provider()
    database = connect(node.settings.database)
    try:
        assert await DEADLINES.tell_due(database, now=at(2026, 11, 2)) is None
        await begun(node, await node.published(organization, system))
        await begun(node, await node.published(organization, system, name="乡镇名录"), changed_on=date(2026, 11, 4))
        assert await DEADLINES.tell_due(database, now=at(2026, 11, 4)) == at(2026, 11, 11, 0)
        assert await DEADLINES.tell_due(database, now=at(2026, 11, 12)) == at(2026, 11, 13, 0)
        assert await DEADLINES.tell_due(database, now=at(2026, 11, 14)) == at(2026, 11, 17, 0) + timedelta(minutes=1)
    finally:
        await database.close()


async def test_an_extension_is_asked_for_with_its_reason_and_consented_to_once(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"], "changed_on": str(today())}
    duty = await node.made("/v1/duties", body, node.steward(organization))
    path = f"/v1/duties/{duty['duty_id']}/extension"
    steward = node.steward(organization)
    for days in (0, 6, -1):
        found = is_problem(await node.client.post(path, json={"days": days, "reason": "x"}, headers=steward), 422, "duty-invalid")
        assert found["errors"][0]["pointer"] == "/days"
    is_problem(await node.client.post(f"{path}/decision", json={"outcome": "granted", "reason": "x"}, headers=steward), 403)
    decision = {"outcome": "refused", "reason": "理由不足"}
    is_problem(await node.client.post(f"{path}/decision", json=decision, headers=node.authority), 409, "extension-not-asked")
    asked = await node.client.post(path, json={"days": 3, "reason": "系统改造"}, headers=steward)
    assert (asked.json()["extension"], asked.json()["due_on"]) == ("asked", duty["due_on"]), "asking moves nothing"
    is_problem(await node.client.post(path, json={"reason": "x"}, headers=steward), 409, "extension-asked")
    assert (await node.client.post(f"{path}/decision", json=decision, headers=node.authority)).json()["extension"] == "refused"
    await node.client.post(path, json={"reason": "再请"}, headers=steward)
    granted = (await node.client.post(f"{path}/decision", json=decision | {"outcome": "granted"}, headers=node.authority)).json()
    assert (granted["state"], granted["extension_days"], granted["due_on"]) == ("extended", 5, str(add(today(), 15)))
    is_problem(await node.client.post(path, json={"reason": "x"}, headers=steward), 409, "clock-refused")
    assert [step["step"] for step in granted["steps"]][1:] == [
        "extension_asked",
        "extension_refused",
        "extension_asked",
        "extension_granted",
    ]


async def test_consent_that_comes_after_the_day_is_refused(node: Any) -> None:
    duty_id = await begun(node, await node.published(*await node.provider()))
    given = {"reason": "x", "by": AUTHORITY}
    await in_tx(node, lambda tx: commands.ask_extension(tx, duty_id, days=5, now=at(2026, 11, 16), **given))
    with pytest.raises(ClockRefused, match="missed"):
        await in_tx(node, lambda tx: commands.decide_extension(tx, duty_id, outcome=Extension.GRANTED, now=at(2026, 11, 17), **given))
    await in_tx(node, lambda tx: commands.decide_extension(tx, duty_id, outcome=Extension.GRANTED, now=at(2026, 11, 16, 23), **given))
    assert await told(node, at(2026, 11, 17)) == [], "the new day is 23 November, and near its end from the 18th"
    assert len(await told(node, at(2026, 11, 18))) == 1


async def test_an_extension_after_the_end_was_near_is_not_told_near_again(node: Any) -> None:
    duty_id = await begun(node, await node.published(*await node.provider()))
    assert len(await told(node, at(2026, 11, 12))) == 1
    given = {"reason": "x", "by": AUTHORITY, "now": at(2026, 11, 13)}
    await in_tx(node, lambda tx: commands.ask_extension(tx, duty_id, days=None, **given))
    await in_tx(node, lambda tx: commands.decide_extension(tx, duty_id, outcome=Extension.GRANTED, **given))
    assert len(await told(node, at(2026, 11, 20))) == 1
    assert [type(event) for event in await told(node, at(2026, 11, 25))] == [DeadlineApproaching, DeadlineMissed]


async def test_an_organizations_duty_is_met_by_the_version_that_is_named(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    old = await node.published(organization, system)
    async with node.sessions.begin() as tx:  # published long before the change
        await tx.execute(update(ResourceVersion).values(published_at=at(2026, 1, 5)))
    body = BODY | {"organization_id": organization["organization_id"], "changed_on": str(today())}
    duty = await node.made("/v1/duties", body, node.steward(organization))
    assert duty["resource_id"] is None
    new = await node.published(organization, system, name="社区名录")
    assert (await shown(node, duty["duty_id"]))["state"] == "running", "which version answers it is said, not guessed"
    other_organization = await node.organization("绍兴市水利局")
    foreign = await node.published(other_organization, await node.system(other_organization))
    path, steward = f"/v1/duties/{duty['duty_id']}/answer", node.steward(organization)
    for resource_id, version, pointer in (
        (old["resource_id"], 1, "/version"),
        (new["resource_id"], 2, "/version"),
        (foreign["resource_id"], 1, "/resource_id"),
        (NOBODY, 1, "/version"),
    ):
        refused = await node.client.post(path, json={"resource_id": resource_id, "version": version, "reason": "x"}, headers=steward)
        assert is_problem(refused, 422, "duty-invalid")["errors"][0]["pointer"] == pointer
    is_problem(await node.client.post(path, json={"resource_id": new["resource_id"], "version": 0, "reason": "x"}, headers=steward), 422)
    answer = {"resource_id": new["resource_id"], "version": 1, "reason": "已按新职责编目"}
    met = (await node.client.post(path, json=answer, headers=steward)).json()
    assert (met["state"], met["met_resource_id"], met["met_version"]) == ("met", new["resource_id"], 1)
    is_problem(await node.client.post(path, json=answer, headers=steward), 409, "duty-closed")


async def test_a_change_still_ahead_is_not_met_by_an_earlier_version(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"], "changed_on": str(today() + timedelta(days=30))}
    duty = await node.made("/v1/duties", body, node.authority)
    await next_version(node, organization, made, good_entry(system, summary="别的改动"))
    assert (await shown(node, duty["duty_id"]))["state"] == "running"
    answer = {"resource_id": made["resource_id"], "version": 2, "reason": "提前落实"}
    met = await node.client.post(f"/v1/duties/{duty['duty_id']}/answer", json=answer, headers=node.steward(organization))
    assert met.json()["state"] == "met"


async def test_lists_are_asked_by_standing_and_come_page_by_page(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = {name: await node.published(organization, system, name=f"名录{name}") for name in ("late", "near", "calm", "done", "gone")}
    day = add(add(today(), 1), -1)  # the working day that is, or was the last
    starts = {"late": add(day, -14), "near": add(day, -9), "calm": day, "done": add(day, -2), "gone": day}
    ids = {name: str(await begun(node, one, changed_on=max(starts[name], date(2025, 8, 1)), now=utc_now())) for name, one in made.items()}
    await in_tx(node, lambda tx: commands.on_publication(tx, UUID(made["done"]["resource_id"]), version=2, by="x", now=utc_now()))
    await in_tx(node, lambda tx: commands.cancel(tx, UUID(ids["gone"]), reason="x", by=AUTHORITY, now=utc_now()))

    async def listed(**params: Any) -> list[str]:
        found: list[str] = []
        cursor = {}
        while True:
            page = (await node.client.get("/v1/duties", params={"limit": 2} | params | cursor, headers=node.steward(organization))).json()
            found += [item["duty_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    expected = {
        "open": {"late", "near", "calm"},
        "approaching": {"near"},
        "missed": {"late"},
        "met": {"done"},
        "cancelled": {"gone"},
    }
    for state, names in expected.items():
        assert set(await listed(state=state)) == {ids[name] for name in names}, state
    everything = await listed()
    assert set(everything) == set(ids.values())
    assert everything[:2] == [ids["late"], ids["near"]], "those due first come first"
    assert await listed(resource=made["near"]["resource_id"]) == [ids["near"]]
    late = await shown(node, ids["late"])
    assert (late["state"], late["is_approaching"], late["days_left"]) == ("missed", False, -4)
    near = await shown(node, ids["near"])
    assert (near["state"], near["is_approaching"], near["days_left"]) == ("running", True, 1)
    is_problem(await node.client.get("/v1/duties", params={"state": "late"}, headers=node.authority), 422)
    is_problem(await node.client.get("/v1/duties", params={"cursor": "x"}, headers=node.authority), 422, "cursor-invalid")


async def test_a_due_day_that_rests_on_an_unknown_year_says_so_and_is_counted_again(node: Any) -> None:
    last = max(year for year in range(2026, 2100) if CHINA.knows(year))
    made = await node.published(*await node.provider())
    duty_id = await begun(node, made, changed_on=date(last, 12, 25), now=utc_now())
    known = await shown(node, duty_id)
    assert known["assumed_years"] == [last + 1]
    assert await in_tx(node, lambda tx: commands.recount(tx, now=utc_now())) == 0
    async with node.sessions.begin() as tx:  # as if it had been counted by a calendar that knew less
        row = await store.get(tx, duty_id, of=None, lock=True)
        row.due_on, right = date(last + 1, 1, 1), row.due_on
    assert await in_tx(node, lambda tx: commands.recount(tx, now=utc_now())) == 1
    again = await shown(node, duty_id)
    assert (again["due_on"], again["steps"][-1]["step"]) == (str(right), "recounted")


async def test_a_shorter_local_term_binds_duties_begun_under_it(node: Any) -> None:
    made = await node.published(*await node.provider())
    rules = dict(regulation().rules)
    rules[RuleName.CATALOGUE_UPDATE] = rules[RuleName.CATALOGUE_UPDATE].model_copy(update={"days": 4, "source": "办法第三条"})
    policy = regulation().model_copy(update={"rules": rules})
    given = {"organization_id": None, "resource_id": UUID(made["resource_id"]), "change": Change.DUTIES, "basis": None, "reason": "x"}
    now = datetime(2026, 11, 2, 1, tzinfo=UTC)
    row = await in_tx(node, lambda tx: commands.register(tx, policy, **given, changed_on=MONDAY, by=AUTHORITY, now=now))
    found = await shown(node, row.duty_id)
    assert (found["due_on"], found["days"], found["source"]) == ("2026-11-06", 4, "办法第三条")
