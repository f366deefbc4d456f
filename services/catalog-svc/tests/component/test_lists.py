import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

NOBODY = "00000000-0000-0000-0000-000000000000"
LAW = {"kind": "law", "title": "中华人民共和国数据安全法", "article": "第三十八条"}
KEPT = ("demand", "duty", "negative", "scenario")


def body(kind: str, **changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = {"name": "低保对象名单", "content": "每月归集"}
    good |= {"basis": LAW} if kind == "negative" else {"due_on": "2026-12-31"}
    return {name: value for name, value in (good | changes).items() if value is not ...}


async def entered(node: Any, kind: str, organization: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = await node.made(f"/v1/lists/{kind}", body(kind, **changes), node.steward(organization))
    return made


@pytest.mark.parametrize("kind", KEPT)
async def test_an_entry_is_entered_changed_and_its_history_kept(node: Any, is_problem: Any, kind: str) -> None:
    organization = await node.organization()
    made = await entered(node, kind, organization)
    assert (made["kind"], made["version"], made["organization_id"]) == (kind, 1, organization["organization_id"])
    assert made["status"] == ("in_force" if kind == "negative" else "pending")
    path = f"/v1/lists/{kind}/{made['entry_id']}"
    read = await node.client.get(path, headers=node.headers(None))
    assert (read.json(), read.headers["etag"]) == (made, '"1"')
    change = body(kind, content="每周归集")
    for _ in range(2):
        changed = await node.client.put(path, json=change, headers=node.steward(organization) | {"If-Match": '"1", "2"'})
        assert (changed.status_code, changed.json()["version"], changed.headers["etag"]) == (200, 2, '"2"'), changed.text
    late = await node.client.put(path, json=body(kind, content="每年归集"), headers=node.steward(organization) | {"If-Match": '"1"'})
    assert is_problem(late, 412, "list-entry-passed")["version"] == 2
    first = (await node.client.get(f"{path}/versions", params={"limit": 1}, headers=node.headers(None))).json()
    rest = (await node.client.get(f"{path}/versions", params={"cursor": first["next_cursor"]}, headers=node.headers(None))).json()
    history = [(one["version"], one["snapshot"]["content"], one["changed_by"]) for one in first["items"] + rest["items"]]
    assert history == [(1, "每月归集", "test-client"), (2, "每周归集", "test-client")]


async def test_two_stewards_who_change_one_entry_at_once_do_not_overwrite_each_other(node: Any) -> None:
    organization = await node.organization()
    made = await entered(node, "duty", organization)
    path, headers = f"/v1/lists/duty/{made['entry_id']}", node.steward(organization) | {"If-Match": '"1"'}
    answers = await asyncio.gather(
        *(node.client.put(path, json=body("duty", content=f"第{number}稿"), headers=headers) for number in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert (await node.client.get(path, headers=node.headers(None))).json()["version"] == 2


async def test_a_history_is_never_rewritten(node: Any) -> None:
    await entered(node, "duty", await node.organization())
    for statement in ("UPDATE list_entry_version SET version = 7", "DELETE FROM list_entry_version"):
        with pytest.raises(DBAPIError, match="never changed"):
            async with node.sessions.begin() as tx:
                await tx.execute(text(statement))


@pytest.mark.parametrize(
    ("kind", "change", "pointer"),
    [
        ("duty", {"name": ""}, "/name"),
        ("duty", {"name": "名\u200b单"}, "/name"),
        ("duty", {"name": "ＡＢ名单"}, "/name"),
        ("duty", {"name": "单" * 201}, "/name"),
        ("duty", {"content": "a\x00"}, "/content"),
        ("duty", {"status": "finished"}, "/status"),
        ("duty", {"status": "in_force"}, "/status"),
        ("negative", {"status": "done"}, "/status"),
        ("duty", {"due_on": ...}, "/due_on"),
        ("demand", {"due_on": ...}, "/due_on"),
        ("scenario", {"due_on": None}, "/due_on"),
        ("duty", {"due_on": "2026-02-30"}, "/due_on"),
        ("duty", {"due_on": "1999-12-31"}, "/due_on"),
        ("duty", {"due_on": "2100-01-01"}, "/due_on"),
        ("negative", {"basis": ...}, "/basis"),
        ("negative", {"basis": LAW | {"kind": "local_regulation"}}, "/basis/kind"),
        ("negative", {"basis": LAW | {"article": ""}}, "/basis/article"),
        ("negative", {"basis": {"kind": "law", "title": "某法"}}, "/basis/article"),
        ("duty", {"basis": LAW}, "/basis"),
        ("duty", {"forbids": "opening"}, "/forbids"),
        ("negative", {"forbids": "all"}, "/forbids"),
        ("duty", {"status": "done"}, "/resource_id"),
        ("demand", {"status": "done"}, "/resource_id"),
        ("duty", {"resource_id": NOBODY}, "/resource_id"),
        ("duty", {"system_id": NOBODY}, "/system_id"),
        ("demand", {"counterpart_id": NOBODY}, "/counterpart_id"),
        ("duty", {"counterpart_id": NOBODY}, "/counterpart_id"),
        ("duty", {"extra": 1}, "/extra"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(strict_node: Any, is_problem: Any, kind: str, change: dict[str, Any], pointer: str) -> None:
    answer = await strict_node.client.post(
        f"/v1/lists/{kind}", json=body(kind, **change), headers=strict_node.steward(strict_node.organization_made)
    )
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]
    listed = await strict_node.client.get(f"/v1/lists/{kind}", headers=strict_node.headers(None))
    assert listed.json()["items"] == []


async def test_a_demand_does_not_ask_its_own_owner(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    sent = body("demand", counterpart_id=organization["organization_id"])
    answer = await node.client.post("/v1/lists/demand", json=sent, headers=node.steward(organization))
    assert [error["pointer"] for error in is_problem(answer, 422, "list-entry-invalid")["errors"]] == ["/counterpart_id"]
    await entered(node, "demand", organization, counterpart_id=other["organization_id"])


async def test_an_entry_is_done_with_the_resource_that_meets_it_and_refers_to_what_is_in_force_or_its_owners(
    node: Any, is_problem: Any
) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    made = await entered(node, "duty", organization, status="done", resource_id=draft["resource_id"], system_id=system["system_id"])
    assert made["status"] == "done"
    other = await node.organization("另一局")
    foreign = body("demand", resource_id=draft["resource_id"], system_id=system["system_id"])
    answer = await node.client.post("/v1/lists/demand", json=foreign, headers=node.steward(other))
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == ["/resource_id", "/system_id"]
    published = await node.published(organization, system, name="低保对象")
    demand = await entered(node, "demand", other, resource_id=published["resource_id"])
    gone = await node.client.post(
        f"/v1/resources/{published['resource_id']}/withdrawal", json={"reason": "职责调整"}, headers=node.steward(organization)
    )
    assert gone.status_code == 200, gone.text
    path = f"/v1/lists/demand/{demand['entry_id']}"
    kept = await node.client.put(
        path, json=body("demand", resource_id=published["resource_id"], status="cancelled"), headers=node.steward(other)
    )
    assert kept.status_code == 200, "what an entry refers to already may stay"
    again = await node.client.post(
        "/v1/lists/demand", json=body("demand", name="再要", resource_id=published["resource_id"]), headers=node.steward(other)
    )
    is_problem(again, 422, "list-entry-invalid")


async def test_a_name_stands_once_with_an_owner_however_it_is_written(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    made = await entered(node, "scenario", organization, name="一网通办 A")
    answers = await asyncio.gather(
        *(
            node.client.post("/v1/lists/scenario", json=body("scenario", name="一网通办  a"), headers=node.steward(organization))
            for _ in range(3)
        )
    )
    for answer in answers:
        assert is_problem(answer, 409, "list-entry-taken")["entry_id"] == made["entry_id"]
    second = await entered(node, "scenario", organization, name="跨省通办")
    path = f"/v1/lists/scenario/{second['entry_id']}"
    is_problem(
        await node.client.put(path, json=body("scenario", name="一网通办 a"), headers=node.steward(organization)), 409, "list-entry-taken"
    )
    await entered(node, "scenario", other, name="一网通办 A")
    await entered(node, "duty", organization, name="一网通办 A")


async def test_lists_are_kept_by_their_owners_and_the_authority_alone(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    made = await entered(node, "duty", organization)
    path, sent = f"/v1/lists/duty/{made['entry_id']}", body("duty", content="改")
    for headers in (node.headers(organization["organization_id"]), node.headers(None, "auditor", "operator"), node.steward(other)):
        is_problem(await node.client.put(path, json=sent, headers=headers), 403, "forbidden")
    foreign = sent | {"organization_id": organization["organization_id"]}
    is_problem(await node.client.post("/v1/lists/duty", json=foreign, headers=node.steward(other)), 404, "organization-not-found")
    is_problem(await node.client.post("/v1/lists/duty", json=sent, headers=node.headers(other["organization_id"])), 403, "forbidden")
    nameless = is_problem(await node.client.post("/v1/lists/duty", json=sent, headers=node.authority), 422)
    assert [error["pointer"] for error in nameless["errors"]] == ["/organization_id"]
    unknown = sent | {"organization_id": NOBODY}
    is_problem(await node.client.post("/v1/lists/duty", json=unknown, headers=node.authority), 404, "organization-not-found")
    assert (await node.client.put(path, json=sent, headers=node.authority)).status_code == 200
    is_problem(await node.client.get(path), 401)
    for wrong in (f"/v1/lists/demand/{made['entry_id']}", f"/v1/lists/duty/{NOBODY}", f"/v1/lists/duty/{NOBODY}/versions"):
        is_problem(await node.client.get(wrong, headers=node.authority), 404, "list-entry-not-found")
    is_problem(await node.client.put(f"/v1/lists/duty/{NOBODY}", json=sent, headers=node.authority), 404, "list-entry-not-found")
    is_problem(await node.client.get("/v1/lists/secret", headers=node.authority), 422)
    is_problem(await node.client.post("/v1/lists/system", json=sent, headers=node.authority), 422)


async def test_a_list_is_read_page_by_page_and_filtered(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    for number, due_on in enumerate(("2026-01-31", "2026-06-30", "2026-12-31"), 1):
        await entered(node, "duty", organization, name=f"事项{number}", due_on=due_on, status="in_progress" if number == 1 else "pending")
    await entered(node, "duty", other, name="100%归集", due_on="2026-01-31", status="cancelled")
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await node.client.get("/v1/lists/duty", params=query, headers=node.headers(None))).json()
        found += [one["name"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == ["事项1", "事项2", "事项3", "100%归集"]
    for query, expected in (
        ({"organization": other["organization_id"]}, ["100%归集"]),
        ({"status": "in_progress"}, ["事项1"]),
        ({"due_by": "2026-06-30"}, ["事项1", "事项2", "100%归集"]),
        ({"overdue_on": "2026-06-30"}, ["事项1"]),
        ({"q": "%"}, ["100%归集"]),
        ({"resource": NOBODY}, []),
    ):
        page = (await node.client.get("/v1/lists/duty", params=query, headers=node.headers(None))).json()
        assert [one["name"] for one in page["items"]] == expected, query
    for wrong in ({"status": "x"}, {"due_by": "morgen"}, {"cursor": "x"}, {"limit": 0}, {"organization": "x"}, {"q": "a\x00"}):
        is_problem(await node.client.get("/v1/lists/duty", params=wrong, headers=node.headers(None)), 422)


async def test_the_system_and_data_lists_show_what_is_registered_without_keeping_it_twice(node: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("另一局")
    await node.system(other, "另一系统")
    draft = await node.resource(organization, system)

    async def names(path: str, headers: dict[str, str], **query: Any) -> list[tuple[str, Any]]:
        page = (await node.client.get(path, params=query, headers=headers)).json()
        return [(one["name"], one.get("resource_count", one.get("version"))) for one in page["items"]]

    assert await names("/v1/lists/system", node.steward(organization)) == [("婚姻登记系统", 0)]
    assert await names("/v1/lists/system", node.steward(organization), organization=other["organization_id"]) == []
    assert await names("/v1/lists/data", node.steward(organization)) == [("街道办事处名录", 0)]
    assert await names("/v1/lists/data", node.steward(other)) == []
    await node.put_in_force(draft)
    assert await names("/v1/lists/system", node.authority) == [("婚姻登记系统", 1), ("另一系统", 0)]
    assert await names("/v1/lists/system", node.authority, q="另一") == [("另一系统", 0)]
    assert await names("/v1/lists/data", node.steward(other)) == [("街道办事处名录", 1)]
    assert await names("/v1/lists/data", node.steward(other), organization=other["organization_id"]) == []
    assert await names("/v1/lists/data", node.steward(other), q="街道") == [("街道办事处名录", 1)]
    counts = (await node.client.get("/v1/lists", headers=node.headers(None))).json()
    assert {one["kind"]: one["entry_count"] for one in counts} == dict.fromkeys(KEPT, 0) | {"system": 2, "data": 1}
