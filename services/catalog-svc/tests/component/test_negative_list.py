"""The negative list binds: what it forbids is not put in force."""

import asyncio
import json
from typing import Any

import pytest

BASIS = {"kind": "law", "title": "中华人民共和国档案法", "article": "第二十七条"}
UNSHARED = {"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS}
OPENED = {"open_type": "UNCONDITIONAL", "open_theme": "SOCIAL_GOVERNANCE"}


async def listed(node: Any, organization: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body = {"name": "不开放的数据", "basis": BASIS} | changes
    made: dict[str, Any] = await node.made("/v1/lists/negative", body, node.steward(organization))
    return made


async def lifted(node: Any, organization: dict[str, Any], entry: dict[str, Any]) -> None:
    sent = {name: entry[name] for name in ("name", "basis", "forbids", "resource_id", "system_id")} | {"status": "lifted"}
    answer = await node.client.put(f"/v1/lists/negative/{entry['entry_id']}", json=sent, headers=node.steward(organization))
    assert answer.status_code == 200, answer.text


async def step(node: Any, draft: dict[str, Any], what: str, headers: dict[str, str]) -> Any:
    return await node.client.post(f"/v1/resources/{draft['resource_id']}/{what}", json={}, headers=headers)


def opened(good_item: Any) -> dict[str, Any]:
    return OPENED | {"items": [good_item("a", open_type="UNCONDITIONAL")], "key": []}


async def test_what_the_negative_list_forbids_is_not_submitted_nor_published_and_the_entry_is_named(
    node: Any, is_problem: Any, good_item: Any
) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system, **opened(good_item))
    ban = await listed(node, organization, resource_id=draft["resource_id"], forbids="opening")
    assert ban["forbids"] == "opening"
    refused = is_problem(await step(node, draft, "submission", node.steward(organization)), 422, "resource-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/open_type"]
    for named in (ban["entry_id"], ban["name"], BASIS["title"], BASIS["article"], "write CLOSED"):
        assert named in refused["errors"][0]["detail"]
    await lifted(node, organization, ban)
    await node.put_in_force(draft, until="approval")
    await listed(node, organization, name="后来列入", resource_id=draft["resource_id"], forbids="opening")
    refused = is_problem(await step(node, draft, "publish", node.authority), 422, "resource-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/open_type"]
    returned = await node.client.post(f"/v1/resources/{draft['resource_id']}/return", json={"reason": "负面清单"}, headers=node.authority)
    assert returned.status_code == 200
    steps = (await node.client.get(f"/v1/resources/{draft['resource_id']}/steps", headers=node.authority)).json()["items"]
    assert [fault["pointer"] for fault in steps[-1]["faults"]] == ["/open_type"], "the notice of faults names it too"


@pytest.mark.parametrize("by", ["resource", "system", "name"])
async def test_an_entry_binds_a_resource_a_whole_system_or_what_comes_by_its_name(node: Any, is_problem: Any, by: str) -> None:
    organization, system = await node.provider()
    free = await node.resource(organization, await node.system(organization, "另一系统"), name="不受限")
    draft = await node.resource(organization, system, name="档案目录ABC")
    binds = {
        "resource": {"resource_id": draft["resource_id"]},
        "system": {"system_id": system["system_id"]},
        "name": {"name": "档案目录abc"},
    }[by]
    ban = await listed(node, organization, **binds)
    assert ban["forbids"] == "sharing", "what the list said before it knew openings"
    await node.put_in_force(free)
    refused = is_problem(await step(node, draft, "submission", node.steward(organization)), 422)
    assert [error["pointer"] for error in refused["errors"]] == ["/sharing_type"]
    # what is not shared keeps the list, also where the entry is about the whole system
    await node.put_in_force(await node.resource(organization, system, name="档案目录", **UNSHARED))


async def test_an_entry_about_some_items_binds_these_alone(node: Any, is_problem: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    items = [good_item("a"), good_item("b", name="身份证号", open_type="UNCONDITIONAL"), good_item("c", open_type="CLOSED")]
    draft = await node.resource(organization, system, **OPENED | {"items": items, "key": []})
    await listed(node, organization, resource_id=draft["resource_id"], items=["b"], forbids="opening")
    refused = is_problem(await step(node, draft, "submission", node.steward(organization)), 422, "resource-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/items/1/open_type"]
    free = await node.resource(organization, system, name="名录二", **OPENED | {"items": items, "key": []})
    await listed(node, organization, name="另一条", resource_id=free["resource_id"], items=["c"], forbids="opening")
    await node.put_in_force(free)
    report = (await node.client.get("/v1/reports/negative-list", headers=node.authority)).json()
    assert [(row["entry_name"], row["is_breached"]) for row in report["rows"] if row["resource_id"]] == [("另一条", False)]
    await listed(node, organization, name="第三条", resource_id=free["resource_id"], items=["b"], forbids="opening")
    report = (await node.client.get("/v1/reports/negative-list", headers=node.authority)).json()
    assert [row["entry_name"] for row in report["rows"] if row["is_breached"]] == ["第三条"]


async def test_a_department_binds_nobody_but_itself(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("另一局")
    made = await node.published(organization, system)
    sent = {"name": "别人的数据", "basis": BASIS, "resource_id": made["resource_id"]}
    refused = is_problem(await node.client.post("/v1/lists/negative", json=sent, headers=node.steward(other)), 422, "list-entry-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/resource_id"]
    await listed(node, other, name="名录二")
    await node.published(organization, system, name="名录二")


async def test_an_import_of_many_is_bound_by_the_negative_list_as_single_entries_are(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    await listed(node, organization, name="名录二")
    lines = [json.dumps(good_entry(system, name=name)) for name in ("名录一", "名录二")]
    headers = node.steward(organization) | {"Content-Type": "application/x-ndjson"}
    answer = await node.client.post("/v1/resources/import", params={"until": "submitted"}, content="\n".join(lines), headers=headers)
    assert answer.status_code == 200, answer.text
    told = [(one["name"], one["outcome"], [error["pointer"] for error in one["errors"]]) for one in answer.json()["rows"]]
    assert told == [("名录一", "entered", []), ("名录二", "refused", ["/sharing_type"])]


async def test_a_publication_and_a_ban_at_once_never_leave_a_banned_resource_unreported(node: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    draft = await node.resource(organization, system, **opened(good_item))
    await node.put_in_force(draft, until="approval")
    published, _ = await asyncio.gather(
        step(node, draft, "publish", node.authority),
        listed(node, organization, resource_id=draft["resource_id"], forbids="opening"),
    )
    found = (await node.client.get("/v1/reports/negative-list", headers=node.headers(None))).json()
    assert found["summary"]["breaching_resource_count"] == (1 if published.status_code == 200 else 0)


async def test_the_report_of_the_negative_list_names_what_breaks_it_and_what_binds_nothing(node: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system, **opened(good_item))
    kept = await node.published(organization, system, name="档案", **UNSHARED)
    await listed(node, organization, name="禁开", resource_id=made["resource_id"], forbids="opening")
    await listed(node, organization, name="档案", due_on="2026-12-31")
    await listed(node, organization, name="还没有的数据")
    done = await listed(node, organization, name="解除的", resource_id=made["resource_id"])
    await lifted(node, organization, done)
    found = (await node.client.get("/v1/reports/negative-list", headers=node.headers(None))).json()
    assert found["summary"] == {"entry_count": 3, "unbound_entry_count": 1, "breaching_resource_count": 1}
    rows = [(row["entry_name"], row["resource_id"], row["is_breached"]) for row in found["rows"]]
    assert rows[0] == ("禁开", made["resource_id"], True)
    assert sorted(rows[1:]) == sorted([("档案", kept["resource_id"], False), ("还没有的数据", None, False)], key=str)
    assert (await node.client.get("/v1/reports/non-sharing", headers=node.authority)).json()["summary"]["not_on_negative_list_count"] == 0
