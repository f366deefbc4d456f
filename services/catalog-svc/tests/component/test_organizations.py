import asyncio
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.organization import store
from dxmesh_schemas.catalog_events import OrganizationChanged, OrganizationRegistered, SystemChanged, SystemRegistered

NOBODY = "00000000-0000-0000-0000-000000000000"
UTILITY, SOCIAL = {"kind": "public_utility"}, {"kind": "social_body"}


async def test_registering_an_organization_tells_the_mesh(node: Any, make_code: Any) -> None:
    made = await node.organization("绍兴市民政局", uscc=make_code(77), division_code="330600")
    read = await node.client.get(f"/v1/organizations/{made['organization_id']}", headers=node.headers(None))
    assert read.json() == made
    [event] = await node.events()
    assert isinstance(event, OrganizationRegistered)
    assert event.model_dump(mode="json") == {name: made[name] for name in OrganizationRegistered.model_fields}


async def test_registering_twice_is_a_conflict_that_names_the_first(node: Any, make_code: Any, is_problem: Any) -> None:
    body = {"uscc": make_code(1), "name": "局", "level": "city", "division_code": "3306"}
    answers = await asyncio.gather(*(node.client.post("/v1/organizations", json=body, headers=node.authority) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    made = next(answer.json() for answer in answers if answer.status_code == 201)
    again = await node.client.post("/v1/organizations", json=body, headers=node.authority)
    assert is_problem(again, 409, "uscc-taken")["organization_id"] == made["organization_id"]
    assert len(await node.events()) == 1


async def test_a_changed_entry_is_told_once_and_the_same_again_not(node: Any, is_problem: Any) -> None:
    made = await node.organization()
    path = f"/v1/organizations/{made['organization_id']}"
    body = {"name": "新名称", "level": "county", "division_code": "330602", "kind": "public_utility"}
    for _ in range(2):
        changed = await node.client.put(path, json=body, headers=node.authority)
        assert changed.status_code == 200, changed.text
    assert changed.json() == made | body | {"changed_at": changed.json()["changed_at"]}
    assert [type(event) for event in await node.events()] == [OrganizationRegistered, OrganizationChanged]
    is_problem(await node.client.put(f"/v1/organizations/{NOBODY}", json=body, headers=node.authority), 404, "organization-not-found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"uscc": "11330600MB1573660Q"}, "/uscc"),
        ({"uscc": "１１330600MB1573660P"}, "/uscc"),
        ({"uscc": None}, "/uscc"),
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "民\u200b政局"}, "/name"),
        ({"name": "民\u0000政局"}, "/name"),
        ({"name": "局" * 201}, "/name"),
        ({"name": "民政局１科"}, "/name"),
        ({"name": "民政局Ａ"}, "/name"),
        ({"name": "民政\ufeff局"}, "/name"),
        ({"name": "G\u0406S 中心"}, "/name"),
        ({"name": 5}, "/name"),
        ({"level": "village"}, "/level"),
        ({"division_code": "33060"}, "/division_code"),
        ({"division_code": "３３06"}, "/division_code"),
        ({"kind": "firm"}, "/kind"),
        ({"extra": 1}, "/extra"),
        ({"parent_id": NOBODY}, "/parent_id"),
        ({"parent_id": "x"}, "/parent_id"),
        ({"licence": {"title": "供水特许经营", "number": "1"}}, "/licence"),
        ({"contract": {"title": "数据采购", "number": "1"}}, "/contract"),
        (UTILITY | {"licence": {"number": "1"}}, "/licence/title"),
        (UTILITY | {"licence": {"title": "x\u200b", "number": "1"}}, "/licence/title"),
        (UTILITY | {"licence": {"title": "x", "number": ""}}, "/licence/number"),
        (UTILITY | {"licence": {"title": "x", "number": " 1"}}, "/licence/number"),
        (UTILITY | {"licence": {"title": "x", "number": "１"}}, "/licence/number"),
        (UTILITY | {"licence": {"title": "x", "number": "1" * 101}}, "/licence/number"),
        (UTILITY | {"licence": {"title": "x", "number": "1", "valid_until": "2020-01-01"}}, "/licence/valid_until"),
        (UTILITY | {"licence": {"title": "x", "number": "1", "valid_until": "2027-02-29"}}, "/licence/valid_until"),
        (UTILITY | {"licence": {"title": "x", "number": "1", "valid_until": 4102444800}}, "/licence/valid_until"),
        (UTILITY | {"licence": {"title": "x", "number": "1", "shared_use": True}}, "/licence/shared_use"),
        (UTILITY | {"licence": "x"}, "/licence"),
        (SOCIAL | {"contract": {"title": "x", "number": "1", "valid_until": "2020-01-01"}}, "/contract/valid_until"),
        (SOCIAL | {"contract": {"title": "x", "number": "1", "shared_use": "perhaps"}}, "/contract/shared_use"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(strict_node: Any, is_problem: Any, change: dict[str, Any], pointer: str) -> None:
    body = {"uscc": "11330600MB1573660P", "name": "局", "level": "city", "division_code": "3306"} | change
    before = await strict_node.events()
    answer = await strict_node.client.post("/v1/organizations", json=body, headers=strict_node.authority)
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]
    assert await strict_node.events() == before


@pytest.mark.parametrize(
    ("content", "content_type", "statuses"),
    [
        (b"", "application/json", (400, 422)),
        (b"{", "application/json", (400,)),
        (b"\xff\xfe", "application/json", (400,)),
        (b"[]", "application/json", (422,)),
        (b"null", "application/json", (422,)),
        (b'"text"', "application/json", (422,)),
        (b"[" * 100_000, "application/json", (400,)),
        (b'{"name": "\\ud800"}', "application/json", (400, 422)),
        (b'{"name": NaN}', "application/json", (400, 422)),
        (b"uscc=x", "application/x-www-form-urlencoded", (415,)),
        (b'{"uscc":"11330600MB1573660P"}', "text/plain", (415,)),
        (b"<a/>", "application/xml", (415,)),
    ],
)
@pytest.mark.parametrize("path", ["/v1/organizations", "/v1/systems", "/v1/resources"])
async def test_a_body_that_is_not_the_json_asked_for_is_refused(
    strict_node: Any, is_problem: Any, path: str, content: bytes, content_type: str, statuses: tuple[int, ...]
) -> None:
    answer = await strict_node.client.post(path, content=content, headers=strict_node.authority | {"Content-Type": content_type})
    is_problem(answer, answer.status_code)
    assert answer.status_code in statuses, answer.text


async def test_only_the_authority_registers_organizations(strict_node: Any, is_problem: Any, make_code: Any) -> None:
    body = {"uscc": make_code(1), "name": "局", "level": "city", "division_code": "3306"}
    for roles in ((), ("steward",), ("operator", "auditor")):
        is_problem(
            await strict_node.client.post("/v1/organizations", json=body, headers=strict_node.headers(NOBODY, *roles)), 403, "forbidden"
        )
    is_problem(await strict_node.client.post("/v1/organizations", json=body), 401, "unauthenticated")


def put(node: Any, organization: dict[str, Any], **changes: Any) -> Any:
    kept = ("name", "level", "division_code", "kind")
    body = {name: organization[name] for name in kept} | changes
    return node.client.put(f"/v1/organizations/{organization['organization_id']}", json=body, headers=node.authority)


async def test_organizations_stand_under_each_other_and_never_in_a_loop(node: Any, is_problem: Any) -> None:
    top = await node.organization("市政府")
    under = await node.organization("市民政局", parent_id=top["organization_id"])
    lowest = await node.organization("婚姻登记处", parent_id=under["organization_id"])
    assert lowest["parent_id"] == under["organization_id"]
    for parent in (top, under, lowest):
        refused = is_problem(await put(node, top, parent_id=parent["organization_id"]), 422, "organization-invalid")
        assert [error["pointer"] for error in refused["errors"]] == ["/parent_id"]
        assert "loop" in refused["detail"]
    is_problem(await put(node, top, parent_id=NOBODY), 422, "organization-invalid")
    assert (await put(node, lowest, parent_id=top["organization_id"])).json()["parent_id"] == top["organization_id"]
    found = (await node.client.get("/v1/organizations", params={"parent": top["organization_id"]}, headers=node.authority)).json()
    assert [one["name"] for one in found["items"]] == ["市民政局", "婚姻登记处"]
    assert (await put(node, lowest)).json()["parent_id"] == top["organization_id"], "what is left out stays"
    assert (await put(node, lowest, parent_id=None)).json()["parent_id"] is None
    assert (await node.events())[-1].parent_id is None


async def test_two_moves_of_organizations_at_once_never_close_a_loop(node: Any) -> None:
    first, second = await node.organization("甲局"), await node.organization("乙局")
    answers = await asyncio.gather(
        put(node, first, parent_id=second["organization_id"]), put(node, second, parent_id=first["organization_id"])
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_public_utilities_and_social_bodies_show_by_what_their_data_are_had(node: Any, is_problem: Any) -> None:
    licence = {"title": "供水特许经营许可", "number": "特许-2020-07", "valid_until": "2049-12-31"}
    contract = {"title": "社会数据采购", "number": "采-001", "valid_until": None, "shared_use": True}
    water = await node.organization("供水公司", **UTILITY, licence=licence)
    firm = await node.organization("数据协会", **SOCIAL, contract=contract)
    assert (water["licence"], water["contract"]) == (licence, None)
    assert (firm["licence"], firm["contract"]) == (None, contract)
    told = await node.events()
    assert [event.model_dump(mode="json")["licence"] for event in told] == [licence, None]
    assert [event.model_dump(mode="json")["contract"] for event in told] == [None, contract]
    refused = is_problem(await put(node, water, kind="department"), 422, "organization-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/licence"]
    assert (await put(node, water, kind="department", licence=None)).json()["licence"] is None
    both = is_problem(await put(node, firm, kind="department", licence=licence), 422, "organization-invalid")
    assert [error["pointer"] for error in both["errors"]] == ["/licence", "/contract"]
    assert (await put(node, firm)).json()["changed_at"] == firm["changed_at"]


async def test_those_whose_licence_or_contract_is_missing_or_lapsed_are_listed(node: Any) -> None:
    await node.organization("民政局")
    paper = {"title": "许可", "number": "1"}
    good = await node.organization("供水公司", **UTILITY, licence=paper | {"valid_until": "2999-12-31"})
    await node.organization("供气公司", **UTILITY)
    lapsed = await node.organization("供热公司", **UTILITY, licence=paper)
    await node.organization("数据协会", **SOCIAL)
    await node.organization("商会", **SOCIAL, contract=paper)
    async with node.sessions.begin() as tx:
        row = await store.get(tx, UUID(lapsed["organization_id"]))
        row.licence = paper | {"valid_until": "2020-01-01"}

    async def names(**query: Any) -> list[str]:
        answer = await node.client.get("/v1/organizations", params=query, headers=node.headers(None))
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["items"]]

    assert await names(lacks="licence") == ["供气公司", "供热公司"]
    assert await names(lacks="contract") == ["数据协会"]
    assert await names(kind="public_utility") == ["供水公司", "供气公司", "供热公司"]
    renamed = await put(node, lapsed, name="集中供热公司")
    assert renamed.status_code == 200, "a paper that lapsed since it was entered is no reason to refuse another change"
    again = await put(node, good, licence=paper | {"valid_until": "2020-01-01"})
    assert again.status_code == 422


async def test_lists_are_read_page_by_page_and_searched(node: Any, is_problem: Any) -> None:
    names = [f"第{number}局" for number in "一二三四五"] + ["100%_局\\"]
    for name in names:
        await node.organization(name)
    found: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await node.client.get("/v1/organizations", params=query, headers=node.authority)).json()
        found += [one["name"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == names
    for q, expected in (("三", ["第三局"]), ("%", ["100%_局\\"]), ("_", ["100%_局\\"]), ("\\", ["100%_局\\"]), ("没有", []), ("", names)):
        page = (await node.client.get("/v1/organizations", params={"q": q}, headers=node.authority)).json()
        assert [one["name"] for one in page["items"]] == expected, q


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "x"},
        {"limit": "9" * 400},
        {"cursor": "x"},
        {"cursor": "\x00"},
        {"cursor": "é"},
        {"cursor": "AAAA"},
        {"cursor": "A" * 1001},
        {"q": "a\x00b"},
        {"q": "x" * 201},
    ],
)
@pytest.mark.parametrize("path", ["/v1/organizations", "/v1/systems", "/v1/resources", "/v1/code-sets"])
async def test_a_wrong_query_is_refused(strict_node: Any, is_problem: Any, path: str, query: dict[str, Any]) -> None:
    answer = await strict_node.client.get(path, params=query, headers=strict_node.authority)
    is_problem(answer, 422)


