"""Who answers for an organization's data (A02)."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from catalog_svc.officer import store
from catalog_svc.organization.domain import day_of
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import OfficerRole
from dxmesh_schemas.catalog_events import OrganizationChanged

NOBODY = "00000000-0000-0000-0000-000000000000"


def day(offset: int) -> str:
    return (day_of(utc_now()) + timedelta(days=offset)).isoformat()


def path(organization: dict[str, Any], *rest: str) -> str:
    return "/".join([f"/v1/organizations/{organization['organization_id']}/officers", *rest])


async def appoint(node: Any, organization: dict[str, Any], role: str, holder: str, **term: Any) -> dict[str, Any]:
    return await node.made(path(organization), {"role": role, "holder": holder} | term, node.authority)


async def end(node: Any, organization: dict[str, Any], officer: dict[str, Any], headers: dict[str, str] | None = None, **body: Any) -> Any:
    body = {"reason": "岗位调整"} | body
    return await node.client.post(path(organization, officer["officer_id"], "end"), json=body, headers=headers or node.authority)


async def test_an_organization_shows_who_holds_its_offices_and_tells_the_mesh(node: Any) -> None:
    organization = await node.organization()
    cdo = await appoint(node, organization, "cdo", "civil-affairs-cdo")
    later = await appoint(node, organization, "steward", "civil-affairs-steward-2", since=day(5), until=day(9))
    await appoint(node, organization, "sharing_unit", "civil-affairs-data-office", since="2024-01-01")
    assert cdo | {"since": day(0), "until": None, "appointed_by": "test-client", "ended_at": None} == cdo
    shown = (await node.client.get(f"/v1/organizations/{organization['organization_id']}", headers=node.headers(None))).json()
    assert [(one["role"], one["holder"]) for one in shown["officers"]] == [
        ("cdo", "civil-affairs-cdo"),
        ("sharing_unit", "civil-affairs-data-office"),
    ]
    listed = (await node.client.get("/v1/organizations", headers=node.headers(None))).json()
    assert listed["items"] == [shown]
    told = (await node.events())[-1]
    assert isinstance(told, OrganizationChanged)
    assert [(one.role, one.holder, one.since.isoformat()) for one in told.officers] == [
        (OfficerRole.CDO, "civil-affairs-cdo", day(0)),
        (OfficerRole.SHARING_UNIT, "civil-affairs-data-office", "2024-01-01"),
        (OfficerRole.STEWARD, "civil-affairs-steward-2", later["since"]),
    ]


async def test_there_is_one_chief_data_officer_at_a_time(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization("甲局"), await node.organization("乙局")
    first = await appoint(node, organization, "cdo", "cdo-1", since="2024-01-01")
    for term in ({}, {"since": "2023-01-01"}, {"since": day(100)}, {"since": "2023-01-01", "until": "2024-01-02"}):
        answer = await node.client.post(path(organization), json={"role": "cdo", "holder": "cdo-2"} | term, headers=node.authority)
        refused = is_problem(answer, 409, "cdo-present")
        assert refused["officer_id"] == first["officer_id"]
        assert "cdo-1" in refused["detail"]
        assert f"{first['officer_id']}/end" in refused["detail"]
    before = await appoint(node, organization, "cdo", "cdo-0", since="2023-01-01", until="2024-01-01")
    assert (await end(node, organization, first, until=day(3))).status_code == 200
    after = await appoint(node, organization, "cdo", "cdo-2", since=day(3))
    await appoint(node, other, "cdo", "cdo-1")
    listed = (await node.client.get(path(organization), headers=node.headers(None))).json()["items"]
    assert [one["officer_id"] for one in listed] == [first["officer_id"], before["officer_id"], after["officer_id"]]
    current = (await node.client.get(path(organization), params={"which": "current"}, headers=node.headers(None))).json()["items"]
    assert [one["holder"] for one in current] == ["cdo-1"]


async def test_of_two_appointments_at_once_one_holds(node: Any) -> None:
    organization = await node.organization()
    bodies = [{"role": "cdo", "holder": f"cdo-{number}"} for number in range(5)]
    answers = await asyncio.gather(*(node.client.post(path(organization), json=body, headers=node.authority) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_stewards_may_be_several_but_each_once(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    first = await appoint(node, organization, "steward", "steward-1")
    await appoint(node, organization, "steward", "steward-2")
    answer = await node.client.post(path(organization), json={"role": "steward", "holder": "steward-1"}, headers=node.authority)
    assert is_problem(answer, 409, "office-held")["officer_id"] == first["officer_id"]
    await appoint(node, organization, "cdo", "steward-1")


async def test_a_term_that_ended_stays_as_it_was(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization("甲局"), await node.organization("乙局")
    officer = await appoint(node, organization, "steward", "steward-1", since="2024-01-01")
    ended = await end(node, organization, officer, until="2024-06-01", reason="调离")
    assert ended.json() == officer | {
        "until": "2024-06-01",
        "reason": "调离",
        "ended_by": "test-client",
        "ended_at": ended.json()["ended_at"],
    }
    is_problem(await end(node, organization, officer, until=day(0)), 409, "office-ended")
    is_problem(await end(node, other, officer), 404, "officer-not-found")
    is_problem(await end(node, {"organization_id": NOBODY}, officer), 404, "organization-not-found")
    is_problem(await end(node, organization, {"officer_id": NOBODY}), 404, "officer-not-found")
    listed = (await node.client.get(path(organization), headers=node.headers(None))).json()["items"]
    assert listed == [ended.json()]
    assert (await node.events())[-1].officers == ()
    lapsed = await appoint(node, organization, "steward", "steward-1", since="2024-06-01", until="2025-01-01")
    is_problem(await end(node, organization, lapsed), 409, "office-ended")


async def test_a_term_is_brought_forward_or_taken_back_and_never_made_longer(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    officer = await appoint(node, organization, "cdo", "cdo-1", since=day(2), until=day(50))
    for until, what in ((day(1), "first day"), (day(51), "appoint anew")):
        refused = is_problem(await end(node, organization, officer, until=until), 422, "officer-invalid")
        assert [error["pointer"] for error in refused["errors"]] == ["/until"]
        assert what in refused["detail"]
    assert (await end(node, organization, officer, until=day(2))).status_code == 200
    assert (await node.events())[-1].officers == ()
    await appoint(node, organization, "cdo", "cdo-2", since=day(1), until=day(60))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"role": "head"}, "/role"),
        ({"role": None}, "/role"),
        ({"holder": ""}, "/holder"),
        ({"holder": "two words"}, "/holder"),
        ({"holder": " steward"}, "/holder"),
        ({"holder": "steward\u200b"}, "/holder"),
        ({"holder": "steward\u0000"}, "/holder"),
        ({"holder": "ｓteward"}, "/holder"),
        ({"holder": "s" * 201}, "/holder"),
        ({"holder": 7}, "/holder"),
        ({"since": "2026-13-01"}, "/since"),
        ({"since": "2026-1-1"}, "/since"),
        ({"since": "２０２６-01-01"}, "/since"),
        ({"since": 0}, "/since"),
        ({"since": "2026-01-01T00:00:00"}, "/since"),
        ({"since": "0000-01-01"}, "/since"),
        ({"until": "31.12.2026"}, "/until"),
        ({"since": "2026-01-02", "until": "2026-01-02"}, "/until"),
        ({"since": "2026-01-02", "until": "2025-01-02"}, "/until"),
        ({"holder": "node-admin"}, "/holder"),
        ({"extra": 1}, "/extra"),
    ],
)
async def test_a_wrong_appointment_is_refused_by_name(strict_node: Any, is_problem: Any, change: dict[str, Any], pointer: str) -> None:
    body = {"role": "steward", "holder": "steward-1"} | change
    before = await strict_node.events()
    answer = await strict_node.client.post(path(strict_node.organization_made), json=body, headers=strict_node.authority)
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]
    assert await strict_node.events() == before


async def test_a_client_of_another_organization_or_a_revoked_one_holds_no_office(node: Any, is_problem: Any) -> None:
    own, other = await node.organization("甲局"), await node.organization("乙局")
    made = {}
    for name, organization in (("own", own), ("other", other), ("revoked", own)):
        body = {"name": name, "roles": ["steward"]}
        made[name] = await node.made(f"/v1/organizations/{organization['organization_id']}/credentials", body, node.authority)
    revoked = f"/v1/organizations/{own['organization_id']}/credentials/{made['revoked']['client_id']}"
    assert (await node.client.delete(revoked, headers=node.authority)).status_code == 204
    for name in ("other", "revoked"):
        body = {"role": "steward", "holder": made[name]["client_id"]}
        refused = is_problem(await node.client.post(path(own), json=body, headers=node.authority), 422, "officer-invalid")
        assert refused["errors"][0]["pointer"] == "/holder"
    await appoint(node, own, "steward", made["own"]["client_id"])


async def test_offices_are_filled_by_the_authority_and_some_by_the_own_cdo(node: Any, is_problem: Any) -> None:
    own, other = await node.organization("甲局"), await node.organization("乙局")
    cdo = node.headers(own["organization_id"], "cdo")
    steward = await node.made(path(own), {"role": "steward", "holder": "steward-1"}, cdo)
    await node.made(path(own), {"role": "sharing_unit", "holder": "office-1"}, cdo)
    for organization, role, headers in (
        (own, "cdo", cdo),
        (other, "steward", cdo),
        (own, "steward", node.steward(own)),
        (own, "steward", node.headers(None, "operator", "auditor")),
        (own, "steward", node.headers(None, "cdo")),
    ):
        answer = await node.client.post(path(organization), json={"role": role, "holder": "someone"}, headers=headers)
        is_problem(answer, 403, "forbidden")
    is_problem(await node.client.post(path(own), json={"role": "steward", "holder": "s"}), 401, "unauthenticated")
    is_problem(await end(node, own, steward, headers=node.steward(own)), 403, "forbidden")
    assert (await end(node, own, steward, headers=cdo)).status_code == 200
    missing = path({"organization_id": NOBODY})
    is_problem(await node.client.post(missing, json={"role": "cdo", "holder": "c"}, headers=node.authority), 404, "organization-not-found")
    is_problem(await node.client.get(missing, headers=node.authority), 404, "organization-not-found")


async def test_organizations_without_a_cdo_or_steward_are_listed(node: Any, is_problem: Any) -> None:
    _, both, lapsed = [await node.organization(name) for name in "甲乙丙"]
    only = await node.organization("丁", level="county")
    for role in ("cdo", "steward"):
        await appoint(node, both, role, f"{role}-of-both")
        await appoint(node, lapsed, role, f"{role}-of-lapsed", since="2024-01-01", until=day(0))
    await appoint(node, only, "cdo", "cdo-of-only", since=day(0), until=day(1))
    await appoint(node, only, "steward", "steward-to-come", since=day(1))

    async def vacancies(**query: Any) -> dict[str, list[str]]:
        answer = await node.client.get("/v1/officers/vacancies", params=query, headers=node.headers(None))
        assert answer.status_code == 200, answer.text
        return {one["name"]: one["lacks"] for one in answer.json()["items"]}

    assert await vacancies() == {"甲": ["cdo", "steward"], "丙": ["cdo", "steward"], "丁": ["steward"]}
    assert await vacancies(role="cdo") == {"甲": ["cdo"], "丙": ["cdo"]}
    assert await vacancies(level="county") == {"丁": ["steward"]}
    assert set(await vacancies(role=["sharing_unit", "sharing_unit"])) == {"甲", "乙", "丙", "丁"}
    first = (await node.client.get("/v1/officers/vacancies", params={"limit": 2}, headers=node.headers(None))).json()
    rest = (await node.client.get("/v1/officers/vacancies", params={"cursor": first["next_cursor"]}, headers=node.headers(None))).json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["甲", "丙", "丁"]
    for query in ({"role": "head"}, {"level": "village"}, {"cursor": "x"}, {"limit": 0}):
        is_problem(await node.client.get("/v1/officers/vacancies", params=query, headers=node.authority), 422)


async def test_the_offices_of_an_account_are_found(node: Any) -> None:
    first, second = await node.organization("甲局"), await node.organization("乙局")
    await appoint(node, first, "cdo", "shared-account")
    await appoint(node, second, "steward", "shared-account", since=day(1))
    await appoint(node, second, "cdo", "another-account")
    found = (await node.client.get("/v1/officers", params={"holder": "shared-account"}, headers=node.headers(None))).json()["items"]
    assert [(one["organization_id"], one["role"]) for one in found] == [(first["organization_id"], "cdo")]
    cdos = (await node.client.get("/v1/officers", params={"role": "cdo"}, headers=node.headers(None))).json()["items"]
    assert [one["holder"] for one in cdos] == ["shared-account", "another-account"]
    async with node.sessions() as tx:
        today = day_of(utc_now())
        organization_id = (
            await store.list_page(tx, organization_id=None, role=None, holder="another-account", on=None, after=None, limit=1)
        )[0].organization_id
        assert await store.holds(tx, organization_id, "another-account", OfficerRole.CDO, today=today)
        assert not await store.holds(tx, organization_id, "another-account", OfficerRole.STEWARD, today=today)
        assert not await store.holds(tx, organization_id, "shared-account", OfficerRole.STEWARD, today=today)
        assert not await store.holds(tx, organization_id, "another-account", OfficerRole.CDO, today=date(2020, 1, 1))
