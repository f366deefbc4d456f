"""Information systems: states (C09), main systems and master data under caps (C15), the government cloud (S10)."""

import asyncio
from typing import Any

import pytest

from dxmesh_schemas.catalog import SystemKind, SystemState
from dxmesh_schemas.catalog_events import SystemChanged, SystemRegistered

NOBODY = "00000000-0000-0000-0000-000000000000"


async def act(node: Any, system: dict[str, Any], what: str, headers: dict[str, str], **body: Any) -> Any:
    return await node.client.post(f"/v1/systems/{system['system_id']}/{what}", json=body, headers=headers)


async def change(node: Any, system: dict[str, Any], headers: dict[str, str], **body: Any) -> Any:
    return await node.client.put(f"/v1/systems/{system['system_id']}", json={"name": system["name"]} | body, headers=headers)


async def sector(node: Any, code: str = "civil-affairs", **changes: Any) -> dict[str, Any]:
    body = {"name": f"领域 {code}", "main_system_cap": 1, "master_data_cap": 1} | changes
    answer = await node.client.put(f"/v1/sectors/{code}", json=body, headers=node.authority)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def withdraw(node: Any, resource: dict[str, Any]) -> None:
    path = f"/v1/resources/{resource['resource_id']}/withdrawal"
    answer = await node.client.post(path, json={"reason": "停用"}, headers=node.authority)
    assert answer.status_code == 200, answer.text


async def test_a_system_of_which_only_the_name_is_sent_is_planned_and_takes_resources(node: Any) -> None:
    organization = await node.organization()
    system = await node.made("/v1/systems", {"name": "婚姻登记系统"}, node.steward(organization))
    said = {"kind": "own", "state": "planned", "on_gov_cloud": None, "is_main_system": False, "sector": None}
    assert system == system | said
    await node.published(organization, system)
    told = next(event for event in await node.events() if isinstance(event, SystemRegistered))
    assert told.model_dump(mode="json") == {name: system[name] for name in SystemRegistered.model_fields}


