"""The lists speak: each change of an entry is told with all of it, and scenarios are approved before they authorize."""

from typing import Any
from uuid import UUID

from catalog_svc.sharing_list import consumers as lists
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import OrganizationKind
from dxmesh_schemas.catalog_attributes import BasisKind, UsePurpose
from dxmesh_schemas.catalog_events import ResourcePublished
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEnded, ListEntryEntered, ListEntryEvent

LAW = {"kind": "law", "title": "中华人民共和国个人信息保护法", "article": "第二十八条"}
TERMS: dict[str, Any] = {
    "purposes": ["ADMINISTRATIVE_BASIS"],
    "requesters": {"kinds": ["department"]},
    "data": [{"class_prefix": "3"}],
    "valid_from": "2026-01-01",
    "valid_until": "2099-12-31",
}


async def told(node: Any) -> list[ListEntryEvent]:
    return [event for event in await node.events() if isinstance(event, ListEntryEvent)]


async def changed(node: Any, entry: dict[str, Any], headers: dict[str, str], **changes: Any) -> Any:
    sent = {name: entry[name] for name in ("name", "content", "due_on", "status", "resource_id", "items", "scenario")} | changes
    answer = await node.client.put(f"/v1/lists/{entry['kind']}/{entry['entry_id']}", json=sent, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def scenario(node: Any, organization: dict[str, Any], **changes: Any) -> Any:
    body = {"name": "老年人优待证", "due_on": "2099-12-31", "scenario": TERMS | changes}
    return await node.made("/v1/lists/scenario", body, node.steward(organization))


async def test_each_change_of_an_entry_is_told_once_with_all_of_it(node: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system)
    code = draft["items"][0]["code"] if "items" in draft else "code"
    body = {
        "name": "名录",
        "content": "说明",
        "basis": LAW,
        "resource_id": draft["resource_id"],
        "forbids": "opening",
        "due_on": "2027-12-31",
    }
    made = await node.made("/v1/lists/negative", body | {"items": [code]}, node.steward(organization))
    sent = body | {"items": [code], "content": "新说明"}
    path, steward = f"/v1/lists/negative/{made['entry_id']}", node.steward(organization)
    for _ in range(2):
        assert (await node.client.put(path, json=sent, headers=steward)).status_code == 200
    assert (await node.client.put(path, json=sent | {"status": "lifted"}, headers=steward)).status_code == 200
    assert (await node.client.put(path, json=sent | {"status": "lifted", "content": ""}, headers=steward)).status_code == 200
    assert (await node.client.put(path, json=sent, headers=steward)).status_code == 200
    events = await told(node)
    assert [(type(event), event.revision, event.status, event.content) for event in events] == [
        (ListEntryEntered, 1, "in_force", "说明"),
        (ListEntryChanged, 2, "in_force", "新说明"),
        (ListEntryEnded, 3, "lifted", "新说明"),
        (ListEntryChanged, 4, "lifted", ""),
        (ListEntryChanged, 5, "in_force", "新说明"),
    ]
    first = events[0]
    assert (str(first.entry_id), first.kind, first.forbids, first.items) == (made["entry_id"], "negative", "opening", (code,))
    assert (str(first.owner.organization_id), first.owner.name) == (organization["organization_id"], organization["name"])
    assert (str(first.resource_id), str(first.due_on), first.changed_by) == (draft["resource_id"], "2027-12-31", "test-client")
    assert first.basis is not None
    assert (first.basis.kind, first.basis.article) == (BasisKind.LAW, "第二十八条")


async def test_a_refused_entry_is_not_told(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    is_problem(await node.client.post("/v1/lists/duty", json={"name": "无期限"}, headers=node.steward(organization)), 422)
    assert await told(node) == []


async def test_what_meets_a_demand_is_told_with_whom_it_asked(node: Any) -> None:
    organization, system = await node.provider()
    asking = await node.organization("另一局")
    body = {"name": "街道办事处名录", "due_on": "2099-12-31", "counterpart_id": organization["organization_id"]}
    await node.made("/v1/lists/demand", body, node.steward(asking))
    made = await node.published(organization, system)
    [event] = [event for event in await node.events() if isinstance(event, ResourcePublished)]
    await deliver(node.sessions, lists.HANDLERS, event)
    entered, answered = await told(node)
    assert entered.counterpart is not None
    assert (entered.counterpart.name, entered.resource_id) == (organization["name"], None)
    assert (type(answered), answered.status, answered.resource_id) == (ListEntryChanged, "in_progress", UUID(made["resource_id"]))


async def test_an_import_tells_of_each_row_it_wrote_and_leaves_what_a_file_does_not_say(node: Any) -> None:
    organization = await node.organization()
    steward = node.steward(organization)
    made = await scenario(node, organization)
    assert (await approval(node, made, node.authority)).status_code == 200
    uscc = organization["uscc"]
    lines = [
        "责任部门统一社会信用代码,名称,内容,状态,完成期限",
        f"{uscc},老年人优待证,,进行中,2099-12-31",
        f"{uscc},高龄补贴,,已取消,2099-12-31",
    ]
    headers = steward | {"Content-Type": "text/csv"}
    for _ in range(2):
        answer = await node.client.post("/v1/lists/scenario/import", content="\n".join(lines).encode(), headers=headers)
        assert answer.status_code == 200, answer.text
    events = (await told(node))[2:]
    assert sorted((type(event).__name__, event.name, event.revision, event.status) for event in events) == [
        ("ListEntryChanged", "老年人优待证", 3, "in_progress"),
        ("ListEntryEntered", "高龄补贴", 1, "cancelled"),
    ]
    kept = next(event for event in events if event.name == "老年人优待证")
    assert kept.scenario is not None
    assert (kept.scenario.purposes, len(kept.approvals)) == ((UsePurpose.ADMINISTRATIVE_BASIS,), 1)


async def approval(node: Any, entry: dict[str, Any], headers: dict[str, str], method: str = "PUT") -> Any:
    return await node.client.request(method, f"/v1/lists/scenario/{entry['entry_id']}/approval", headers=headers)


async def test_a_scenario_is_approved_by_the_authority_and_by_providers_until_it_says_something_else(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    asking = await node.organization("另一局")
    resource = await node.published(organization, system)
    made = await scenario(node, asking, data=[{"resource_id": resource["resource_id"]}])
    for headers in (node.authority, node.cdo(organization), node.authority):
        answer = await approval(node, made, headers)
        assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == 3, "approved twice is approved once"
    event = (await told(node))[-1]
    assert [(one.role, one.organization_id and str(one.organization_id)) for one in event.approvals] == [
        ("authority", None),
        ("provider", organization["organization_id"]),
    ]
    assert event.scenario is not None
    assert event.scenario.requesters.kinds == (OrganizationKind.DEPARTMENT,)
    assert event.approvals[0].approved_at <= utc_now()
    is_problem(await approval(node, made, node.cdo(asking)), 403, "forbidden")
    is_problem(await approval(node, made, node.steward(asking)), 403, "forbidden")
    kept = await changed(node, made, node.steward(asking), status="in_progress")
    assert len(kept["approvals"]) == 2, "how far it is changes nothing of what was approved"
    taken_back = (await approval(node, made, node.cdo(organization), "DELETE")).json()
    assert [one["role"] for one in taken_back["approvals"]] == ["authority"]
    late = await node.client.put(f"/v1/lists/scenario/{made['entry_id']}/approval", headers=node.cdo(organization) | {"If-Match": '"1"'})
    is_problem(late, 412, "list-entry-passed")
    wider = await changed(node, made, node.steward(asking), scenario=TERMS)
    assert wider["approvals"] == []
    assert (await told(node))[-1].approvals == ()


async def test_what_a_scenario_leaves_of_a_request_is_told_and_is_approved_with_it(node: Any) -> None:
    organization = await node.organization()
    narrow = {"masks": [{"item": "name", "mask": "drop"}], "where": [{"item": "area", "op": "prefix", "values": ["3306"]}]}
    made = await scenario(node, organization, terms=narrow)
    await approval(node, made, node.authority)
    [event] = (await told(node))[-1:]
    assert event.scenario is not None
    assert event.scenario.terms is not None
    assert [one.item for one in (*(event.scenario.terms.masks or ()), *event.scenario.terms.where)] == ["name", "area"]
    assert len((await changed(node, made, node.steward(organization), status="in_progress"))["approvals"]) == 1
    wider = await changed(node, made, node.steward(organization), scenario=TERMS)
    assert (wider["approvals"], "terms" in wider["scenario"] and wider["scenario"]["terms"]) == ([], None)
    sent = {"name": "错的", "due_on": "2099-12-31", "scenario": TERMS | {"terms": {"masks": [{"item": "name", "mask": "show"}]}}}
    assert (await node.client.post("/v1/lists/scenario", json=sent, headers=node.steward(organization))).status_code == 422


async def test_what_says_no_terms_or_is_over_is_not_approved(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    bare = await node.made("/v1/lists/scenario", {"name": "高龄补贴", "due_on": "2099-12-31"}, node.steward(organization))
    is_problem(await approval(node, bare, node.authority), 409, "scenario-not-approvable")
    over = await scenario(node, organization, valid_until="2026-01-31")
    is_problem(await approval(node, over, node.authority), 409, "scenario-not-approvable")
    ended = await changed(node, over, node.steward(organization), scenario=TERMS, status="done")
    is_problem(await approval(node, ended, node.authority), 409, "scenario-not-approvable")


async def test_wrong_terms_and_items_are_refused_by_name(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    resource = (await node.published(organization, system))["resource_id"]
    nobody = "00000000-0000-0000-0000-000000000000"
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("scenario", {"scenario": TERMS | {"purposes": []}}, "/scenario/purposes"),
        ("scenario", {"scenario": TERMS | {"requesters": {}}}, "/scenario/requesters"),
        ("scenario", {"scenario": TERMS | {"requesters": {"organization_ids": [nobody]}}}, "/scenario/requesters/organization_ids/0"),
        ("scenario", {"scenario": TERMS | {"data": [{}]}}, "/scenario/data/0"),
        ("scenario", {"scenario": TERMS | {"data": [{"class_prefix": "3", "items": ["a"]}]}}, "/scenario/data/0/items"),
        ("scenario", {"scenario": TERMS | {"data": [{"resource_id": nobody}]}}, "/scenario/data/0/resource_id"),
        ("scenario", {"scenario": TERMS | {"data": [{"resource_id": resource, "items": ["nothing"]}]}}, "/scenario/data/0/items"),
        ("scenario", {"scenario": TERMS | {"valid_until": "2025-12-31"}}, "/scenario/valid_until"),
        ("duty", {"scenario": TERMS}, "/scenario"),
        ("duty", {"resource_id": resource, "items": ["a"]}, "/items"),
        ("demand", {"items": ["a"]}, "/items"),
        ("demand", {"resource_id": resource, "items": ["nothing"]}, "/items"),
    ]
    for kind, change, pointer in wrong:
        sent = {"name": "错的", "due_on": "2099-12-31"} | change
        answer = await node.client.post(f"/v1/lists/{kind}", json=sent, headers=node.steward(organization))
        refused = is_problem(answer, 422, "list-entry-invalid")
        assert [error["pointer"] for error in refused["errors"]] == [pointer], change
    assert await told(node) == []
