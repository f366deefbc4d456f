import csv
import io
import time
from typing import Any

import fastexcel
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from dxmesh_runtime.db import connect

NOBODY = "00000000-0000-0000-0000-000000000000"
BASIS = {"kind": "law", "title": "中华人民共和国档案法", "article": "第二十七条"}
UNSHARED = {"sharing_type": "NOT_SHARED", "non_sharing_basis": BASIS, "sharing_reason": "档案未开放"}


async def report(node: Any, name: str, headers: dict[str, str] | None = None) -> Any:
    answer = await node.client.get(f"/v1/reports/{name}", headers=headers or node.authority)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_one_query_gives_the_ledger_by_department_and_level(node: Any, good_item: Any) -> None:
    bureau, system = await node.provider()
    county = await node.organization("某县民政局", level="county", division_code="330602")
    other = await node.system(county, "县系统")
    await node.system(county, "还没有资源的系统")
    await node.published(bureau, system)
    await node.published(bureau, system, name="档案", **UNSHARED, items=[good_item("a", sharing_type="NOT_SHARED"), good_item("b")], key=[])
    await node.published(county, other)
    gone = await node.published(county, other, name="撤回的")
    await node.client.post(f"/v1/resources/{gone['resource_id']}/withdrawal", json={"reason": "x"}, headers=node.steward(county))
    await node.resource(county, other, name="草稿")
    statements: list[str] = []
    database = connect(node.settings.database)

    def counted(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", counted)
    from catalog_svc.report import store

    async with database.sessions() as tx:
        lines = await store.ledger(tx)
    await database.close()
    assert len(statements) == 1, "one query"
    assert len(lines) == 5, "two departments, two levels, all"
    found = (await node.client.get("/v1/ledger", headers=node.headers(None))).json()
    names = ("system_count", "resource_count", "shareable_resource_count", "item_count", "shareable_item_count")

    def line(one: dict[str, Any]) -> tuple[int, ...]:
        return tuple(one[name] for name in names)

    assert line(found["total"]) == (3, 3, 2, 8, 7)
    assert found["total"]["organization_count"] == 2
    assert {one["level"]: line(one) for one in found["levels"]} == {"city": (1, 2, 1, 5, 4), "county": (2, 1, 1, 3, 3)}
    assert {one["name"]: line(one) for one in found["departments"]} == {"绍兴市民政局": (1, 2, 1, 5, 4), "某县民政局": (2, 1, 1, 3, 3)}
    totals = await report(node, "totals")
    assert totals["summary"] == found["total"]
    assert [one["name"] for one in totals["rows"]] == ["绍兴市民政局", "某县民政局"]


async def test_an_empty_node_has_a_ledger_of_zeros(node: Any, is_problem: Any) -> None:
    found = (await node.client.get("/v1/ledger", headers=node.headers(None))).json()
    assert (found["total"]["resource_count"], found["total"]["organization_count"]) == (0, 0)
    assert (found["levels"], found["departments"]) == ([], [])
    assert (await report(node, "coverage"))["summary"] == {"system_count": 0, "covered_count": 0, "covered_ratio": None}
    is_problem(await node.client.get("/v1/ledger"), 401)
    is_problem(await node.client.get("/v1/reports/secret", headers=node.authority), 422)
    is_problem(await node.client.get("/v1/reports/coverage", params={"format": "pdf"}, headers=node.authority), 422)
    is_problem(await node.client.get("/v1/reports/coverage", headers=node.headers(None)), 403)


async def test_coverage_names_the_systems_without_a_published_resource(node: Any) -> None:
    bureau, system = await node.provider()
    other = await node.organization("另一局")
    empty = await node.system(other, "空系统")
    await node.resource(other, empty, name="只是草稿")
    await node.published(bureau, system)
    found = await report(node, "coverage")
    assert found["summary"] == {"system_count": 2, "covered_count": 1, "covered_ratio": 0.5}
    assert [(row["system_name"], row["organization_name"]) for row in found["rows"]] == [("空系统", "另一局")]
    assert (await report(node, "coverage", node.steward(bureau)))["summary"]["system_count"] == 1
    assert (await report(node, "coverage", node.steward(other)))["summary"]["covered_count"] == 0
    retired = await node.client.post(f"/v1/systems/{empty['system_id']}/retirement", json={"reason": "停用"}, headers=node.steward(other))
    if retired.status_code == 200:
        assert (await report(node, "coverage"))["summary"]["system_count"] == 1


async def test_orphans_are_none_and_each_kind_is_found_when_made_by_force(node: Any) -> None:
    bureau, system = await node.provider()
    other = await node.organization("另一局")
    foreign = await node.system(other, "另一系统")
    first = await node.published(bureau, system)
    second = await node.published(bureau, system, name="第二")
    entry = await node.made(
        "/v1/lists/duty", {"name": "归集", "due_on": "2026-12-31", "resource_id": second["resource_id"]}, node.steward(bureau)
    )
    assert await report(node, "orphans") | {"as_of": None} == {
        "report": "orphans",
        "title": "悬空条目",
        "as_of": None,
        "summary": {"orphan_count": 0},
        "rows": [],
    }
    await node.client.post(f"/v1/resources/{second['resource_id']}/withdrawal", json={"reason": "x"}, headers=node.steward(bureau))
    async with node.sessions.begin() as tx:
        await tx.execute(
            text("UPDATE resource SET system_id = :system, version = 7 WHERE resource_id = :id"),
            {"system": foreign["system_id"], "id": first["resource_id"]},
        )
    found = await report(node, "orphans")
    assert found["summary"] == {"orphan_count": 3}
    assert sorted((row["kind"], row["id"], row["reason"].split()[0]) for row in found["rows"]) == sorted(
        [
            ("duty list entry", entry["entry_id"], "the"),
            ("resource", first["resource_id"], "its"),
            ("resource", first["resource_id"], "the"),
        ]
    )
    assert (await report(node, "orphans", node.steward(other)))["rows"] == []


async def test_what_is_not_shared_is_reported_with_the_law_it_cites(node: Any) -> None:
    bureau, system = await node.provider()
    kept = await node.published(bureau, system, name="档案", **UNSHARED)
    await node.published(bureau, system)
    await node.resource(bureau, system, name="草稿", **UNSHARED)
    found = await report(node, "non-sharing", node.headers(None))
    assert found["summary"] == {"resource_count": 1, "without_basis_count": 0, "not_on_negative_list_count": 1}
    [row] = found["rows"]
    assert (row["name"], row["basis_kind"], row["basis_title"], row["basis_article"]) == ("档案", *BASIS.values())
    await node.made("/v1/lists/negative", {"name": "档案", "basis": BASIS, "resource_id": kept["resource_id"]}, node.steward(bureau))
    assert (await report(node, "non-sharing"))["summary"]["not_on_negative_list_count"] == 0
    async with node.sessions.begin() as tx:
        await tx.execute(text("UPDATE resource SET definition = definition - 'non_sharing_basis'"))
    assert (await report(node, "non-sharing"))["summary"]["without_basis_count"] == 1


async def test_resources_of_one_name_with_several_providers_are_reported(node: Any) -> None:
    bureau, system = await node.provider()
    other = await node.organization("另一局")
    foreign = await node.system(other)
    await node.published(bureau, system, name="低保对象 ABC")
    await node.published(other, foreign, name="低保对象  abc")
    await node.published(other, foreign, name="另一资源")
    found = await report(node, "duplicates", node.headers(None))
    assert found["summary"] == {"name_count": 1, "resource_count": 2}
    assert [(row["organization_name"], row["provider_count"]) for row in found["rows"]] == [("绍兴市民政局", 2), ("另一局", 2)]


async def test_every_report_is_given_as_csv_and_xlsx(node: Any) -> None:
    bureau, system = await node.provider()
    other = await node.organization("=另一局")
    await node.system(other, "空系统")
    await node.published(bureau, system, **UNSHARED)
    await node.published(other, await node.system(other))
    for name, title in (
        ("coverage", "信息系统名称"),
        ("orphans", "原因"),
        ("non-sharing", "依据条款"),
        ("negative-list", "禁止事项"),
        ("duties", "最近批次行数"),
        ("duty-totals", "归集率"),
        ("idle-systems", "无流动天数"),
        ("off-cloud", "上云情况"),
        ("lapsed-papers", "有效期至"),
        ("duplicates", "提供方数"),
        ("totals", "信息资源数"),
    ):
        rows = (await report(node, name))["rows"]
        as_csv = await node.client.get(f"/v1/reports/{name}", headers=node.authority | {"Accept": "text/csv, */*"})
        assert as_csv.headers["content-type"].startswith("text/csv")
        table = list(csv.DictReader(io.StringIO(as_csv.content.decode("utf-8-sig"))))
        as_xlsx = await node.client.get(f"/v1/reports/{name}", params={"format": "xlsx"}, headers=node.authority)
        sheet = fastexcel.read_excel(as_xlsx.content).load_sheet(0, header_row=None, dtypes="string").to_polars()
        assert title in sheet.row(0)
        assert (len(table), sheet.height - 1) == (len(rows), len(rows)), name
        assert title in as_csv.content.decode("utf-8-sig").splitlines()[0]
        for cells in table:
            assert not any((cell or "").startswith("=") for cell in cells.values())


async def test_a_census_freezes_the_lists_and_two_are_compared(node: Any, is_problem: Any) -> None:
    bureau, system = await node.provider()
    other = await node.organization("另一局")
    await node.published(bureau, system)
    entry = await node.made("/v1/lists/demand", {"name": "要数据", "due_on": "2026-12-31"}, node.steward(other))
    first = await node.made("/v1/censuses", {"title": "上半年普查"}, node.authority)
    again = await node.made("/v1/censuses", {"title": "同日再查"}, node.authority)
    assert again["lists"] == first["lists"], "the same entries have the same digest"
    assert {kind: one["entry_count"] for kind, one in first["lists"].items()} == {
        "system": 1,
        "data": 1,
        "demand": 1,
        "duty": 0,
        "negative": 0,
        "scenario": 0,
    }
    await node.published(bureau, system, name="第二")
    changed = {"name": "要数据", "content": "改", "due_on": "2026-12-31"}
    await node.client.put(f"/v1/lists/demand/{entry['entry_id']}", json=changed, headers=node.steward(other))
    late = await node.organization("新成立的局")
    second = await node.made("/v1/censuses", {"title": "下半年普查"}, node.authority)
    path = f"/v1/censuses/{first['census_id']}"
    assert (await node.client.get(path, headers=node.headers(None))).json() == first
    compared = (await node.client.get(f"{path}/comparison", params={"with": second["census_id"]}, headers=node.headers(None))).json()
    assert {one["kind"]: (one["difference"], one["is_same"]) for one in compared["lists"]} == {
        "system": (0, True),
        "data": (1, False),
        "demand": (0, False),
        "duty": (0, True),
        "negative": (0, True),
        "scenario": (0, True),
    }
    assert {one["name"]: (one["resource_count"], one["item_count"]) for one in compared["departments"]} == {
        "绍兴市民政局": (1, 3),
        "新成立的局": (0, 0),
    }
    listed = (await node.client.get("/v1/censuses", params={"limit": 2}, headers=node.headers(None))).json()
    assert [one["title"] for one in listed["items"]] == ["上半年普查", "同日再查"]
    assert listed["next_cursor"]
    for headers in (node.steward(late), node.headers(None, "auditor")):
        is_problem(await node.client.post("/v1/censuses", json={"title": "x"}, headers=headers), 403)
    is_problem(await node.client.post("/v1/censuses", json={"title": " "}, headers=node.authority), 422)
    is_problem(await node.client.get(f"/v1/censuses/{NOBODY}", headers=node.authority), 404, "census-not-found")
    is_problem(await node.client.get(f"{path}/comparison", params={"with": NOBODY}, headers=node.authority), 404, "census-not-found")
    is_problem(await node.client.get(f"{path}/comparison", headers=node.authority), 422)
    with pytest.raises(DBAPIError, match="never changed"):
        async with node.sessions.begin() as tx:
            await tx.execute(text("UPDATE census SET title = 'x'"))


GROWN = """
INSERT INTO resource SELECT (jsonb_populate_record(r, jsonb_build_object(
    'resource_id', gen_random_uuid(), 'resource_code', 'T5/' || n, 'name', '资源' || n, 'name_key', '资源' || n,
    'item_count', 18 + (n % 3 = 0)::int, 'shareable_item_count', 6 + (n % 2)))).*
FROM resource r, generate_series(1, 6678) n
"""


async def test_the_ledger_of_a_citys_catalogue_answers_within_its_limit(node: Any) -> None:
    """6,679 resources of some 122,344 items; the limit of 100 ms has room for a slow machine: the median of 20 is held against it."""
    bureau, system = await node.provider()
    await node.published(bureau, system)
    async with node.sessions.begin() as tx:
        await tx.execute(text(GROWN))
    engine = create_async_engine(node.settings.database.url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("VACUUM ANALYZE"))  # as a server does by itself, within a minute
    await engine.dispose()
    taken = []
    for _ in range(20):
        begun = time.perf_counter()
        answer = await node.client.get("/v1/ledger", headers=node.headers(None))
        taken.append(time.perf_counter() - begun)
        assert answer.json()["total"]["resource_count"] == 6_679
    print(f"ledger: median {sorted(taken)[10] * 1000:.1f} ms, longest {max(taken) * 1000:.1f} ms")
    assert sorted(taken)[10] < 0.1
