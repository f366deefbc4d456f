"""Base databases (B01), domain warehouses and theme databases (B02), and where derived resources come from."""

import asyncio
from typing import Any

import pytest

NOBODY = "00000000-0000-0000-0000-000000000000"
SHIPPED = {
    "base-population": "人口库",
    "base-legal-entity": "法人库",
    "base-geo": "空间地理库",
    "base-credit": "信用库",
    "base-e-licence": "电子证照库",
    "base-real-estate": "不动产库",
    "base-social-security": "社保库",
    "base-archives": "档案库",
}


async def add(node: Any, code: str, **changes: Any) -> dict[str, Any]:
    return await node.made("/v1/taxonomies", {"code": code, "name": f"库 {code}", "kind": "theme"} | changes, node.authority)


async def change(node: Any, entry: dict[str, Any], **changes: Any) -> Any:
    kept = ("name", "description", "lead_organization_id", "parent_id")
    body = {name: entry[name] for name in kept} | changes
    return await node.client.put(f"/v1/taxonomies/{entry['taxonomy_id']}", json=body, headers=node.authority)


async def retire(node: Any, entry: dict[str, Any], reason: str = "不再使用") -> Any:
    path = f"/v1/taxonomies/{entry['taxonomy_id']}/retirement"
    return await node.client.post(path, json={"reason": reason}, headers=node.authority)


async def delete(node: Any, entry: dict[str, Any]) -> Any:
    return await node.client.delete(f"/v1/taxonomies/{entry['taxonomy_id']}", headers=node.authority)


