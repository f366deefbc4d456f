"""Code sets of departments: drafted, published and retired by their stewards, in a name space nobody else has."""

import json
from pathlib import Path
from typing import Any

import pytest

from catalog_svc.code_draft import commands
from dxmesh_client.errors import ClientError
from dxmesh_schemas.catalog_events import CodeSetPublished, CodeSetRetired

BODY = {"title": "救助类别", "codes": ["1", "2"]}


def name_of(organization: dict[str, Any], local: str = "relief-kind") -> str:
    return f"{organization['uscc'].lower()}.{local}"


async def draft(node: Any, organization: dict[str, Any], name: str | None = None, *, tag: str | None = None, **changes: Any) -> Any:
    headers = node.steward(organization) | ({"If-Match": tag} if tag else {})
    return await node.client.put(f"/v1/code-sets/{name or name_of(organization)}/draft", json=BODY | changes, headers=headers)


async def publish(node: Any, organization: dict[str, Any], name: str | None = None) -> Any:
    path = f"/v1/code-sets/{name or name_of(organization)}/draft/publication"
    return await node.client.post(path, headers=node.steward(organization))


async def retire(node: Any, headers: dict[str, str], name: str, reason: str = "并入国家标准") -> Any:
    return await node.client.post(f"/v1/code-sets/{name}/retirement", json={"reason": reason}, headers=headers)


