"""Duties, what begins and meets them, their days and their extensions."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from catalog_svc.duty import commands, store
from catalog_svc.duty.domain import Change, Extension
from catalog_svc.resource.store import ResourceVersion
from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import RuleName, regulation
from dxmesh_clocks.working_days import CHINA, add
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import utc_now

NOBODY = "00000000-0000-0000-0000-000000000000"
MONDAY = date(2026, 11, 2)
AUTHORITY = Principal("authority", None, frozenset({"authority"}))
BODY = {"change": "law", "basis": "中华人民共和国行政区划代码 (2026年修订)", "reason": "街道撤并", "changed_on": "2026-11-02"}


async def test_a_change_of_law_is_due_in_ten_working_days_and_met_by_the_next_version(node: Any, duties: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"], "changed_on": str(duties.today())}
    duty = await node.made("/v1/duties", body, node.steward(organization))
    assert (duty["rule"], duty["state"], duty["responsible"], duty["days"]) == ("catalogue_update", "running", "provider", 10)
    assert duty["due_on"] == str(add(duties.today(), 10))
    assert duty["source"] == "政务数据共享条例第十七条"
    assert (duty["organization_name"], duty["resource_name"]) == (organization["name"], made["name"])
    await duties.next_version(node, organization, made, good_entry(system, summary="全市街道的代码、名称和撤并情况"))
    met = await duties.shown(node, duty["duty_id"], node.steward(organization))
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


async def test_the_authority_has_two_working_days_to_review_and_sending_back_ends_them(node: Any, duties: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    path = f"/v1/resources/{made['resource_id']}"
    changed = await node.client.put(path, json=good_entry(system, summary="二"), headers=node.steward(organization))
    await node.put_in_force(changed.json(), until="approval")
    [review] = (await node.client.get("/v1/duties", params={"state": "open"}, headers=node.authority)).json()["items"]
    assert (review["change"], review["due_on"]) == ("submission", str(add(duties.today(), 2)))
    for path_of, body in (
        ("answer", {"resource_id": made["resource_id"], "version": 1, "reason": "x"}),
        ("cancellation", {"reason": "x"}),
        ("extension", {"reason": "x"}),
    ):
        refused = await node.client.post(f"/v1/duties/{review['duty_id']}/{path_of}", json=body, headers=node.authority)
        assert refused.status_code == 409, refused.text
    sent_back = await node.client.post(f"{path}/return", json={"reason": "缺少依据"}, headers=node.authority)
    assert sent_back.status_code == 200, sent_back.text
    ended = await duties.shown(node, review["duty_id"])
    assert (ended["state"], ended["met_version"], ended["steps"][-1]["reason"]) == ("met", None, "缺少依据")
    changed = await node.client.put(path, json=good_entry(system, summary="三"), headers=node.steward(organization))
    await node.put_in_force(changed.json(), until="approval")
    listed = (await node.client.get("/v1/duties", params={"state": "open"}, headers=node.authority)).json()["items"]
    assert len(listed) == 1, "handed in again, the term begins again"


async def test_an_extension_is_asked_for_with_its_reason_and_consented_to_once(node: Any, duties: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"], "changed_on": str(duties.today())}
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
    assert (granted["state"], granted["extension_days"], granted["due_on"]) == ("extended", 5, str(add(duties.today(), 15)))
    is_problem(await node.client.post(path, json={"reason": "x"}, headers=steward), 409, "clock-refused")
    assert [step["step"] for step in granted["steps"]][1:] == [
        "extension_asked",
        "extension_refused",
        "extension_asked",
        "extension_granted",
    ]


async def test_consent_that_comes_after_the_day_is_refused(node: Any, duties: Any) -> None:
    duty_id = await duties.begun(node, await node.published(*await node.provider()))
    given = {"reason": "x", "by": AUTHORITY}
    await duties.in_tx(node, lambda tx: commands.ask_extension(tx, duty_id, days=5, now=duties.at(2026, 11, 16), **given))
    with pytest.raises(ClockRefused, match="missed"):
        await duties.in_tx(
            node, lambda tx: commands.decide_extension(tx, duty_id, outcome=Extension.GRANTED, now=duties.at(2026, 11, 17), **given)
        )
    await duties.in_tx(
        node, lambda tx: commands.decide_extension(tx, duty_id, outcome=Extension.GRANTED, now=duties.at(2026, 11, 16, 23), **given)
    )
    assert await duties.told(node, duties.at(2026, 11, 17)) == [], "the new day is 23 November, and near its end from the 18th"
    assert len(await duties.told(node, duties.at(2026, 11, 18))) == 1


async def test_an_organizations_duty_is_met_by_the_version_that_is_named(node: Any, duties: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    old = await node.published(organization, system)
    async with node.sessions.begin() as tx:  # published long before the change
        await tx.execute(update(ResourceVersion).values(published_at=duties.at(2026, 1, 5)))
    body = BODY | {"organization_id": organization["organization_id"], "changed_on": str(duties.today())}
    duty = await node.made("/v1/duties", body, node.steward(organization))
    assert duty["resource_id"] is None
    new = await node.published(organization, system, name="社区名录")
    assert (await duties.shown(node, duty["duty_id"]))["state"] == "running", "which version answers it is said, not guessed"
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


async def test_a_change_still_ahead_is_not_met_by_an_earlier_version(node: Any, duties: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    body = BODY | {"resource_id": made["resource_id"], "changed_on": str(duties.today() + timedelta(days=30))}
    duty = await node.made("/v1/duties", body, node.authority)
    await duties.next_version(node, organization, made, good_entry(system, summary="别的改动"))
    assert (await duties.shown(node, duty["duty_id"]))["state"] == "running"
    answer = {"resource_id": made["resource_id"], "version": 2, "reason": "提前落实"}
    met = await node.client.post(f"/v1/duties/{duty['duty_id']}/answer", json=answer, headers=node.steward(organization))
    assert met.json()["state"] == "met"


async def test_lists_are_asked_by_standing_and_come_page_by_page(node: Any, duties: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = {name: await node.published(organization, system, name=f"名录{name}") for name in ("late", "near", "calm", "done", "gone")}
    day = add(add(duties.today(), 1), -1)  # the working day that is, or was the last
    starts = {"late": add(day, -14), "near": add(day, -9), "calm": day, "done": add(day, -2), "gone": day}
    ids = {
        name: str(await duties.begun(node, one, changed_on=max(starts[name], date(2025, 8, 1)), now=utc_now()))
        for name, one in made.items()
    }
    await duties.in_tx(node, lambda tx: commands.on_publication(tx, UUID(made["done"]["resource_id"]), version=2, by="x", now=utc_now()))
    await duties.in_tx(node, lambda tx: commands.cancel(tx, UUID(ids["gone"]), reason="x", by=AUTHORITY, now=utc_now()))

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
    late = await duties.shown(node, ids["late"])
    assert (late["state"], late["is_approaching"], late["days_left"]) == ("missed", False, -4)
    near = await duties.shown(node, ids["near"])
    assert (near["state"], near["is_approaching"], near["days_left"]) == ("running", True, 1)
    is_problem(await node.client.get("/v1/duties", params={"state": "late"}, headers=node.authority), 422)
    is_problem(await node.client.get("/v1/duties", params={"cursor": "x"}, headers=node.authority), 422, "cursor-invalid")


async def test_a_due_day_that_rests_on_an_unknown_year_says_so_and_is_counted_again(node: Any, duties: Any) -> None:
    last = max(year for year in range(2026, 2100) if CHINA.knows(year))
    made = await node.published(*await node.provider())
    duty_id = await duties.begun(node, made, changed_on=date(last, 12, 25), now=utc_now())
    known = await duties.shown(node, duty_id)
    assert known["assumed_years"] == [last + 1]
    assert await duties.in_tx(node, lambda tx: commands.recount(tx, now=utc_now())) == 0
    async with node.sessions.begin() as tx:  # as if it had been counted by a calendar that knew less
        row = await store.get(tx, duty_id, of=None, lock=True)
        row.due_on, right = date(last + 1, 1, 1), row.due_on
    assert await duties.in_tx(node, lambda tx: commands.recount(tx, now=utc_now())) == 1
    again = await duties.shown(node, duty_id)
    assert (again["due_on"], again["steps"][-1]["step"]) == (str(right), "recounted")


async def test_a_shorter_local_term_binds_duties_begun_under_it(node: Any, duties: Any) -> None:
    made = await node.published(*await node.provider())
    rules = dict(regulation().rules)
    rules[RuleName.CATALOGUE_UPDATE] = rules[RuleName.CATALOGUE_UPDATE].model_copy(update={"days": 4, "source": "办法第三条"})
    policy = regulation().model_copy(update={"rules": rules})
    given = {"organization_id": None, "resource_id": UUID(made["resource_id"]), "change": Change.DUTIES, "basis": None, "reason": "x"}
    now = datetime(2026, 11, 2, 1, tzinfo=UTC)
    row = await duties.in_tx(node, lambda tx: commands.register(tx, policy, **given, changed_on=MONDAY, by=AUTHORITY, now=now))
    found = await duties.shown(node, row.duty_id)
    assert (found["due_on"], found["days"], found["source"]) == ("2026-11-06", 4, "办法第三条")
