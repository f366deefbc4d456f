"""What base databases, domain warehouses and theme databases hold (B01, B02), and whether derived data lead back to base data."""

import asyncio
import csv
import io
import json
import time
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.mount.consumers import HANDLERS
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import ResourceChanged, ResourcePublished
from dxmesh_schemas.exchange import BatchAccepted, BatchKind, ObjectRef

POPULATION, CREDIT = "base-population", "base-credit"
PATIENCE_SECONDS = 20.0


async def add(node: Any, code: str, **changes: Any) -> dict[str, Any]:
    return await node.made("/v1/taxonomies", {"code": code, "name": f"库 {code}", "kind": "theme"} | changes, node.authority)


async def retire(node: Any, taxonomy: dict[str, Any]) -> None:
    path = f"/v1/taxonomies/{taxonomy['taxonomy_id']}/retirement"
    assert (await node.client.post(path, json={"reason": "并入他库"}, headers=node.authority)).status_code == 200


async def delete(node: Any, taxonomy: dict[str, Any]) -> Any:
    return await node.client.delete(f"/v1/taxonomies/{taxonomy['taxonomy_id']}", headers=node.authority)


async def shipped(node: Any, code: str) -> dict[str, Any]:
    found = (await node.client.get("/v1/taxonomies", params={"q": code}, headers=node.authority)).json()["items"]
    return next(one for one in found if one["code"] == code)


async def replace(node: Any, made: dict[str, Any], body: dict[str, Any]) -> Any:
    return await node.client.put(f"/v1/resources/{made['resource_id']}", json=body, headers=node.steward(made["provider"]))