async def test_going_in_service_is_refused_while_nothing_is_catalogued(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    refused = is_problem(await act(node, system, "service", steward), 409, "nothing-catalogued")
    assert refused["drafts"] == []
    assert "POST /v1/resources" in refused["detail"]
    draft = await node.resource(organization, system)
    refused = is_problem(await act(node, system, "service", steward), 409, "nothing-catalogued")
    assert refused["drafts"] == [draft["resource_id"]]
    assert "published" in refused["detail"]
    other = await node.system(organization, "另一系统")
    await node.published(organization, other, name="另一名录")
    is_problem(await act(node, system, "service", steward), 409, "nothing-catalogued")
    await node.put_in_force(draft)
    answer = await act(node, system, "service", steward, reason="验收通过")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "in_service"
    told = (await node.events())[-1]
    assert isinstance(told, SystemChanged)
    assert (told.state, told.kind) == (SystemState.IN_SERVICE, SystemKind.OWN)


async def test_a_withdrawn_resource_lets_no_system_go_in_service(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    await withdraw(node, await node.published(organization, system))
    is_problem(await act(node, system, "service", node.steward(organization)), 409, "nothing-catalogued")


async def test_retiring_is_refused_while_resources_are_in_force(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    resource = await node.published(organization, system)
    assert (await act(node, system, "service", steward)).status_code == 200
    refused = is_problem(await act(node, system, "retirement", steward, reason="关停"), 409, "still-catalogued")
    assert refused["resources"] == [{"resource_id": resource["resource_id"], "name": resource["name"]}]
    assert "withdraw" in refused["detail"]
    # a next version on its way leaves the one in force
    newer = await node.client.put(
        f"/v1/resources/{resource['resource_id']}", json=_entry_of(resource, system, summary="新的摘要"), headers=steward
    )
    assert newer.status_code == 200, newer.text
    is_problem(await act(node, system, "retirement", steward, reason="关停"), 409, "still-catalogued")
    await withdraw(node, resource)
    answer = await act(node, system, "retirement", steward, reason="关停")
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "retired"


def _entry_of(resource: dict[str, Any], system: dict[str, Any], **changes: Any) -> dict[str, Any]:
    kept = ("name", "summary", "class_path", "items", "key", "update_cycle")
    return {"system_id": system["system_id"]} | {name: resource[name] for name in kept} | changes


async def test_every_step_of_a_system_is_dated_and_signed(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    resource = await node.published(organization, system)
    await act(node, system, "service", steward)
    await withdraw(node, resource)
    await act(node, system, "retirement", node.authority, reason="并入新系统")
    path = f"/v1/systems/{system['system_id']}/steps"
    steps = (await node.client.get(path, headers=steward)).json()["items"]
    assert [(step["number"], step["state"], step["by"], step["reason"]) for step in steps] == [
        (1, "planned", "test-client", None),
        (2, "in_service", "test-client", None),
        (3, "retired", "test-client", "并入新系统"),
    ]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    other = await node.organization("乙局")
    is_problem(await node.client.get(path, headers=node.steward(other)), 404, "system-not-found")


async def test_a_retired_system_stays_as_it_was(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    draft = await node.resource(organization, system, name="草稿名录")
    assert (await act(node, system, "retirement", steward, reason="不再建设")).status_code == 200
    events = await node.events()
    for answer in (
        await act(node, system, "retirement", steward, reason="再次"),
        await act(node, system, "service", steward),
        await change(node, system, steward, name="新名"),
        await change(node, system, node.authority, on_gov_cloud=True),
    ):
        assert is_problem(answer, 409, "system-transition")["state"] == "retired"
    refused = await node.client.post("/v1/resources", json=good_entry(system, name="又一名录"), headers=steward)
    assert "/system_id" in [error["pointer"] for error in is_problem(refused, 422, "resource-invalid")["errors"]]
    submitted = await node.client.post(f"/v1/resources/{draft['resource_id']}/submission", headers=steward)
    assert submitted.status_code in (409, 422), submitted.text
    assert await node.events() == events


async def test_a_system_goes_in_service_once(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    await node.published(organization, system)
    steward = node.steward(organization)
    answers = await asyncio.gather(*(act(node, system, "service", steward) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    is_problem(await act(node, system, "service", steward), 409, "system-transition")


async def test_publishing_and_retiring_at_once_leave_no_resource_on_a_retired_system(node: Any) -> None:
    organization, system = await node.provider()
    draft = await node.put_in_force(await node.resource(organization, system), until="approval")
    retired, published = await asyncio.gather(
        act(node, system, "retirement", node.authority, reason="关停"),
        node.client.post(f"/v1/resources/{draft['resource_id']}/publish", json={}, headers=node.authority),
    )
    assert sorted([retired.status_code == 200, published.status_code == 200]) == [False, True], (retired.text, published.text)


async def test_steps_are_taken_by_the_owner_and_the_authority(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    await node.published(organization, system)
    other = await node.organization("乙局")
    for what, body in (("service", {}), ("retirement", {"reason": "x"})):
        is_problem(await act(node, system, what, node.steward(other), **body), 404, "system-not-found")
        is_problem(await act(node, system, what, node.headers(organization["organization_id"], "auditor"), **body), 403, "forbidden")
        is_problem(await act(node, {"system_id": NOBODY}, what, node.authority, **body), 404, "system-not-found")
    for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "a\u0000"}, {"reason": 5}, {"reason": "x", "extra": 1}):
        is_problem(await act(node, system, "retirement", node.authority, **body), 422)
    answer = await node.client.post(f"/v1/systems/{system['system_id']}/service", headers=node.steward(organization))
    assert answer.status_code == 200, "no body is needed"


async def test_systems_with_nothing_catalogued_are_reported(node: Any) -> None:
    organization, first = await node.provider()
    second, third, fourth = [await node.system(organization, name) for name in ("乙系统", "丙系统", "丁系统")]
    await node.published(organization, first)
    await node.resource(organization, second, name="草稿名录")
    await withdraw(node, await node.published(organization, third, name="撤回名录"))
    await act(node, fourth, "retirement", node.authority, reason="不建了")

    async def names(**query: Any) -> list[str]:
        answer = await node.client.get("/v1/systems", params=query, headers=node.authority)
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["items"]]

    assert await names(catalogued=False) == ["乙系统", "丙系统", "丁系统"]
    assert await names(catalogued=False, state="planned") == ["乙系统", "丙系统"]
    assert await names(catalogued=True) == [first["name"]]


async def test_vertical_systems_and_those_off_the_cloud_are_found(node: Any, is_problem: Any) -> None:
    organization, own = await node.provider()
    steward = node.steward(organization)
    national = await node.made("/v1/systems", {"name": "国垂系统", "kind": "nation", "on_gov_cloud": False}, steward)
    assert (await change(node, own, steward, kind="city", on_gov_cloud=True)).json() == own | {
        "kind": "city",
        "on_gov_cloud": True,
        "changed_at": (await node.client.get(f"/v1/systems/{own['system_id']}", headers=steward)).json()["changed_at"],
    }
    for query, expected in (
        ({"kind": "nation"}, [national["system_id"]]),
        ({"kind": "own"}, []),
        ({"on_gov_cloud": "false"}, [national["system_id"]]),
        ({"on_gov_cloud": "true"}, [own["system_id"]]),
        ({"is_main_system": "true"}, []),
    ):
        found = (await node.client.get("/v1/systems", params=query, headers=steward)).json()["items"]
        assert [one["system_id"] for one in found] == expected, query
    for query in ({"kind": "county"}, {"state": "dead"}, {"on_gov_cloud": "perhaps"}, {"sector": "X Y"}):
        is_problem(await node.client.get("/v1/systems", params=query, headers=steward), 422)


async def test_what_is_left_out_of_a_change_stays_and_the_same_again_tells_nothing(node: Any) -> None:
    organization = await node.organization()
    steward = node.steward(organization)
    made = await node.made("/v1/systems", {"name": "系统", "kind": "province", "on_gov_cloud": True}, steward)
    told = len(await node.events())
    assert (await change(node, made, steward)).json() == made
    assert len(await node.events()) == told
    renamed = (await change(node, made, steward, name="新系统")).json()
    assert (renamed["name"], renamed["kind"], renamed["on_gov_cloud"]) == ("新系统", "province", True)
    unsaid = (await change(node, renamed, steward, on_gov_cloud=None)).json()
    assert (unsaid["kind"], unsaid["on_gov_cloud"]) == ("province", None)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "系统\u200b"}, "/name"),
        ({"name": "系统１"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"kind": "county"}, "/kind"),
        ({"kind": None}, "/kind"),
        ({"on_gov_cloud": "perhaps"}, "/on_gov_cloud"),
        ({"is_main_system": None}, "/is_main_system"),
        ({"is_main_system": True}, "/sector"),
        ({"is_main_system": True, "sector": "no-such-sector"}, "/sector"),
        ({"sector": "no-such-sector"}, "/sector"),
        ({"sector": "Has Blanks"}, "/sector"),
        ({"sector": ""}, "/sector"),
        ({"state": "in_service"}, "/state"),
        ({"organization_id": "x"}, "/organization_id"),
    ],
)
async def test_a_wrong_system_is_refused_by_name(strict_node: Any, is_problem: Any, change: dict[str, Any], pointer: str) -> None:
    body = {"name": "新系统", "organization_id": strict_node.organization_made["organization_id"]} | change
    before = await strict_node.events()
    answer = await strict_node.client.post("/v1/systems", json=body, headers=strict_node.authority)
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]
    assert await strict_node.events() == before


async def test_a_sector_has_no_more_main_systems_than_its_cap(node: Any, is_problem: Any) -> None:
    await sector(node)
    organization, first = await node.provider()
    second = await node.system(organization, "殡葬系统")
    marked = {"is_main_system": True, "sector": "civil-affairs"}
    assert (await change(node, first, node.authority, **marked)).json()["is_main_system"] is True
    refused = is_problem(await change(node, second, node.authority, **marked), 409, "sector-cap-reached")
    assert refused["cap"] == 1
    assert refused["present"] == [{"system_id": first["system_id"], "name": first["name"]}]
    assert first["name"] in refused["detail"]
    named = {"name": "第三系统", "organization_id": organization["organization_id"]} | marked
    is_problem(await node.client.post("/v1/systems", json=named, headers=node.authority), 409, "sector-cap-reached")
    assert (await change(node, first, node.authority, name="改名的系统")).status_code == 200, (
        "a main system may be renamed while all places are taken"
    )
    shown = (await node.client.get("/v1/sectors/civil-affairs", headers=node.headers(None))).json()
    assert [one["name"] for one in shown["main_systems"]] == ["改名的系统"]
    await sector(node, main_system_cap=2)
    assert (await change(node, second, node.authority, **marked)).status_code == 200
    told = (await node.events())[-1]
    assert (told.is_main_system, told.sector) == (True, "civil-affairs")


async def test_of_two_that_take_the_last_place_at_once_one_gets_it(node: Any) -> None:
    await sector(node)
    organizations = [await node.organization(name) for name in ("甲局", "乙局", "丙局")]
    systems = [await node.system(organization) for organization in organizations]
    marked = {"is_main_system": True, "sector": "civil-affairs"}
    answers = await asyncio.gather(*(change(node, system, node.authority, **marked) for system in systems))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_a_main_system_gives_its_place_up_when_it_is_lowered_moved_or_retired(node: Any) -> None:
    await sector(node)
    await sector(node, "health")
    organization = await node.organization()
    systems = [await node.system(organization, name) for name in ("甲系统", "乙系统", "丙系统", "丁系统")]
    marked = {"is_main_system": True, "sector": "civil-affairs"}
    leave: tuple[Any, ...] = (
        lambda system: change(node, system, node.authority, is_main_system=False),
        lambda system: change(node, system, node.authority, sector="health"),
        lambda system: act(node, system, "retirement", node.authority, reason="关停"),
    )
    for system, leaves in zip(systems, leave, strict=False):
        assert (await change(node, system, node.authority, **marked)).status_code == 200
        assert (await leaves(system)).status_code == 200
    assert (await change(node, systems[3], node.authority, **marked)).status_code == 200
    found = (await node.client.get("/v1/systems", params={"is_main_system": "true"}, headers=node.authority)).json()["items"]
    assert {one["name"]: one["sector"] for one in found} == {"乙系统": "health", "丁系统": "civil-affairs"}


async def test_which_systems_are_main_ones_is_the_authoritys_choice(node: Any, is_problem: Any) -> None:
    await sector(node)
    organization, system = await node.provider()
    steward = node.steward(organization)
    assert (await change(node, system, steward, sector="civil-affairs")).status_code == 200
    is_problem(await change(node, system, steward, is_main_system=True), 403, "forbidden")
    marked = {"name": "又一系统", "is_main_system": True, "sector": "civil-affairs"}
    is_problem(await node.client.post("/v1/systems", json=marked, headers=steward), 403, "forbidden")
    assert (await change(node, system, node.authority, is_main_system=True)).status_code == 200
    assert (await change(node, system, steward, is_main_system=True, on_gov_cloud=True)).status_code == 200
    is_problem(await change(node, system, steward, is_main_system=False), 403, "forbidden")
    is_problem(await change(node, system, steward, sector=None), 403, "forbidden")


async def test_a_cap_is_not_lowered_below_what_there_is(node: Any, is_problem: Any) -> None:
    await sector(node, main_system_cap=2)
    organization, system = await node.provider()
    resource = await node.published(organization, system)
    await change(node, system, node.authority, is_main_system=True, sector="civil-affairs")
    path = f"/v1/resources/{resource['resource_id']}/master-data"
    assert (await node.client.put(path, json={"sector": "civil-affairs"}, headers=node.authority)).status_code == 200
    body = {"name": "民政", "main_system_cap": 0, "master_data_cap": 1}
    refused = is_problem(await node.client.put("/v1/sectors/civil-affairs", json=body, headers=node.authority), 409, "sector-cap-too-low")
    assert refused["present"] == [{"system_id": system["system_id"], "name": system["name"]}]
    body = {"name": "民政", "main_system_cap": 1, "master_data_cap": 0}
    refused = is_problem(await node.client.put("/v1/sectors/civil-affairs", json=body, headers=node.authority), 409, "sector-cap-too-low")
    assert refused["present"] == [{"resource_id": resource["resource_id"], "name": resource["name"]}]
    assert (await node.client.get("/v1/sectors/civil-affairs", headers=node.authority)).json()["main_system_cap"] == 2


async def test_sectors_are_kept_by_the_authority_under_names_of_their_own(node: Any, is_problem: Any) -> None:
    made = await sector(node, "health", name="卫生 健康")
    assert made == made | {"main_systems": [], "master_data": [], "main_system_cap": 1}
    await sector(node, "a-first", name="教育")
    body = {"name": "卫生  健康", "main_system_cap": 1, "master_data_cap": 1}
    refused = is_problem(await node.client.put("/v1/sectors/other", json=body, headers=node.authority), 409, "sector-name-taken")
    assert refused["sector"] == "health"
    is_problem(await node.client.get("/v1/sectors/other", headers=node.authority), 404, "sector-not-found")
    is_problem(await node.client.put("/v1/sectors/other", json=body, headers=node.headers(NOBODY, "steward")), 403, "forbidden")
    listed = (await node.client.get("/v1/sectors", params={"limit": 1}, headers=node.headers(None))).json()
    assert [one["sector"] for one in listed["items"]] == ["a-first"]
    rest = (await node.client.get("/v1/sectors", params={"cursor": listed["next_cursor"]}, headers=node.headers(None))).json()
    assert [one["sector"] for one in rest["items"]] == ["health"]
    good = {"name": "新", "main_system_cap": 1, "master_data_cap": 1}
    for code, change in (
        ("Upper", {}),
        ("-x", {}),
        ("x" * 33, {}),
        ("%EF%BD%81", {}),
        ("new", {"name": "新\u200b"}),
        ("new", {"main_system_cap": -1}),
        ("new", {"main_system_cap": 1.5}),
        ("new", {"main_system_cap": "3"}),
        ("new", {"main_system_cap": True}),
        ("new", {"master_data_cap": 10**12}),
        ("new", {"master_data_cap": None}),
        ("new", {"extra": 1}),
    ):
        is_problem(await node.client.put(f"/v1/sectors/{code}", json=good | change, headers=node.authority), 422)


async def test_a_sector_has_no_more_master_data_than_its_cap(node: Any, is_problem: Any) -> None:
    await sector(node)
    organization, system = await node.provider()
    first, second = [await node.published(organization, system, name=name) for name in ("甲名录", "乙名录")]

    async def mark(resource: dict[str, Any], headers: dict[str, str] | None = None, **body: Any) -> Any:
        path = f"/v1/resources/{resource['resource_id']}/master-data"
        return await node.client.put(path, json={"sector": "civil-affairs"} | body, headers=headers or node.authority)

    made = await mark(first, reason="全市统一")
    assert made.json() == made.json() | {"sector": "civil-affairs", "reason": "全市统一", "marked_by": "test-client"}
    assert (await mark(first, reason="全市统一")).json() == made.json()
    refused = is_problem(await mark(second), 409, "sector-cap-reached")
    assert refused["cap"] == 1
    assert refused["present"] == [{"resource_id": first["resource_id"], "name": "甲名录"}]
    is_problem(await mark(second, node.steward(organization)), 403, "forbidden")
    is_problem(await mark(second, sector="none"), 422, "sector-unknown")
    is_problem(await mark({"resource_id": NOBODY}), 404, "resource-not-found")
    draft = await node.resource(organization, system, name="丙名录")
    is_problem(await mark(draft), 409, "master-data-not-in-force")
    path = f"/v1/resources/{first['resource_id']}/master-data"
    assert (await node.client.get(path, headers=node.headers(None))).json() == made.json()
    assert (await node.client.delete(path, headers=node.authority)).status_code == 204
    is_problem(await node.client.delete(path, headers=node.authority), 404, "not-master-data")
    is_problem(await node.client.get(path, headers=node.authority), 404, "not-master-data")
    assert (await mark(second)).status_code == 200
    await withdraw(node, second)
    is_problem(await mark(second, reason="again"), 409, "master-data-not-in-force")
    assert (await mark(first)).status_code == 200, "a withdrawn resource has given its place up"
    read = (await node.client.get(f"/v1/resources/{first['resource_id']}", headers=node.authority)).json()
    assert "is_master_data" not in read.get("definition", {}), "the flag is no part of the definition"
