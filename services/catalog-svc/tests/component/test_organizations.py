import asyncio
from typing import Any

import pytest

from dxmesh_schemas.catalog_events import OrganizationChanged, OrganizationRegistered, SystemChanged, SystemRegistered

NOBODY = "00000000-0000-0000-0000-000000000000"


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
        ({"name": 5}, "/name"),
        ({"level": "village"}, "/level"),
        ({"division_code": "33060"}, "/division_code"),
        ({"division_code": "３３06"}, "/division_code"),
        ({"kind": "firm"}, "/kind"),
        ({"extra": 1}, "/extra"),
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