async def report(node: Any, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    answer = await node.client.get(f"/v1/reports/{name}", headers=node.headers(None, "auditor"))
    assert answer.status_code == 200, answer.text
    return answer.json()["summary"], answer.json()["rows"]


async def test_what_a_resource_belongs_to_is_in_its_entry_its_versions_and_its_events(node: Any, good_entry: Any) -> None:
    await add(node, "T1")
    organization, system = await node.provider()
    made = await node.published(organization, system, taxonomies=[POPULATION, "T1"])
    assert made["taxonomies"] == [POPULATION, "T1"]
    changed = await replace(node, made, good_entry(system, taxonomies=[POPULATION]))
    assert changed.status_code == 200, changed.text
    await node.put_in_force(changed.json())
    told = [event for event in await node.events() if isinstance(event, ResourcePublished | ResourceChanged)]
    assert [event.resource.taxonomies for event in told] == [(POPULATION, "T1"), (POPULATION,)]
    path = f"/v1/resources/{made['resource_id']}/versions"
    first = (await node.client.get(f"{path}/1", headers=node.authority)).json()
    assert first["taxonomies"] == [POPULATION, "T1"]
    diff = (await node.client.get(f"{path}/1/diff/2", headers=node.authority)).json()
    assert [(one["field"], one["before"], one["after"]) for one in diff["fields"]] == [("taxonomies", [POPULATION, "T1"], [POPULATION])]
    assert diff["breaking"] is False


@pytest.mark.parametrize(
    ("codes", "pointer", "remedy"),
    [
        (["none"], "/taxonomies/0", "GET /v1/taxonomies"),
        (["Base-Population"], "/taxonomies/0", "base-population"),
        ([POPULATION, POPULATION], "/taxonomies/1", "twice"),
        ([POPULATION, "retired"], "/taxonomies/1", "takes no new members"),
        (["人口库"], "/taxonomies/0", ""),
        (["a\x00"], "/taxonomies/0", ""),
        (POPULATION, "/taxonomies", ""),
        ([f"t{number}" for number in range(21)], "/taxonomies", ""),
    ],
)
async def test_a_wrong_database_is_refused_by_its_place(
    strict_node: Any, good_entry: Any, is_problem: Any, codes: Any, pointer: str, remedy: str
) -> None:
    if not (await strict_node.client.get("/v1/taxonomies?q=retired&retired=true", headers=strict_node.authority)).json()["items"]:
        await retire(strict_node, await add(strict_node, "retired"))
    body = good_entry(strict_node.system_made, taxonomies=codes)
    answer = await strict_node.client.post("/v1/resources", json=body, headers=strict_node.steward(strict_node.organization_made))
    errors = is_problem(answer, 422)["errors"]
    assert [error["pointer"] for error in errors] == [pointer]
    assert remedy in errors[0]["detail"]


async def test_a_retired_database_keeps_its_members_and_takes_no_new_ones(node: Any, good_entry: Any, is_problem: Any) -> None:
    theme = await add(node, "T1")
    organization, system = await node.provider()
    member = await node.published(organization, system, name="成员", taxonomies=["T1"])
    late = await node.resource(organization, system, name="来迟的", taxonomies=["T1"])
    other = await node.published(organization, system, name="他者")
    await retire(node, theme)
    kept = await replace(node, member, good_entry(system, name="成员", taxonomies=["T1"], summary="改写"))
    assert kept.status_code == 200, kept.text
    assert (await node.put_in_force(kept.json()))["taxonomies"] == ["T1"]
    answer = await replace(node, other, good_entry(system, name="他者", taxonomies=["T1"]))
    assert [error["pointer"] for error in is_problem(answer, 422)["errors"]] == ["/taxonomies/0"]
    path = f"/v1/resources/{late['resource_id']}/submission"
    refused = is_problem(await node.client.post(path, json={}, headers=node.steward(organization)), 422, "resource-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/taxonomies/0"], "a draft is no member yet"
    _, rows = await report(node, "taxonomies")
    assert [(row["code"], row["resource_count"]) for row in rows if row["is_retired"]] == [("T1", 1)]


async def test_a_database_that_anything_ever_belonged_to_is_not_deleted(node: Any, good_entry: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    one, two, three, unused = [await add(node, code) for code in ("T1", "T2", "T3", "T4")]
    former = await node.published(organization, system, name="曾经", taxonomies=["T1"])
    left = (await replace(node, former, good_entry(system, name="曾经", taxonomies=["T2"]))).json()
    await node.put_in_force(left)
    drafted = await replace(node, former, good_entry(system, name="曾经", taxonomies=["T2", "T3"]))
    assert drafted.status_code == 200, drafted.text
    for taxonomy in (one, two, three):
        used = is_problem(await delete(node, taxonomy), 409, "taxonomy-used")
        assert used["used_by"] == [{"resource_id": former["resource_id"]}]
        assert "retire it" in used["detail"]
    assert (await delete(node, unused)).status_code == 204


async def test_a_database_is_never_deleted_under_a_resource_that_is_entered(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    for number in range(4):
        taxonomy = await add(node, f"T{number}")
        body = good_entry(system, name=f"资源 {'甲乙丙丁'[number]}", taxonomies=[taxonomy["code"]])
        entered, deleted = await asyncio.gather(node.client.post("/v1/resources", json=body, headers=steward), delete(node, taxonomy))
        assert (entered.status_code, deleted.status_code) in ((201, 409), (422, 204))


async def search(node: Any, **asked: Any) -> dict[str, Any]:
    answer = await node.client.get("/v1/search", params=asked, headers=node.authority)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def facet(node: Any, expected: dict[str, int], **asked: Any) -> dict[str, str]:
    """Search until the facet counts as expected; return what its values are called."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        values = (await search(node, **asked))["facets"]["taxonomy"]
        if {one["value"]: one["count"] for one in values} == expected:
            return {one["value"]: one["label"] for one in values}
        assert time.monotonic() < deadline, values
        await asyncio.sleep(0.01)


async def test_search_counts_and_narrows_by_database_and_those_below_it(node: Any, is_problem: Any) -> None:
    top, other = await add(node, "D1", kind="domain"), await add(node, "D2", kind="domain")
    below = await add(node, "D1.1", kind="domain", name="网格", parent_id=top["taxonomy_id"])
    organization, system = await node.provider()
    for name, codes in (("户籍", [POPULATION]), ("网格事件", ["D1.1", POPULATION]), ("网格员", ["D1"]), ("水库", [])):
        await node.published(organization, system, name=name, taxonomies=codes)
    labels = await facet(node, {POPULATION: 2, "D1": 2, "D1.1": 1})
    assert labels == {POPULATION: "人口库", "D1": "库 D1", "D1.1": "网格"}
    assert {one["name"] for one in (await search(node, taxonomy="D1"))["items"]} == {"网格事件", "网格员"}
    found = (await search(node, taxonomy="D1.1"))["items"]
    assert [(one["name"], one["taxonomies"]) for one in found] == [("网格事件", ["D1.1", POPULATION])]
    assert (await search(node, taxonomy="none"))["total"] == 0
    await facet(node, {"D1": 1, POPULATION: 1, "D1.1": 1}, q="事件")
    moved = {"name": "社会治理网格", "parent_id": other["taxonomy_id"]}
    path = f"/v1/taxonomies/{below['taxonomy_id']}"
    assert (await node.client.put(path, json=moved, headers=node.authority)).status_code == 200
    labels = await facet(node, {POPULATION: 2, "D1": 1, "D2": 1, "D1.1": 1})
    assert labels["D1.1"] == "社会治理网格", "it stands elsewhere and is called differently, while no resource changed"
    is_problem(await node.client.get("/v1/search", params={"taxonomy": "a b"}, headers=node.authority), 422)


async def test_an_import_says_what_resources_belong_to(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    lines = [good_entry(system, name=name, taxonomies=codes) for name, codes in (("甲", [POPULATION]), ("乙", ["none"]), ("丙", []))]
    body = "\n".join(json.dumps(line) for line in lines)
    headers = node.steward(organization) | {"Content-Type": "application/x-ndjson"}
    answer = await node.client.post("/v1/resources/import", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    rows = answer.json()["rows"]
    assert [row["outcome"] for row in rows] == ["entered", "refused", "entered"]
    assert [error["pointer"] for error in rows[1]["errors"]] == ["/taxonomies/0"]
    shown = await node.client.get(f"/v1/resources/{rows[0]['resource_id']}", headers=headers)
    assert shown.json()["taxonomies"] == [POPULATION]


def accepted(resource_id: str) -> BatchAccepted:
    return BatchAccepted(
        resource_id=UUID(resource_id), batch_id=UUID(int=1), resource_version=1, kind=BatchKind.APPEND, sequence=1, accepted_at=utc_now(),
        provider=OrganizationRef(organization_id=UUID(int=2), uscc="x", name="x", division_code="330600"),
        received_count=1, accepted_count=1, quarantined_count=0, rows=ObjectRef(key="k", sha256="0", byte_count=1, row_count=1),
    )  # fmt: skip


async def test_the_report_says_what_each_base_database_holds_and_how_far_it_came(node: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("公安局")
    population = await shipped(node, POPULATION)
    led = {"name": "人口库", "lead_organization_id": other["organization_id"]}
    assert (await node.client.put(f"/v1/taxonomies/{population['taxonomy_id']}", json=led, headers=node.authority)).status_code == 200
    part = await add(node, "base-population.floating", kind="base", parent_id=population["taxonomy_id"])
    both = [POPULATION, part["code"]]
    one = await node.published(organization, system, name="甲", taxonomies=both)
    two = await node.published(other, await node.system(other), name="乙", taxonomies=[part["code"]])
    await node.resource(organization, system, name="草稿", taxonomies=both)
    gone = await node.published(organization, system, name="撤回的", taxonomies=both)
    await node.client.post(f"/v1/resources/{gone['resource_id']}/withdrawal", json={"reason": "x"}, headers=node.authority)
    proxy = {"kind": "proxy", "address": "http://10.20.30.40/share"}
    assert (await node.client.put(f"/v1/resources/{two['resource_id']}/mount", json=proxy, headers=node.authority)).status_code == 200
    await deliver(node.sessions, HANDLERS, accepted(one["resource_id"]))
    summary, rows = await report(node, "taxonomies")
    assert summary == {
        "taxonomy_count": 9, "filled_count": 2, "without_lead_count": 8,
        "base_count": 9, "filled_base_count": 2, "filled_base_ratio": 2 / 9,
    }  # fmt: skip
    names = ("provider_count", "resource_count", "item_count", "shareable_item_count", "mounted_count", "supplied_count")
    counts = {row["code"]: tuple(row[name] for name in names) for row in rows}
    assert counts[POPULATION] == counts[part["code"]] == (2, 2, 6, 6, 2, 1), "what belongs to both counts once"
    assert counts[CREDIT] == (0, 0, 0, 0, 0, 0)
    row = next(row for row in rows if row["code"] == POPULATION)
    assert (row["taxonomy_kind"], row["lead_name"], row["parent_code"]) == ("base", "公安局", None)
    answer = await node.client.get("/v1/reports/taxonomies?format=csv", headers=node.headers(None, "auditor"))
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    shown = next(line for line in lines if line["代码"] == POPULATION)
    assert (shown["类别"], shown["牵头部门"], shown["信息资源数"], shown["已供数资源数"]) == ("基础库", "公安局", "2", "1")


async def derive(node: Any, resource: dict[str, Any], *sources: dict[str, Any]) -> None:
    path = f"/v1/resources/{resource['resource_id']}/lineage"
    answer = await node.client.put(path, json={"sources": list(sources)}, headers=node.authority)
    assert answer.status_code == 200, answer.text


async def test_the_report_names_derived_resources_that_lead_to_no_base_database(node: Any) -> None:
    organization, system = await node.provider()
    await add(node, "T1", name="社会治理")
    await add(node, "T1.1", name="网格", parent_id=(await shipped(node, "T1"))["taxonomy_id"])

    async def published(name: str, *codes: str) -> dict[str, Any]:
        return await node.published(organization, system, name=name, taxonomies=list(codes))

    def of(resource: dict[str, Any]) -> dict[str, Any]:
        return {"resource_id": resource["resource_id"]}

    base, middle, stray = await published("人口基础信息", POPULATION), await published("常住人口"), await published("来源不明")
    far, direct, none, wrong = [await published(name, "T1") for name in ("经两步", "直接取自库", "未登记来源", "来源不到基础库")]
    itself, below = await published("本身即基础数据", "T1", CREDIT), await published("下级主题", "T1.1")
    await node.resource(organization, system, name="主题草稿", taxonomies=["T1"])
    await derive(node, middle, of(base))
    await derive(node, far, of(stray), of(middle))
    await derive(node, direct, {"taxonomy_id": (await shipped(node, CREDIT))["taxonomy_id"]})
    await derive(node, wrong, of(stray), {"taxonomy_id": (await shipped(node, "T1"))["taxonomy_id"]})
    await derive(node, below, of(wrong))
    summary, rows = await report(node, "lineage")
    assert {row["name"]: (row["theme_names"], row["source_count"], row["reason"]) for row in rows} == {
        none["name"]: ("社会治理", 0, "no source is said"),
        wrong["name"]: ("社会治理", 2, "no source leads to a base database"),
        below["name"]: ("网格", 1, "no source leads to a base database"),
    }
    assert summary == {"derived_count": 7, "with_base_count": 4, "with_base_ratio": 4 / 7}, f"{itself['name']} and {middle['name']} too"
    await derive(node, stray, of(base))
    assert [row["name"] for row in (await report(node, "lineage"))[1]] == [none["name"]]
    answer = await node.client.get("/v1/reports/lineage?format=csv", headers=node.headers(None, "auditor"))
    assert [line["信息资源名称"] for line in csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))] == [none["name"]]


async def test_every_base_database_that_comes_along_is_begun_from_its_template(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    taxonomies = (await node.client.get("/v1/taxonomies", params={"kind": "base"}, headers=node.authority)).json()["items"]
    assert len(taxonomies) == 8
    for taxonomy in taxonomies:
        path = f"/v1/taxonomies/{taxonomy['taxonomy_id']}/template"
        template = (await node.client.get(path, headers=node.headers(None))).json()
        for name in template["code_sets"]:
            answer = await node.client.post(f"/v1/shipped-code-sets/{name}/publication", headers=node.authority)
            assert answer.status_code in (200, 201), answer.text
        made = await node.resource(organization, system, **template["entry"])
        assert made["taxonomies"] == [taxonomy["code"]]
        await node.put_in_force(made, "approval", personal_information={"outcome": "passed", "assessed_by": "法规处"})
        answer = await node.client.post(f"/v1/resources/{made['resource_id']}/publish", json={}, headers=node.authority)
        assert answer.status_code == 200, answer.text
    summary, _ = await report(node, "taxonomies")
    assert (summary["filled_base_count"], summary["filled_base_ratio"]) == (8, 1.0)
    theme = await add(node, "T1")
    refused = await node.client.get(f"/v1/taxonomies/{theme['taxonomy_id']}/template", headers=node.authority)
    assert POPULATION in is_problem(refused, 404, "template-not-found")["detail"]
    nobody = "/v1/taxonomies/00000000-0000-0000-0000-000000000000/template"
    is_problem(await node.client.get(nobody, headers=node.authority), 404, "taxonomy-not-found")
    is_problem(await node.client.get(nobody), 401)
