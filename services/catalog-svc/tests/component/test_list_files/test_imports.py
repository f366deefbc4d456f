"""What an import of a list takes in, what it refuses, and that it enters each thing once."""

import asyncio
from typing import Any

import pytest

from dxmesh_schemas.catalog_events import SystemRegistered

pytestmark = pytest.mark.long
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OWNER, NAME, DUE, CONTENT, STATUS = "责任部门统一社会信用代码", "名称", "完成期限", "内容", "状态"


async def test_an_import_enters_each_row_once_however_often_it_is_sent(node: Any, files: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    content = files.as_csv([files.duty(organization, "低保对象"), files.duty(organization, "婚姻登记", **{STATUS: "进行中"})])
    assert await files.taken(node, "duty", content, headers) == files.counts(2, created=2)
    assert await files.taken(node, "duty", content, headers) == files.counts(2, unchanged=2)
    again = files.as_csv([files.duty(organization, " 低保对象 ", **{CONTENT: "每周"}), files.duty(organization, "殡葬")])
    assert await files.taken(node, "duty", again, headers) == files.counts(2, created=1, changed=1)
    found = {one["name"]: (one["version"], one["content"], one["status"]) for one in await files.listed(node, "duty")}
    assert found == {"低保对象": (2, "每周", "pending"), "婚姻登记": (1, "", "in_progress"), "殡葬": (1, "", "pending")}
    changed = next(one for one in await files.listed(node, "duty") if one["name"] == "低保对象")
    history = (await node.client.get(f"/v1/lists/duty/{changed['entry_id']}/versions", headers=headers)).json()["items"]
    assert [one["snapshot"]["content"] for one in history] == ["", "每周"]


@pytest.mark.parametrize(
    ("kind", "cells", "column"),
    [
        ("duty", {OWNER: ""}, OWNER),
        ("duty", {OWNER: "11330600MB1573660Q"}, OWNER),
        ("duty", {NAME: ""}, NAME),
        ("duty", {NAME: "名\u200b单"}, NAME),
        ("duty", {NAME: "单" * 201}, NAME),
        ("duty", {CONTENT: "a" * 4001}, CONTENT),
        ("duty", {STATUS: "做完了"}, STATUS),
        ("duty", {STATUS: "有效"}, STATUS),
        ("duty", {STATUS: "已完成"}, "信息资源代码"),
        ("duty", {DUE: ""}, DUE),
        ("duty", {DUE: "2026-02-30"}, DUE),
        ("duty", {DUE: "1999-01-01"}, DUE),
        ("duty", {"信息资源代码": "没有"}, "信息资源代码"),
        ("duty", {"信息系统名称": "没有"}, "信息系统名称"),
        ("duty", {"编号": "7"}, "编号"),
        ("duty", {"编号": "00000000-0000-0000-0000-000000000000"}, "编号"),
        ("duty", {"版本": "一"}, "版本"),
        ("demand", {"提供部门统一社会信用代码": "没有"}, "提供部门统一社会信用代码"),
        ("negative", {}, "依据类型"),
        ("negative", {"依据类型": "地方性法规", "依据名称": "某条例", "依据条款": "第三条"}, "依据类型"),
        ("negative", {"依据类型": "法律", "依据名称": "某法", "依据条款": ""}, "依据条款"),
    ],
)
async def test_a_wrong_row_is_named_with_its_column_and_nothing_is_kept(
    strict_node: Any, files: Any, is_problem: Any, kind: str, cells: dict[str, str], column: str
) -> None:
    organization = strict_node.organization_made
    good, wrong = files.duty(organization, "好的一行"), files.duty(organization, "坏的一行")
    if kind == "negative":
        basis = {"依据类型": "法律", "依据名称": "数据安全法", "依据条款": "第三十八条"}
        good, wrong = good | basis, wrong | dict.fromkeys(basis, "")
    content = files.as_csv([good, wrong | cells])
    answer = await files.sent(strict_node, kind, content, strict_node.steward(organization))
    refused = is_problem(answer, 422, "import-refused")
    assert column in {error["column"] for error in refused["errors"]}, refused
    for error in refused["errors"]:
        assert (error["row"], bool(error["reason"]), bool(error["remedy"])) == (2, True, True)
        assert error["pointer"] == f"/rows/2/{error['column']}"
    assert (refused["received_count"], refused["refused_count"]) == (2, 1)
    assert await files.listed(strict_node, kind) == []


async def test_with_mode_good_the_good_rows_are_kept_and_the_others_named(node: Any, files: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    rows = [
        files.duty(organization, "一"),
        files.duty(organization, "二", **{DUE: "昨天"}),
        files.duty(organization, "一"),
        files.duty(organization, "三"),
    ]
    answer = (await files.sent(node, "duty", files.as_csv(rows), headers, mode="good")).json()
    assert {name: value for name, value in answer.items() if name != "faults"} == files.counts(4, created=2, refused=2)
    assert [(fault["row"], fault["column"]) for fault in answer["faults"]] == [(2, DUE), (3, NAME)]
    assert "row 1" in answer["faults"][1]["reason"]
    assert [one["name"] for one in await files.listed(node, "duty")] == ["一", "三"]
    none_good = await files.sent(node, "duty", files.as_csv([rows[1]]), headers, mode="good")
    is_problem(none_good, 422, "import-refused")


async def test_an_entry_changed_since_its_export_is_not_overwritten(node: Any, files: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    await files.taken(node, "duty", files.as_csv([files.duty(organization)]), headers)
    [row] = files.from_csv(await files.exported(node, "duty", "csv", headers))
    renamed = row | {NAME: "低保对象名册"}
    assert await files.taken(node, "duty", files.as_csv([renamed]), headers) == files.counts(1, changed=1)
    late = await files.sent(node, "duty", files.as_csv([row | {CONTENT: "晚了"}]), headers)
    assert [error["column"] for error in is_problem(late, 422, "import-refused")["errors"]] == ["版本"]
    both = await files.sent(node, "duty", files.as_csv([renamed | {"版本": ""}, files.duty(organization, "低保对象名册")]), headers)
    assert is_problem(both, 422)["errors"][0]["row"] == 2
    assert [(one["name"], one["version"]) for one in await files.listed(node, "duty")] == [("低保对象名册", 2)]


async def test_a_department_imports_its_own_entries_alone(node: Any, files: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    content = files.as_csv([files.duty(organization), files.duty(other)])
    refused = is_problem(await files.sent(node, "duty", content, node.steward(organization)), 422, "import-refused")
    assert [(error["row"], error["column"]) for error in refused["errors"]] == [(2, OWNER)]
    for headers in (node.headers(organization["organization_id"]), node.headers(None, "auditor")):
        is_problem(await files.sent(node, "duty", content, headers), 403, "forbidden")
    assert await files.taken(node, "duty", content, node.authority) == files.counts(2, created=2)
    ours = files.from_csv(await files.exported(node, "duty", "csv", node.headers(None), organization=other["organization_id"]))
    assert [row[OWNER] for row in ours] == [other["uscc"]]


async def test_systems_are_registered_from_a_file_once(node: Any, files: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    await node.system(organization, "婚姻登记系统")
    title = "信息系统名称"
    rows = [{OWNER: organization["uscc"], title: name, "系统类型": kind} for name, kind in (("婚姻登记系统", ""), ("低保系统", "国垂"))]
    assert await files.taken(node, "system", files.as_csv(rows), headers) == files.counts(2, created=1, unchanged=1)
    assert await files.taken(node, "system", files.as_csv(rows), headers) == files.counts(2, unchanged=2)
    assert [event.name for event in await node.events() if isinstance(event, SystemRegistered)] == ["婚姻登记系统", "低保系统"]
    exports = files.from_csv(await files.exported(node, "system", "csv", headers))
    assert [(row[title], row["系统类型"]) for row in exports] == [("低保系统", "国垂"), ("婚姻登记系统", "自建")]
    for wrong, column in (({title: ""}, title), ({title: "ＡＢ"}, title), ({OWNER: "x"}, OWNER), ({"系统类型": "县垂"}, "系统类型")):
        content = files.as_csv([rows[0] | {title: "新系统"}, rows[1] | {title: "另一系统"} | wrong])
        refused = is_problem(await files.sent(node, "system", content, headers), 422, "import-refused")
        assert [(error["row"], error["column"]) for error in refused["errors"]] == [(2, column)]
    assert len(await files.listed(node, "system")) == 2, "nothing is half-written"
    other = await node.organization("另一局")
    is_problem(await files.sent(node, "system", files.as_csv(rows), node.steward(other)), 422, "import-refused")


async def test_two_imports_of_one_file_at_once_enter_it_once(node: Any, files: Any) -> None:
    organization, _ = await node.provider()
    headers = node.steward(organization)
    sheets = {
        "duty": files.as_csv([files.duty(organization, f"事项{number}") for number in range(50)]),
        "system": files.as_csv([{OWNER: organization["uscc"], "信息系统名称": f"系统{number}"} for number in range(5)]),
        "data": files.as_csv([files.guide_row(organization, "甲", **{"信息资源名称": f"资源{number}"}) for number in range(5)]),
    }
    for kind, content in sheets.items():
        found = await asyncio.gather(*(files.taken(node, kind, content, headers) for _ in range(3)))
        received = found[0]["received_count"]
        assert sorted(one["created_count"] for one in found) == [0, 0, received], kind
        assert sum(one["unchanged_count"] for one in found) == 2 * received


async def test_a_hundred_thousand_rows_of_a_workbook_are_entered_by_one_import(node: Any, files: Any) -> None:
    organization = await node.organization()
    rows = [[organization["uscc"], f"事项{number}", "2026-12-31"] for number in range(100_000)]
    content = files.as_xlsx(files.table([OWNER, NAME, DUE], rows))
    assert await files.taken(node, "duty", content, node.steward(organization), XLSX) == files.counts(100_000, created=100_000)
    counted = (await node.client.get("/v1/lists", headers=node.headers(None))).json()
    assert next(one for one in counted if one["kind"] == "duty")["entry_count"] == 100_000


async def test_a_character_the_database_cannot_hold_is_refused_in_every_column(node: Any, files: Any, is_problem: Any) -> None:
    organization, _ = await node.provider()
    headers = node.steward(organization)
    for column in ("信息资源代码", "信息系统名称", OWNER, NAME, CONTENT):
        refused = await files.sent(node, "duty", files.as_csv([files.duty(organization) | {column: "a\0b"}]), headers)
        assert {error["row"] for error in is_problem(refused, 422, "import-refused")["errors"]} == {1}, column
    sheet = files.as_xlsx(files.table([OWNER, NAME, DUE, "信息资源代码"], [[organization["uscc"], "甲", "2026-12-31", "a_x0000_b"]]))
    is_problem(await files.sent(node, "duty", sheet, headers, XLSX), 422, "import-refused")


async def test_more_systems_or_resources_than_one_import_takes_are_refused_with_the_limit(
    strict_node: Any, files: Any, is_problem: Any
) -> None:
    organization = strict_node.organization_made
    headers = strict_node.steward(organization)
    systems = files.as_csv([{OWNER: organization["uscc"], "信息系统名称": f"系统{number}"} for number in range(5_001)])
    assert is_problem(await files.sent(strict_node, "system", systems, headers), 413, "import-too-large")["max_rows"] == 5_000
    resources = files.as_csv([files.guide_row(organization, "甲", **{"信息资源名称": f"资源{number}"}) for number in range(2_001)])
    assert is_problem(await files.sent(strict_node, "data", resources, headers), 413, "import-too-large")["max_resources"] == 2_000
    assert len(await files.listed(strict_node, "system")) == 1