@pytest.mark.parametrize("bad", ["x", "123", "0" * 40, "%00", "%FF"])
@pytest.mark.parametrize("path", ["/v1/organizations/{}", "/v1/systems/{}", "/v1/resources/{}", "/v1/resources/{}/versions/1/schema.json"])
async def test_an_id_that_is_none_is_refused(strict_node: Any, is_problem: Any, path: str, bad: str) -> None:
    answer = await strict_node.client.get(path.format(bad), headers=strict_node.authority)
    assert answer.status_code in (404, 422)
    is_problem(answer, answer.status_code)


async def test_a_steward_registers_systems_of_its_own_organization_only(node: Any, is_problem: Any) -> None:
    own, other = await node.organization("甲局"), await node.organization("乙局")
    made = await node.system(own, "人口系统")
    assert made["organization_id"] == own["organization_id"]
    named = {"name": "x", "organization_id": other["organization_id"]}
    is_problem(await node.client.post("/v1/systems", json=named, headers=node.steward(own)), 404, "organization-not-found")
    is_problem(await node.client.get(f"/v1/systems/{made['system_id']}", headers=node.steward(other)), 404, "system-not-found")
    is_problem(await node.client.put(f"/v1/systems/{made['system_id']}", json={"name": "y"}, headers=node.steward(other)), 404)
    by_authority = await node.made("/v1/systems", named, node.authority)
    assert by_authority["organization_id"] == other["organization_id"]
    is_problem(await node.client.post("/v1/systems", json={"name": "x"}, headers=node.authority), 422)
    missing = {"name": "x", "organization_id": NOBODY}
    is_problem(await node.client.post("/v1/systems", json=missing, headers=node.authority), 404, "organization-not-found")
    is_problem(await node.client.post("/v1/systems", json={"name": "x"}, headers=node.headers(own["organization_id"], "auditor")), 403)
    for headers, expected in ((node.steward(own), 1), (node.steward(other), 1), (node.authority, 2), (node.headers(None, "operator"), 2)):
        assert len((await node.client.get("/v1/systems", headers=headers)).json()["items"]) == expected
    foreign = await node.client.get("/v1/systems", params={"organization": other["organization_id"]}, headers=node.steward(own))
    assert foreign.json() == {"items": [], "next_cursor": None}
    is_problem(await node.client.get("/v1/systems", headers=node.headers(None, "steward")), 403)