async def test_a_department_drafts_publishes_and_goes_on_with_a_code_set_of_its_own(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    name = name_of(organization)
    begun = await draft(node, organization, entries=[{"code": "1", "label": "低保"}, {"code": "2"}], codes=None)
    assert begun.status_code == 201, begun.text
    assert begun.json() | {"drafted_at": ""} == {
        "name": name, "organization_id": organization["organization_id"], "title": "救助类别", "kind": "own", "standard": None,
        "parent_set": None, "leading_source": None, "entry_count": 2, "drafted_at": "", "drafted_by": "test-client",
    }  # fmt: skip
    is_problem(await node.client.get(f"/v1/code-sets/{name}", headers=node.authority), 404, "code-set-not-found")
    assert [event for event in await node.events() if isinstance(event, CodeSetPublished)] == [], "a draft is told to nobody"
    again = await draft(node, organization, tag=begun.headers["etag"], codes=["1", "2", "3"])
    assert again.status_code == 200, again.text
    is_problem(await draft(node, organization, tag=begun.headers["etag"]), 412, "entry-passed")
    held = (await node.client.get(f"/v1/code-sets/{name}/draft", headers=node.steward(organization))).json()
    assert [entry["code"] for entry in held["entries"]] == ["1", "2", "3"]
    made = await publish(node, organization)
    assert (made.status_code, made.json()["version"], made.json()["organization_id"]) == (201, 1, organization["organization_id"])
    is_problem(await publish(node, organization), 404, "code-draft-not-found")
    await draft(node, organization, codes=["3", "2", "1"])
    assert (await publish(node, organization)).status_code == 200, "the same codes are the same version"
    await draft(node, organization, codes=["1", "2"])
    assert (await publish(node, organization)).json()["version"] == 2
    told = [event for event in await node.events() if isinstance(event, CodeSetPublished)]
    assert [(event.version, event.codes) for event in told] == [(1, ("1", "2", "3")), (2, ("1", "2"))]
    assert {str(event.organization_id) for event in told} == {organization["organization_id"]}
    listed = await node.client.get("/v1/code-sets", params={"organization_id": organization["organization_id"]}, headers=node.headers(None))
    assert [one["name"] for one in listed.json()["items"]] == [name]


async def test_no_one_publishes_in_anothers_name_space(node: Any, is_problem: Any) -> None:
    own, other = await node.organization(), await node.organization("绍兴市卫生健康委员会")
    for name in (name_of(other), "relief-kind", "gb-t-2261.1", "gb-t-4754", name_of(own)[:-12] + "x.relief-kind", own["uscc"].lower()):
        refused = is_problem(await draft(node, own, name), 403, "code-set-foreign")
        assert refused["begins_with"] == name_of(own, "")
    is_problem(await draft(node, own, name_of(own).upper()), 422)
    for answer in (
        await node.client.put(f"/v1/code-sets/{name_of(own)}", json=BODY, headers=node.authority),
        await node.client.post(
            f"/v1/code-sets/{name_of(own)}/import?title=x", content="code\n1\n", headers=node.authority | {"Content-Type": "text/csv"}
        ),
    ):
        assert own["uscc"] in is_problem(answer, 403, "code-set-foreign")["detail"]
    for headers in (node.authority, node.cdo(own), node.headers(None, "steward")):
        is_problem(await node.client.put(f"/v1/code-sets/{name_of(own)}/draft", json=BODY, headers=headers), 403, "forbidden")


async def test_a_foreign_steward_neither_sees_nor_takes_a_draft_nor_retires_a_set(node: Any, is_problem: Any) -> None:
    own, other = await node.organization(), await node.organization("绍兴市卫生健康委员会")
    path = f"/v1/code-sets/{name_of(own)}"
    await draft(node, own)
    stranger = node.steward(other)
    is_problem(await node.client.get(f"{path}/draft", headers=stranger), 404, "code-draft-not-found")
    is_problem(await node.client.delete(f"{path}/draft", headers=stranger), 404, "code-draft-not-found")
    is_problem(await node.client.post(f"{path}/draft/publication", headers=stranger), 404, "code-draft-not-found")
    is_problem(await node.client.get("/v1/code-set-drafts", headers=node.headers(None)), 403, "forbidden")
    assert (await node.client.get("/v1/code-set-drafts", headers=stranger)).json()["items"] == []
    for headers in (node.steward(own), node.authority):
        listed = (await node.client.get("/v1/code-set-drafts", headers=headers)).json()["items"]
        assert [one["name"] for one in listed] == [name_of(own)]
        assert (await node.client.get(f"{path}/draft", headers=headers)).status_code == 200
    assert (await publish(node, own)).status_code == 201
    for headers in (stranger, node.cdo(own), node.headers(None)):
        is_problem(await retire(node, headers, name_of(own)), 403, "forbidden")
    assert (await node.client.get(path, headers=stranger)).json()["retired_at"] is None, "what is published all may read"


async def test_a_draft_is_discarded_and_what_is_in_force_stays(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    path, headers = f"/v1/code-sets/{name_of(organization)}", node.steward(organization)
    await draft(node, organization)
    await publish(node, organization)
    begun = await draft(node, organization, codes=["9"])
    is_problem(await node.client.delete(f"{path}/draft", headers=headers | {"If-Match": '"1"'}), 412, "entry-passed")
    assert (await node.client.delete(f"{path}/draft", headers=headers | {"If-Match": begun.headers["etag"]})).status_code == 204
    is_problem(await node.client.get(f"{path}/draft", headers=headers), 404, "code-draft-not-found")
    is_problem(await draft(node, organization, tag=begun.headers["etag"]), 412, "entry-passed")
    assert (await node.client.get(path, headers=headers)).json()["codes"] == ["1", "2"]
    assert (await node.client.delete(path, headers=headers)).status_code == 405, "a version is told to the mesh, and never deleted"


async def test_a_retired_set_goes_on_where_it_is_in_force_and_is_taken_by_nothing_new(
    node: Any, is_problem: Any, good_entry: Any, good_item: Any
) -> None:
    organization, system = await node.provider()
    name = name_of(organization)
    await draft(node, organization)
    await publish(node, organization)
    items = [good_item("street_code"), good_item("kind", code_set={"name": name})]
    used = await node.published(organization, system, items=items)
    late = await node.resource(organization, system, name="来不及的资源", items=items)
    await draft(node, organization, codes=["7"])
    gone = await retire(node, node.steward(organization), name)
    assert gone.status_code == 200, gone.text
    assert gone.json()["used_by"] == [used["resource_id"]]
    assert gone.json()["code_set"]["retirement_reason"] == "并入国家标准"
    [told] = [event for event in await node.events() if isinstance(event, CodeSetRetired)]
    assert (told.name, told.version, told.reason) == (name, 1, "并入国家标准")

    is_problem(await retire(node, node.authority, name), 409, "code-set-retired")
    is_problem(await draft(node, organization), 409, "code-set-retired")
    is_problem(await publish(node, organization), 409, "code-set-retired")
    refused = is_problem(
        await node.client.post("/v1/resources", json=good_entry(system, name="新资源", items=items), headers=node.steward(organization)),
        422,
    )
    assert [error["pointer"] for error in refused["errors"]] == ["/items/1/code_set/name"]
    submitted = await node.client.post(f"/v1/resources/{late['resource_id']}/submission", json={}, headers=node.steward(organization))
    assert [error["pointer"] for error in is_problem(submitted, 422)["errors"]] == ["/items/1/code_set/name"]
    path = f"/v1/resources/{used['resource_id']}"
    changed = await node.client.put(path, json=good_entry(system, items=items, summary="另一句"), headers=node.steward(organization))
    assert changed.status_code == 200, "the version in force uses it already"
    assert (await node.client.get(f"/v1/code-sets/{name}", params={"version": 1}, headers=node.authority)).json()["codes"] == ["1", "2"]
    for retired, names in (("true", [name]), ("false", [])):
        listed = (await node.client.get("/v1/code-sets", params={"retired": retired}, headers=node.authority)).json()["items"]
        assert [one["name"] for one in listed] == names


async def test_the_pages_say_whose_a_set_is_and_that_it_is_retired(node: Any) -> None:
    organization = await node.organization()
    await draft(node, organization)
    await publish(node, organization)

    async def pages() -> list[str]:
        reader = node.headers(None, "operator")
        return [(await node.client.get(f"/dashboard/code-sets{of}", headers=reader)).text for of in ("", f"/{name_of(organization)}")]

    listed, shown = await pages()
    assert name_of(organization) in listed
    assert "部门自有" in shown
    assert "已停用" not in listed + shown
    await retire(node, node.steward(organization), name_of(organization))
    listed, shown = await pages()
    assert "已停用" in listed
    assert "并入国家标准" in shown


async def test_the_authority_retires_the_nodes_sets_and_those_of_departments(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    await draft(node, organization)
    await publish(node, organization)
    assert (await node.client.put("/v1/code-sets/plain", json=BODY, headers=node.authority)).status_code == 201
    for name in (name_of(organization), "plain"):
        is_problem(await retire(node, node.authority, name, reason=""), 422)
        assert (await retire(node, node.authority, name)).status_code == 200
    is_problem(await node.client.put("/v1/code-sets/plain", json=BODY | {"codes": ["5"]}, headers=node.authority), 409, "code-set-retired")
    is_problem(await retire(node, node.authority, "unknown"), 404, "code-set-not-found")


ENDED = {"valid_until": "2020-01-01"}


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"codes": ["1"] * 20_001}, ["/codes"]),
        ({"codes": [f"{number:0100d}" for number in range(10_000)]}, ["/codes"]),
        ({"codes": ["1", "1"]}, ["/codes/1"]),
        ({"codes": ["１"]}, ["/codes/0"]),
        ({"codes": ["1\u200b"]}, ["/codes/0"]),
        ({"title": "救\u200b助"}, ["/title"]),
        ({"entries": [{"code": "1", "label": "低\u200b保"}]}, ["/entries/0/label"]),
        ({"entries": [{"code": "1", **ENDED}]}, ["/codes"]),
        ({"parent_set": "nowhere"}, ["/parent_set"]),
        (
            {"entries": [{"code": "1", "valid_until": "2021-01-01"}, {"code": "1", "valid_from": "2020-12-31"}]},
            ["/entries/1/code"],
        ),
        (
            {"entries": [{"code": "0"}, {"code": "1", **ENDED, "successors": ["2"]}, {"code": "2", **ENDED, "successors": ["1"]}]},
            ["/entries/1/successors", "/entries/2/successors"],
        ),
        (
            {"entries": [{"code": "0"}, *({"code": one, "is_retired": True, "successors": [on]} for one, on in ("ab", "bc", "ca", "da"))]},
            [f"/entries/{index}/successors" for index in (1, 2, 3, 4)],
        ),
        ({"entries": [{"code": "1", "parent": "2"}, {"code": "2", "parent": "1"}]}, ["/entries/0/parent", "/entries/1/parent"]),
    ],
)  # fmt: skip
async def test_a_draft_keeps_every_rule_of_a_version_and_a_wrong_one_leaves_nothing(
    strict_node: Any, is_problem: Any, change: dict[str, Any], pointers: list[str]
) -> None:
    organization = strict_node.organization_made
    if "entries" in change:
        change = change | {"codes": None}
    wrong = is_problem(await draft(strict_node, organization, **change), 422)
    assert sorted(error["pointer"] for error in wrong["errors"]) == pointers
    assert (await strict_node.client.get("/v1/code-set-drafts", headers=strict_node.authority)).json()["items"] == []