async def listed(node: Any, **query: Any) -> list[dict[str, Any]]:
    answer = await node.client.get("/v1/taxonomies", params=query, headers=node.headers(None))
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def derive(node: Any, resource: dict[str, Any], *sources: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    path = f"/v1/resources/{resource['resource_id']}/lineage"
    return await node.client.put(path, json={"sources": list(sources)}, headers=headers or node.authority)


async def resources(node: Any, *names: str) -> list[dict[str, Any]]:
    organization, system = await node.provider()
    return [await node.published(organization, system, name=name) for name in names]


def of(resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resource_id": resource["resource_id"]} | more


async def test_a_node_begins_with_eight_base_databases_that_its_authority_may_change(node: Any) -> None:
    shipped = await listed(node, kind="base")
    assert {one["code"]: one["name"] for one in shipped} == SHIPPED
    lead = await node.organization("公安局")
    population = next(one for one in shipped if one["code"] == "base-population")
    changed = await change(node, population, name="自然人信息基础库", lead_organization_id=lead["organization_id"])
    assert changed.status_code == 200, changed.text
    assert (changed.json()["code"], changed.json()["lead_organization_id"]) == ("base-population", lead["organization_id"])
    assert (await delete(node, next(one for one in shipped if one["code"] == "base-archives"))).status_code == 204
    await add(node, "base-housing", kind="base", name="房屋库")
    assert {one["code"] for one in await listed(node, kind="base")} == set(SHIPPED) - {"base-archives"} | {"base-housing"}


async def test_domain_warehouses_and_theme_databases_stand_in_trees(node: Any) -> None:
    lead = await node.organization("大数据局")
    top = await add(node, "T1", name="社会治理", description="综合", lead_organization_id=lead["organization_id"])
    under = await add(node, "T1.1", name="网格", parent_id=top["taxonomy_id"])
    warehouse = await add(node, "D1", kind="domain", name="社会治理")
    assert warehouse["kind"] == "domain"
    assert (await listed(node, parent=top["taxonomy_id"])) == [under]
    assert (await listed(node, lead=lead["organization_id"])) == [top]
    assert (await listed(node, q="网")) == [under]
    assert [one["code"] for one in await listed(node, kind="theme")] == ["T1", "T1.1"]
    read = await node.client.get(f"/v1/taxonomies/{under['taxonomy_id']}", headers=node.headers(None))
    assert read.json() == under
    first = (await node.client.get("/v1/taxonomies", params={"limit": 9}, headers=node.headers(None))).json()
    rest = await listed(node, cursor=first["next_cursor"])
    assert [one["code"] for one in first["items"] + rest] == [*sorted(SHIPPED), "D1", "T1", "T1.1"]


async def test_a_code_is_given_once_also_after_retirement_and_in_either_case(node: Any, is_problem: Any) -> None:
    made = await add(node, "T1")
    body = {"code": "t1", "name": "另一库", "kind": "domain"}
    refused = is_problem(await node.client.post("/v1/taxonomies", json=body, headers=node.authority), 409, "taxonomy-code-taken")
    assert refused["taxonomy_id"] == made["taxonomy_id"]
    assert (await retire(node, made)).status_code == 200
    refused = is_problem(await node.client.post("/v1/taxonomies", json=body, headers=node.authority), 409, "taxonomy-code-taken")
    assert "was the code" in refused["detail"]


async def test_of_two_that_take_a_code_at_once_one_gets_it(node: Any) -> None:
    bodies = [{"code": "T1", "name": f"库{number}", "kind": "theme"} for number in "一二三四"]
    answers = await asyncio.gather(*(node.client.post("/v1/taxonomies", json=body, headers=node.authority) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_name_is_used_once_in_a_kind_until_it_is_retired(node: Any, is_problem: Any) -> None:
    made = await add(node, "T1", name="社会 治理")
    body = {"code": "T2", "name": "社会  治理", "kind": "theme"}
    refused = is_problem(await node.client.post("/v1/taxonomies", json=body, headers=node.authority), 409, "taxonomy-name-taken")
    assert refused["taxonomy_id"] == made["taxonomy_id"]
    other = await add(node, "T3", name="别的")
    is_problem(await change(node, other, name="社会 治理"), 409, "taxonomy-name-taken")
    assert (await change(node, made, name="社会  治理")).status_code == 200, "its own name in another way of writing"
    assert (await retire(node, made)).status_code == 200
    await node.made("/v1/taxonomies", body, node.authority)


async def test_a_loop_is_refused_and_shown(node: Any, is_problem: Any) -> None:
    first = await add(node, "A")
    second = await add(node, "B", parent_id=first["taxonomy_id"])
    third = await add(node, "C", parent_id=second["taxonomy_id"])
    for parent, path in ((first, "A"), (second, "A → B"), (third, "A → B → C")):
        refused = is_problem(await change(node, first, parent_id=parent["taxonomy_id"]), 422, "taxonomy-invalid")
        assert [error["pointer"] for error in refused["errors"]] == ["/parent_id"]
        assert f"({path})" in refused["detail"]
    assert (await change(node, third, parent_id=first["taxonomy_id"])).status_code == 200
    assert (await change(node, second, parent_id=None)).status_code == 200
    assert (await change(node, first, parent_id=second["taxonomy_id"])).status_code == 200


async def test_two_moves_at_once_never_close_a_loop(node: Any) -> None:
    first, second = await add(node, "A"), await add(node, "B")
    answers = await asyncio.gather(
        change(node, first, parent_id=second["taxonomy_id"]), change(node, second, parent_id=first["taxonomy_id"])
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_a_tree_has_a_greatest_depth_also_when_a_branch_is_moved(node: Any, is_problem: Any) -> None:
    above = await add(node, "N1")
    top = above
    for number in range(2, 9):
        above = await add(node, f"N{number}", parent_id=above["taxonomy_id"])
    body = {"code": "N9", "name": "太深", "kind": "theme", "parent_id": above["taxonomy_id"]}
    refused = is_problem(await node.client.post("/v1/taxonomies", json=body, headers=node.authority), 422, "taxonomy-invalid")
    assert "at most 8" in refused["detail"]
    root = await add(node, "ROOT")
    is_problem(await change(node, top, parent_id=root["taxonomy_id"]), 422, "taxonomy-invalid")


@pytest.mark.parametrize(
    ("change_", "pointer"),
    [
        ({"code": ""}, "/code"),
        ({"code": "有汉字"}, "/code"),
        ({"code": "Ａ1"}, "/code"),
        ({"code": "a b"}, "/code"),
        ({"code": "a."}, "/code"),
        ({"code": "a\n"}, "/code"),
        ({"code": "x" * 33}, "/code"),
        ({"code": 5}, "/code"),
        ({"name": ""}, "/name"),
        ({"name": "库\u200b"}, "/name"),
        ({"name": "库１"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"kind": "department"}, "/kind"),
        ({"kind": None}, "/kind"),
        ({"description": "a\u0000"}, "/description"),
        ({"description": "x" * 4001}, "/description"),
        ({"lead_organization_id": "x"}, "/lead_organization_id"),
        ({"lead_organization_id": NOBODY}, "/lead_organization_id"),
        ({"parent_id": NOBODY}, "/parent_id"),
        ({"parent_id": 1}, "/parent_id"),
        ({"children": []}, "/children"),
    ],
)
async def test_a_wrong_entry_is_refused_by_name(strict_node: Any, is_problem: Any, change_: dict[str, Any], pointer: str) -> None:
    body = {"code": "T9", "name": "库", "kind": "theme"} | change_
    answer = await strict_node.client.post("/v1/taxonomies", json=body, headers=strict_node.authority)
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]
    assert len(await listed(strict_node, retired=True)) == len(SHIPPED)


async def test_a_parent_is_in_use_and_of_the_same_kind(node: Any, is_problem: Any) -> None:
    domain = await add(node, "D1", kind="domain")
    gone = await add(node, "T1")
    await retire(node, gone)
    for parent in (domain, gone):
        body = {"code": "T2", "name": "库", "kind": "theme", "parent_id": parent["taxonomy_id"]}
        refused = is_problem(await node.client.post("/v1/taxonomies", json=body, headers=node.authority), 422, "taxonomy-invalid")
        assert [error["pointer"] for error in refused["errors"]] == ["/parent_id"]


async def test_what_is_used_is_retired_and_not_deleted(node: Any, is_problem: Any) -> None:
    (resource,) = await resources(node, "名录")
    top = await add(node, "T1")
    under = await add(node, "T1.1", parent_id=top["taxonomy_id"])
    assert (await derive(node, resource, {"taxonomy_id": under["taxonomy_id"]})).status_code == 200
    refused = is_problem(await delete(node, under), 409, "taxonomy-used")
    assert refused["used_by"] == [{"resource_id": resource["resource_id"]}]
    assert f"/v1/taxonomies/{under['taxonomy_id']}/retirement" in refused["detail"]
    assert [one["code"] for one in is_problem(await delete(node, top), 409, "taxonomy-used")["used_by"]] == ["T1.1"]
    assert [one["code"] for one in is_problem(await retire(node, top), 409, "taxonomy-used")["used_by"]] == ["T1.1"]
    retired = await retire(node, under, reason="并入社会治理")
    assert retired.json() == under | {
        "retired_at": retired.json()["retired_at"],
        "changed_at": retired.json()["retired_at"],
        "retired_by": "test-client",
        "retirement_reason": "并入社会治理",
    }
    is_problem(await retire(node, under), 409, "taxonomy-retired")
    is_problem(await change(node, under, name="新名"), 409, "taxonomy-retired")
    is_problem(await delete(node, top), 409, "taxonomy-used")
    assert (await retire(node, top)).status_code == 200
    assert await listed(node, kind="theme") == []
    assert [one["code"] for one in await listed(node, kind="theme", retired=True)] == ["T1", "T1.1"]
    unused = await add(node, "T2")
    assert (await delete(node, unused)).status_code == 204
    is_problem(await delete(node, unused), 404, "taxonomy-not-found")
    await add(node, "T2")


async def test_taxonomies_are_kept_by_the_authority(node: Any, is_problem: Any) -> None:
    entry = await add(node, "T1")
    path = f"/v1/taxonomies/{entry['taxonomy_id']}"
    body = {"code": "T2", "name": "库", "kind": "theme"}
    for headers in (node.headers(NOBODY, "steward"), node.headers(NOBODY, "cdo"), node.headers(None, "operator", "auditor")):
        is_problem(await node.client.post("/v1/taxonomies", json=body, headers=headers), 403, "forbidden")
        is_problem(await node.client.put(path, json={"name": "x"}, headers=headers), 403, "forbidden")
        is_problem(await node.client.post(f"{path}/retirement", json={"reason": "x"}, headers=headers), 403, "forbidden")
        is_problem(await node.client.delete(path, headers=headers), 403, "forbidden")
    is_problem(await node.client.get("/v1/taxonomies"), 401, "unauthenticated")
    missing = {"taxonomy_id": NOBODY, "name": "x", "description": None, "lead_organization_id": None, "parent_id": None}
    for answer in (await change(node, missing), await retire(node, missing), await delete(node, missing)):
        is_problem(answer, 404, "taxonomy-not-found")
    for body in ({}, {"reason": ""}, {"reason": "a\u0000"}, {"reason": "x", "extra": 1}):
        is_problem(await node.client.post(f"{path}/retirement", json=body, headers=node.authority), 422)
    for query in ({"kind": "x"}, {"cursor": "\x00"}, {"q": "a\x00"}, {"parent": "x"}, {"limit": 0}):
        is_problem(await node.client.get("/v1/taxonomies", params=query, headers=node.authority), 422)


async def test_lineage_shows_what_a_resource_comes_from_and_what_comes_from_it(node: Any) -> None:
    base, middle, top, other = await resources(node, "人口基础信息", "常住人口", "老龄人口专题", "街道名录")
    population = (await listed(node, q="base-population"))[0]
    assert (await derive(node, middle, of(base, note="按居住地筛选"), {"taxonomy_id": population["taxonomy_id"]})).status_code == 200
    answer = await derive(node, top, of(middle), of(other))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["is_complete"], found["downstream"]) == (True, [])
    assert [(one["resource_name"], one["source_name"], one["distance"], one["note"]) for one in found["upstream"]] == [
        ("老龄人口专题", "常住人口", 1, None),
        ("老龄人口专题", "街道名录", 1, None),
        ("常住人口", "人口基础信息", 2, "按居住地筛选"),
        ("常住人口", "人口库", 2, None),
    ]
    read = (await node.client.get(f"/v1/resources/{base['resource_id']}/lineage", headers=node.headers(None))).json()
    assert read["upstream"] == []
    assert [(one["resource_name"], one["distance"]) for one in read["downstream"]] == [("常住人口", 1), ("老龄人口专题", 2)]
    path = f"/v1/taxonomies/{population['taxonomy_id']}/lineage"
    read = (await node.client.get(path, headers=node.headers(None))).json()
    assert [(one["resource_name"], one["source_name"], one["distance"]) for one in read["downstream"]] == [
        ("常住人口", "人口库", 1),
        ("老龄人口专题", "常住人口", 2),
    ]
    assert (await derive(node, top, of(other))).json()["upstream"][0]["source_name"] == "街道名录"
    assert (await derive(node, top)).json()["upstream"] == []


async def test_a_resource_reached_in_two_ways_is_shown_at_its_nearest(node: Any) -> None:
    base, left, right, top = await resources(node, "甲", "乙", "丙", "丁")
    for resource, sources in ((left, [base]), (right, [base, left]), (top, [left, right, base])):
        assert (await derive(node, resource, *map(of, sources))).status_code == 200
    read = (await node.client.get(f"/v1/resources/{top['resource_id']}/lineage", headers=node.headers(None))).json()
    assert sorted((one["resource_name"], one["source_name"], one["distance"]) for one in read["upstream"]) == sorted(
        [("丁", "乙", 1), ("丁", "丙", 1), ("丁", "甲", 1), ("乙", "甲", 2), ("丙", "甲", 2), ("丙", "乙", 2)]
    )


async def test_lineage_that_leads_back_is_refused_with_the_way_round(node: Any, is_problem: Any) -> None:
    first, second, third = await resources(node, "甲", "乙", "丙")
    itself = is_problem(await derive(node, first, of(first)), 422, "lineage-loop")
    assert itself["path"] == [first["resource_id"]] * 2
    assert (await derive(node, second, of(first))).status_code == 200
    assert (await derive(node, third, of(second))).status_code == 200
    refused = is_problem(await derive(node, first, {"taxonomy_id": (await listed(node))[0]["taxonomy_id"]}, of(third)), 422, "lineage-loop")
    assert refused["path"] == [one["resource_id"] for one in (first, third, second, first)]
    assert [error["pointer"] for error in refused["errors"]] == ["/sources/1"]
    read = (await node.client.get(f"/v1/resources/{first['resource_id']}/lineage", headers=node.headers(None))).json()
    assert read["upstream"] == [], "nothing half-written"


async def test_two_at_once_never_close_a_loop_of_lineage(node: Any) -> None:
    first, second = await resources(node, "甲", "乙")
    answers = await asyncio.gather(derive(node, first, of(second)), derive(node, second, of(first)))
    assert sorted(answer.status_code for answer in answers) == [200, 422]


@pytest.mark.parametrize(
    ("sources", "pointer"),
    [
        (None, "/sources"),
        ("x", "/sources"),
        ([{}], "/sources/0"),
        ([{"resource_id": NOBODY, "taxonomy_id": NOBODY}], "/sources/0"),
        ([{"resource_id": NOBODY}], "/sources/0/resource_id"),
        ([{"taxonomy_id": NOBODY}], "/sources/0/taxonomy_id"),
        ([{"resource_id": "x"}], "/sources/0/resource_id"),
        ([{"resource_id": NOBODY}, {"resource_id": NOBODY}], "/sources/1"),
        ([{"resource_id": NOBODY, "note": "a\u0000"}], "/sources/0/note"),
        ([{"resource_id": NOBODY, "extra": 1}], "/sources/0/extra"),
        ([{"resource_id": NOBODY}] * 101, "/sources"),
    ],
)
async def test_a_wrong_source_is_refused_by_its_place(strict_node: Any, is_problem: Any, sources: Any, pointer: str) -> None:
    known = (await strict_node.client.get("/v1/resources", headers=strict_node.authority)).json()["items"]
    resource = known[0] if known else await strict_node.published(strict_node.organization_made, strict_node.system_made)
    path = f"/v1/resources/{resource['resource_id']}/lineage"
    answer = await strict_node.client.put(path, json={"sources": sources}, headers=strict_node.authority)
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == [pointer]


async def test_what_is_withdrawn_or_retired_stays_a_source_and_becomes_none_anew(node: Any, is_problem: Any) -> None:
    source, derived, other = await resources(node, "甲", "乙", "丙")
    entry = await add(node, "T1")
    both = (of(source), {"taxonomy_id": entry["taxonomy_id"]})
    assert (await derive(node, derived, *both)).status_code == 200
    path = f"/v1/resources/{source['resource_id']}/withdrawal"
    assert (await node.client.post(path, json={"reason": "停"}, headers=node.authority)).status_code == 200
    await retire(node, entry)
    assert (await derive(node, derived, *both)).status_code == 200
    refused = is_problem(await derive(node, other, *both), 422, "lineage-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/sources/0/resource_id", "/sources/1/taxonomy_id"]
    is_problem(await derive(node, source, of(other)), 409, "illegal-transition")


async def test_lineage_is_kept_by_the_provider_and_shows_no_drafts_of_others(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    base = await node.published(organization, system, name="基础")
    draft = await node.resource(organization, system, name="草稿")
    other = await node.organization("乙局")
    theirs = await node.published(other, await node.system(other), name="他方")
    steward, foreign = node.steward(organization), node.steward(other)
    assert (await derive(node, draft, of(base), headers=steward)).status_code == 200
    is_problem(await derive(node, base, of(theirs), headers=foreign), 403, "forbidden")
    is_problem(await derive(node, base, of(theirs), headers=node.headers(organization["organization_id"], "auditor")), 403, "forbidden")
    is_problem(await derive(node, draft, of(theirs), headers=foreign), 404, "resource-not-found")
    refused = is_problem(await derive(node, theirs, of(draft), headers=foreign), 422, "lineage-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/sources/0/resource_id"]
    path = f"/v1/resources/{base['resource_id']}/lineage"
    for headers, names in ((steward, ["草稿"]), (node.authority, ["草稿"]), (foreign, []), (node.headers(None), [])):
        read = (await node.client.get(path, headers=headers)).json()
        assert [one["resource_name"] for one in read["downstream"]] == names
    is_problem(await node.client.get(f"/v1/resources/{draft['resource_id']}/lineage", headers=foreign), 404, "resource-not-found")
    is_problem(await node.client.get(f"/v1/taxonomies/{NOBODY}/lineage", headers=foreign), 404, "taxonomy-not-found")
    is_problem(await node.client.get(path), 401, "unauthenticated")