async def test_a_system_is_registered_once_by_any_way_of_writing_its_name(node: Any, is_problem: Any) -> None:
    own = await node.organization()
    made = await node.system(own, "GIS（一）系统")
    for name in ("GIS（一）系统", "gis(一)系统", " GIS（一）系统 "):
        answer = await node.client.post("/v1/systems", json={"name": name}, headers=node.steward(own))
        assert is_problem(answer, 409, "system-name-taken")["system_id"] == made["system_id"]
    other = await node.organization("乙局")
    await node.system(other, "GIS（一）系统")


async def test_renaming_a_system_tells_the_mesh(node: Any, is_problem: Any) -> None:
    own = await node.organization()
    made, taken = await node.system(own, "人口系统"), await node.system(own, "法人系统")
    path = f"/v1/systems/{made['system_id']}"
    for name in ("人口 系统", "人口 系统"):
        renamed = await node.client.put(path, json={"name": name}, headers=node.steward(own))
        assert renamed.status_code == 200, renamed.text
    is_problem(await node.client.put(path, json={"name": taken["name"]}, headers=node.steward(own)), 409, "system-name-taken")
    kinds = [type(event) for event in await node.events()]
    assert kinds == [OrganizationRegistered, SystemRegistered, SystemRegistered, SystemChanged]