async def test_a_code_that_comes_back_makes_no_circle(node: Any) -> None:
    organization = await node.organization()
    entries = [
        {"code": "1", "valid_until": "2000-01-01", "successors": ["2"]},
        {"code": "2", "valid_from": "2000-01-01", "valid_until": "2010-01-01", "successors": ["1"]},
        {"code": "1", "valid_from": "2010-01-01"},
    ]
    assert (await draft(node, organization, entries=entries, codes=None)).status_code == 201


async def test_an_organization_keeps_no_more_drafts_than_it_may(node: Any, is_problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_DRAFTS", 2)
    organization = await node.organization()
    for local in "ab":
        assert (await draft(node, organization, name_of(organization, local))).status_code == 201
    is_problem(await draft(node, organization, name_of(organization, "c")), 409, "code-drafts-full")
    assert (await draft(node, organization, name_of(organization, "a"), codes=["5"])).status_code == 200


async def test_a_parent_set_that_lost_a_code_since_the_draft_refuses_its_publication(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    await node.client.put("/v1/code-sets/above", json={"title": "上级", "codes": ["A", "B"]}, headers=node.authority)
    entries = [{"code": "A1", "parent": "A"}]
    assert (await draft(node, organization, entries=entries, codes=None, parent_set="above")).status_code == 201
    await node.client.put("/v1/code-sets/above", json={"title": "上级", "codes": ["B"]}, headers=node.authority)
    wrong = is_problem(await publish(node, organization), 422, "code-set-invalid")
    assert [error["pointer"] for error in wrong["errors"]] == ["/entries/0/parent"]
    assert (await node.client.get("/v1/code-set-drafts", headers=node.authority)).json()["items"] != []


async def test_a_steward_keeps_a_code_set_from_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    organization = await node.organization()
    path = f"/v1/organizations/{organization['organization_id']}/credentials"
    client = await node.made(path, {"name": "代码", "roles": ["steward"]}, node.authority)
    profile = json.loads((tmp_path / "profile.json").read_text(encoding="utf-8"))
    own = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    (tmp_path / "profile.json").write_text(json.dumps(profile | own), encoding="utf-8")
    file, name = tmp_path / "kinds.csv", name_of(organization)
    file.write_text("代码,名称,停用日期,已停用,后继代码\n1,低保,,,\n2,五保,2014-05-01,,3；1\n3,特困,,否,\n4,救济,,是,\n", encoding="utf-8")
    made = await cli("codes", "draft", name, str(file), "--title", "救助类别")
    assert (made["name"], made["entry_count"]) == (name, 4)
    assert [one["name"] for one in await cli("codes", "drafts")] == [name]
    assert await cli("codes", "publish", name) == {"name": name, "version": 1, "codes": 2, "is_new": True}
    shown = {one["code"]: (one["standing"], one["successors"]) for one in await cli("codes", "show", name)}
    assert shown == {"1": ("valid", ""), "2": ("retired", "3 1"), "3": ("valid", ""), "4": ("retired", "")}
    with pytest.raises(ClientError, match="begin with"):
        await cli("codes", "draft", "gb-t-2261.1", str(file), "--title", "性别")
    with pytest.raises(ClientError, match="save its sheet as CSV"):
        await cli("codes", "draft", name, str(file.rename(file.with_suffix(".xlsx"))), "--title", "救助类别")
    file.write_text("code,name\n1,甲\n", encoding="utf-8")
    await cli("codes", "draft", name, str(file), "--title", "救助类别")
    assert await cli("codes", "discard", name) == {"name": name, "discarded": True}
    gone = await cli("codes", "retire", name, "--reason", "并入国家标准")
    assert (gone["name"], gone["used_by"]) == (name, 0)
    assert [one["retired_at"] for one in await cli("codes", "list")] == [gone["retired_at"]]
