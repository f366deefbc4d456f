import asyncio
import csv
import io
import zipfile
from collections.abc import Callable
from datetime import date
from typing import Any

import fastexcel
import polars as pl
import pytest
import xlsxwriter
from sqlalchemy import text

from catalog_svc.formats import frames_of, guarded, unguarded
from dxmesh_schemas.catalog_events import SystemRegistered

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OWNER, NAME, DUE, CONTENT, STATUS = "责任部门统一社会信用代码", "名称", "完成期限", "内容", "状态"
GUIDE = [  # the header of the template in 编制指南
    "信息资源分类",
    "信息资源名称",
    "信息资源代码",
    "信息资源提供方",
    "提供方内部部门",
    "信息资源提供方代码",
    "信息资源摘要",
    "信息资源格式分类",
    "信息资源格式类型",
    "其他类型资源格式描述",
    "信息项名称",
    "数据类型",
    "数据长度",
    "涉密属性",
    "共享类型",
    "共享条件",
    "共享方式分类",
    "共享方式类型",
    "是否向社会开放",
    "开放条件",
    "更新周期",
    "发布日期",
    "关联资源代码",
    "数据存储总量(G)",
    "结构化信息总记录数(万)",
    "已共享的数据存储量(G)",
    "已共享的结构化记录数(万)",
    "已开放的数据存储量(G)",
    "已开放的结构化记录数(万)",
]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    titles = list(dict.fromkeys(title for row in rows for title in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, titles, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_xlsx(fill: Callable[[Any, Any], None], sheet: str = "清单") -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        fill(book, book.add_worksheet(sheet))
    return out.getvalue()


def table(titles: list[str], rows: list[list[Any]]) -> Callable[[Any, Any], None]:
    def fill(_: Any, sheet: Any) -> None:
        for number, row in enumerate([titles, *rows]):
            sheet.write_row(number, 0, row)

    return fill


async def sent(node: Any, kind: str, content: bytes, headers: dict[str, str], media: str = CSV, **query: str) -> Any:
    return await node.client.post(f"/v1/lists/{kind}/import", params=query, content=content, headers=headers | {"Content-Type": media})


async def taken(node: Any, kind: str, content: bytes, headers: dict[str, str], media: str = CSV, **query: str) -> dict[str, int]:
    answer = await sent(node, kind, content, headers, media, **query)
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name != "faults"}


async def exported(node: Any, kind: str, form: str, headers: dict[str, str], **query: str) -> bytes:
    answer = await node.client.get(f"/v1/lists/{kind}/file", params={"format": form, **query}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(CSV if form == "csv" else XLSX)
    assert answer.headers["content-disposition"].endswith(f".{form}")
    content: bytes = answer.content
    assert int(answer.headers["content-length"]) == len(content)
    return content


def from_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def counts(received: int, created: int = 0, changed: int = 0, unchanged: int = 0, refused: int = 0) -> dict[str, int]:
    numbers = {"received": received, "created": created, "changed": changed, "unchanged": unchanged, "refused": refused}
    return {f"{name}_count": number for name, number in numbers.items()}


async def listed(node: Any, kind: str) -> list[dict[str, Any]]:
    page = (await node.client.get(f"/v1/lists/{kind}", params={"limit": 1000}, headers=node.authority)).json()
    items: list[dict[str, Any]] = page["items"]
    return items


def duty(organization: dict[str, Any], name: str = "低保对象", **cells: Any) -> dict[str, Any]:
    return {OWNER: organization["uscc"], NAME: name, DUE: "2026-12-31"} | cells


async def test_an_import_enters_each_row_once_however_often_it_is_sent(node: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    content = as_csv([duty(organization, "低保对象"), duty(organization, "婚姻登记", **{STATUS: "进行中"})])
    assert await taken(node, "duty", content, headers) == counts(2, created=2)
    assert await taken(node, "duty", content, headers) == counts(2, unchanged=2)
    again = as_csv([duty(organization, " 低保对象 ", **{CONTENT: "每周"}), duty(organization, "殡葬")])
    assert await taken(node, "duty", again, headers) == counts(2, created=1, changed=1)
    found = {one["name"]: (one["version"], one["content"], one["status"]) for one in await listed(node, "duty")}
    assert found == {"低保对象": (2, "每周", "pending"), "婚姻登记": (1, "", "in_progress"), "殡葬": (1, "", "pending")}
    changed = next(one for one in await listed(node, "duty") if one["name"] == "低保对象")
    history = (await node.client.get(f"/v1/lists/duty/{changed['entry_id']}/versions", headers=headers)).json()["items"]
    assert [one["snapshot"]["content"] for one in history] == ["", "每周"]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_what_is_exported_is_imported_as_it_is_and_nothing_changes(node: Any, form: str) -> None:
    organization, system = await node.provider()
    other = await node.organization("另一局")
    resource = await node.published(organization, system)
    refers = {"resource_id": resource["resource_id"], "system_id": system["system_id"]}
    law = {"kind": "law", "title": "中华人民共和国数据安全法", "article": "第三十八条"}
    due = {"due_on": "2026-12-31"}
    for kind, more in (
        ("duty", refers | due | {"status": "done"}),
        ("demand", due | {"counterpart_id": other["organization_id"], "content": '=1+1\n第二行, "引号"'}),
        ("negative", {"basis": law, "resource_id": resource["resource_id"], "forbids": "opening"}),
        ("scenario", due | {"name": "@一网通办"}),
    ):
        made = await node.made(f"/v1/lists/{kind}", {"name": "'=某事项"} | more, node.steward(organization))
        content = await exported(node, kind, form, node.headers(None))
        media = CSV if form == "csv" else XLSX
        assert await taken(node, kind, content, node.steward(organization), media) == counts(1, unchanged=1), kind
        assert await listed(node, kind) == [made]


async def test_every_list_has_a_template_and_the_data_lists_is_the_guides(node: Any) -> None:
    for kind in ("system", "data", "demand", "duty", "negative", "scenario"):
        headers = []
        for form in ("csv", "xlsx"):
            answer = await node.client.get(f"/v1/lists/{kind}/template", params={"format": form}, headers=node.headers(None))
            assert answer.status_code == 200, answer.text
            if form == "csv":
                headers.append(next(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))))
            else:
                headers.append(fastexcel.read_excel(answer.content).load_sheet(0, header_row=None, dtypes="string").to_polars().row(0))
        assert list(headers[0]) == list(headers[1])
        if kind == "data":
            assert list(headers[0][: len(GUIDE)]) == GUIDE


async def test_a_text_a_spreadsheet_would_run_is_guarded_in_csv_and_plain_text_in_xlsx(node: Any) -> None:
    organization = await node.organization('=HYPERLINK("x")局')
    for name in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "＝1"):
        answer = await node.client.post(
            "/v1/lists/scenario", json={"name": name, "due_on": "2026-12-31"}, headers=node.steward(organization)
        )
        assert answer.status_code == 201, answer.text
    rows = from_csv(await exported(node, "scenario", "csv", node.headers(None)))
    assert all(row[NAME][0] == "'" and row["责任部门"][0] == "'" for row in rows)
    content = await exported(node, "scenario", "xlsx", node.headers(None))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")


def test_a_guarded_text_comes_back_as_it_was() -> None:
    frame = pl.DataFrame({"a": ["=1", "'=1", "''-1", "a", None, "'a", "", "\t1"]})
    shown = guarded(frame)["a"].to_list()
    assert shown == ["'=1", "''=1", "'''-1", "a", None, "'a", "", "'\t1"]
    assert unguarded(guarded(frame)).equals(frame)
    assert [part.height for part in frames_of(({"a": 1} for _ in range(7)), {"a": "甲"}, size=3)] == [3, 3, 1]


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
    strict_node: Any, is_problem: Any, kind: str, cells: dict[str, str], column: str
) -> None:
    organization = strict_node.organization_made
    good, wrong = duty(organization, "好的一行"), duty(organization, "坏的一行")
    if kind == "negative":
        basis = {"依据类型": "法律", "依据名称": "数据安全法", "依据条款": "第三十八条"}
        good, wrong = good | basis, wrong | dict.fromkeys(basis, "")
    content = as_csv([good, wrong | cells])
    answer = await sent(strict_node, kind, content, strict_node.steward(organization))
    refused = is_problem(answer, 422, "import-refused")
    assert column in {error["column"] for error in refused["errors"]}, refused
    for error in refused["errors"]:
        assert (error["row"], bool(error["reason"]), bool(error["remedy"])) == (2, True, True)
        assert error["pointer"] == f"/rows/2/{error['column']}"
    assert (refused["received_count"], refused["refused_count"]) == (2, 1)
    assert await listed(strict_node, kind) == []


async def test_with_mode_good_the_good_rows_are_kept_and_the_others_named(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    rows = [duty(organization, "一"), duty(organization, "二", **{DUE: "昨天"}), duty(organization, "一"), duty(organization, "三")]
    answer = (await sent(node, "duty", as_csv(rows), headers, mode="good")).json()
    assert {name: value for name, value in answer.items() if name != "faults"} == counts(4, created=2, refused=2)
    assert [(fault["row"], fault["column"]) for fault in answer["faults"]] == [(2, DUE), (3, NAME)]
    assert "row 1" in answer["faults"][1]["reason"]
    assert [one["name"] for one in await listed(node, "duty")] == ["一", "三"]
    none_good = await sent(node, "duty", as_csv([rows[1]]), headers, mode="good")
    is_problem(none_good, 422, "import-refused")


async def test_an_entry_changed_since_its_export_is_not_overwritten(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    await taken(node, "duty", as_csv([duty(organization)]), headers)
    [row] = from_csv(await exported(node, "duty", "csv", headers))
    renamed = row | {NAME: "低保对象名册"}
    assert await taken(node, "duty", as_csv([renamed]), headers) == counts(1, changed=1)
    late = await sent(node, "duty", as_csv([row | {CONTENT: "晚了"}]), headers)
    assert [error["column"] for error in is_problem(late, 422, "import-refused")["errors"]] == ["版本"]
    both = await sent(node, "duty", as_csv([renamed | {"版本": ""}, duty(organization, "低保对象名册")]), headers)
    assert is_problem(both, 422)["errors"][0]["row"] == 2
    assert [(one["name"], one["version"]) for one in await listed(node, "duty")] == [("低保对象名册", 2)]


async def test_a_department_imports_its_own_entries_alone(node: Any, is_problem: Any) -> None:
    organization, other = await node.organization(), await node.organization("另一局")
    content = as_csv([duty(organization), duty(other)])
    refused = is_problem(await sent(node, "duty", content, node.steward(organization)), 422, "import-refused")
    assert [(error["row"], error["column"]) for error in refused["errors"]] == [(2, OWNER)]
    for headers in (node.headers(organization["organization_id"]), node.headers(None, "auditor")):
        is_problem(await sent(node, "duty", content, headers), 403, "forbidden")
    assert await taken(node, "duty", content, node.authority) == counts(2, created=2)
    ours = from_csv(await exported(node, "duty", "csv", node.headers(None), organization=other["organization_id"]))
    assert [row[OWNER] for row in ours] == [other["uscc"]]


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"", CSV, 400),
        (b"", XLSX, 400),
        (b"PK\x03\x04 no book", XLSX, 400),
        ("名称\n甲\n".encode(), CSV, 422),
        ("名称,名称,责任部门统一社会信用代码,完成期限\n".encode(), CSV, 422),
        ("随便\n甲\n".encode(), CSV, 422),
        (f"{OWNER},{NAME},{DUE}\n".encode(), CSV, 400),
        (b"{}", "application/json", 415),
        (b"<a/>", "text/xml", 415),
        (b"x", "", 415),
    ],
)
async def test_a_file_that_is_not_the_lists_is_refused(strict_node: Any, is_problem: Any, content: bytes, media: str, status: int) -> None:
    is_problem(await sent(strict_node, "duty", content, strict_node.steward(strict_node.organization_made), media), status)


async def test_an_xlsx_with_one_cell_far_from_its_table_is_refused(strict_node: Any, is_problem: Any) -> None:
    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, [OWNER, NAME, DUE])
        sheet.write(1_048_575, 16_383, "x")

    headers = strict_node.steward(strict_node.organization_made)
    assert "XFD1048576" in is_problem(await sent(strict_node, "duty", as_xlsx(fill), headers, XLSX), 413)["detail"]


async def test_a_file_in_pieces_compressed_or_too_large_is_answered_for_what_it_is(strict_node: Any, is_problem: Any) -> None:
    headers = strict_node.steward(strict_node.organization_made) | {"Content-Type": CSV}
    path = "/v1/lists/duty/import"
    is_problem(await strict_node.client.post(path, content=b"x", headers=headers | {"Content-Encoding": "gzip"}), 415)
    is_problem(await strict_node.client.post(path, content=bytes(65 << 20), headers=headers), 413, "import-too-large")
    rows = f"{OWNER},{NAME},{DUE}\n" + "x,y,2026-12-31\n" * 200_001
    is_problem(await strict_node.client.post(path, content=rows.encode(), headers=headers), 413, "import-too-large")
    for wrong in ({"mode": "some"}, {"encoding": "é"}, {"sheet": "x" * 32}):
        is_problem(await strict_node.client.post(path, params=wrong, content=b"x", headers=headers), 422)
    is_problem(await strict_node.client.post("/v1/lists/secret/import", content=b"x", headers=headers), 422)


async def test_a_broken_line_and_bytes_that_are_no_text_are_named_by_row(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    good = f"{organization['uscc']},甲,2026-12-31\n".encode()
    content = f"{OWNER},{NAME},{DUE}\n".encode() + good + b"one,two\n" + b"\xff\xfe,x,2026-12-31\n"
    refused = is_problem(await sent(node, "duty", content, node.steward(organization)), 422, "import-refused")
    assert {(error["row"], error["column"]) for error in refused["errors"]} >= {(2, None)}
    assert {error["row"] for error in refused["errors"]} == {2, 3}
    gb = f"{OWNER},{NAME},{DUE}\n{organization['uscc']},低保对象,2026/12/31\n".encode("gb18030")
    assert await taken(node, "duty", gb, node.steward(organization)) == counts(1, created=1)


async def test_a_workbook_is_read_from_the_sheet_that_is_named_with_formulas_as_their_values(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["说明", "别的"])
        other = book.add_worksheet("责任")
        other.write_row(0, 0, [OWNER, NAME, DUE])
        other.write_string(1, 0, organization["uscc"])
        other.write_formula(1, 1, '="低保"&"对象"', value="低保对象")
        other.write_datetime(1, 2, date(2026, 12, 31), book.add_format({"num_format": "yyyy-mm-dd"}))

    content = as_xlsx(fill)
    is_problem(await sent(node, "duty", content, headers, XLSX), 422)
    missing = is_problem(await sent(node, "duty", content, headers, XLSX, sheet="没有"), 422)
    assert "责任" in missing["detail"]
    assert await taken(node, "duty", content, headers, XLSX, sheet="责任") == counts(1, created=1)
    assert [(one["name"], one["due_on"]) for one in await listed(node, "duty")] == [("低保对象", "2026-12-31")]

    def unfilled(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, [OWNER, NAME, DUE])
        sheet.write_row(1, 0, [organization["uscc"], None, "2026-12-31"])
        sheet.write_formula(1, 1, '="x"', value="")

    refused = is_problem(await sent(node, "duty", as_xlsx(unfilled), headers, XLSX), 422, "import-refused")
    assert [(error["row"], error["column"]) for error in refused["errors"]] == [(1, NAME)]


async def test_systems_are_registered_from_a_file_once(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    headers = node.steward(organization)
    await node.system(organization, "婚姻登记系统")
    title = "信息系统名称"
    rows = [{OWNER: organization["uscc"], title: name, "系统类型": kind} for name, kind in (("婚姻登记系统", ""), ("低保系统", "国垂"))]
    assert await taken(node, "system", as_csv(rows), headers) == counts(2, created=1, unchanged=1)
    assert await taken(node, "system", as_csv(rows), headers) == counts(2, unchanged=2)
    assert [event.name for event in await node.events() if isinstance(event, SystemRegistered)] == ["婚姻登记系统", "低保系统"]
    exports = from_csv(await exported(node, "system", "csv", headers))
    assert [(row[title], row["系统类型"]) for row in exports] == [("低保系统", "国垂"), ("婚姻登记系统", "自建")]
    for wrong, column in (({title: ""}, title), ({title: "ＡＢ"}, title), ({OWNER: "x"}, OWNER), ({"系统类型": "县垂"}, "系统类型")):
        content = as_csv([rows[0] | {title: "新系统"}, rows[1] | {title: "另一系统"} | wrong])
        refused = is_problem(await sent(node, "system", content, headers), 422, "import-refused")
        assert [(error["row"], error["column"]) for error in refused["errors"]] == [(2, column)]
    assert len(await listed(node, "system")) == 2, "nothing is half-written"
    other = await node.organization("另一局")
    is_problem(await sent(node, "system", as_csv(rows), node.steward(other)), 422, "import-refused")


def guide_row(organization: dict[str, Any], item: str, **cells: Any) -> dict[str, Any]:
    first = {
        "信息资源分类": "3/30/102/01",
        "信息资源名称": "街道办事处名录",
        "信息资源提供方代码": organization["uscc"],
        "信息资源摘要": "全市街道的代码和名称",
        "信息项名称": item,
        "数据类型": "字符型C",
        "数据长度": "60",
        "涉密属性": "非涉密",
        "共享类型": "无条件共享",
        "是否向社会开放": "是",
        "更新周期": "每月",
        "所属信息系统": "婚姻登记系统",
        "信息项代码": "",
        "是否主键": "",
    }
    return first | cells


async def test_resources_are_entered_as_drafts_from_the_guides_template_with_merged_cells(node: Any) -> None:
    organization, _ = await node.provider()
    titles = list(guide_row(organization, ""))
    items = [("街道代码", "street_code", "是"), ("街道名称", "street_name", ""), ("户数", "", "")]

    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, titles)
        of_items = ("信息项名称", "数据类型", "数据长度", "信息项代码", "是否主键")
        for place, title in enumerate(titles):
            if title not in of_items:
                sheet.merge_range(1, place, 3, place, guide_row(organization, "")[title])
        for number, (name, code, key) in enumerate(items, 1):
            cells = {"信息项名称": name, "数据类型": "字符型C", "数据长度": 60, "信息项代码": code, "是否主键": key}
            for title, value in cells.items():
                sheet.write(number, titles.index(title), value)

    assert await taken(node, "data", as_xlsx(fill), node.steward(organization), XLSX) == counts(3, created=3)
    [draft] = (await node.client.get("/v1/resources", headers=node.authority)).json()["items"]
    made = (await node.client.get(f"/v1/resources/{draft['resource_id']}", headers=node.authority)).json()
    assert (made["state"], made["update_cycle"], made["open_type"], made["key"]) == ("draft", "MONTHLY", "UNCONDITIONAL", ["street_code"])
    assert [(item["code"], item["name"], item["length"]) for item in made["items"]] == [
        ("street_code", "街道代码", 60),
        ("street_name", "街道名称", 60),
        ("item_3", "户数", 60),
    ]
    assert await taken(node, "data", as_xlsx(fill), node.steward(organization), XLSX) == counts(3, unchanged=3)


UNSHARED = {
    "sharing_type": "NOT_SHARED",
    "non_sharing_basis": {"kind": "law", "title": "中华人民共和国档案法", "article": "第二十七条"},
    "sharing_reason": "档案未开放",
    "census": {"total_gb": 1.5, "total_rows_10k": 12},
}
CONDITIONAL = {
    "sharing_type": "CONDITIONAL",
    "sharing_condition": "限本市民政业务",
    "sharing_scope": "市县民政部门",
    "sharing_purposes": ["WORK_REFERENCE", "DATA_CHECKING"],
    "sharing_reason": "含个人信息",
    "format_class": "DATABASE",
    "format_type": "MySQL",
    "sharing_mode": "API",
    "sharing_channel": "PLATFORM",
    "open_type": "CONDITIONAL",
    "open_condition": "签订协议",
}


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("more", [UNSHARED, CONDITIONAL], ids=["not shared", "conditional"])
async def test_the_catalogue_is_exported_in_the_guides_columns_and_makes_the_same_entries_elsewhere(
    node: Any, form: str, more: dict[str, Any]
) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system, **more)
    content = await exported(node, "data", form, node.headers(None))
    media = CSV if form == "csv" else XLSX
    assert await taken(node, "data", content, node.steward(organization), media) == counts(3, unchanged=3)
    if form == "xlsx":
        return
    rows = from_csv(content)
    assert [row["信息项名称"] for row in rows] == ["街道代码", "街道名称", "户数"]
    assert rows[0]["信息资源代码"] == made["resource_code"]
    assert (rows[0]["共享类型"], rows[0]["更新周期"]) == ("不予共享" if more is UNSHARED else "有条件共享", "每月")
    other = await node.organization("另一局")
    await node.system(other)
    moved = as_csv([row | {"信息资源提供方代码": other["uscc"]} for row in rows])
    assert await taken(node, "data", moved, node.steward(other)) == counts(3, created=3)
    copies = (await node.client.get("/v1/resources", params={"provider": other["organization_id"]}, headers=node.authority)).json()
    copy = (await node.client.get(f"/v1/resources/{copies['items'][0]['resource_id']}", headers=node.authority)).json()
    for name in ("name", "summary", "class_path", "key", "update_cycle", "steward", *more):
        assert copy[name] == made[name], name
    assert [(item["code"], item["name"], item["data_type"], item["length"]) for item in copy["items"]] == [
        (item["code"], item["name"], item["data_type"], item["length"]) for item in made["items"]
    ]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"信息资源分类": "9/1"}, "信息资源分类"),
        ({"信息资源摘要": ""}, "信息资源摘要"),
        ({"信息资源名称": "婚姻登记系统"}, "信息资源名称"),
        ({"信息资源提供方代码": "没有"}, "信息资源提供方代码"),
        ({"所属信息系统": "没有"}, "所属信息系统"),
        ({"共享类型": "随便"}, "共享类型"),
        ({"共享类型": "有条件共享"}, "共享条件"),
        ({"共享类型": "不予共享"}, "不予共享依据类型"),
        ({"更新周期": "有空就更"}, "更新周期"),
        ({"涉密属性": "涉密"}, "涉密属性"),
        ({"是否向社会开放": "也许"}, "是否向社会开放"),
        ({"数据类型": "文字"}, "数据类型"),
        ({"数据类型": ""}, "数据类型"),
        ({"数据长度": "长"}, "数据长度"),
        ({"数据长度": "0"}, "数据长度"),
        ({"信息项名称": ""}, "信息项名称"),
        ({"信息项代码": "1码"}, "信息项代码"),
        ({"是否主键": "大概"}, "是否主键"),
        ({"使用用途": "玩"}, "使用用途"),
    ],
)
async def test_a_wrong_cell_of_the_guides_template_is_named_and_no_resource_entered(
    strict_node: Any, is_problem: Any, cells: dict[str, str], column: str
) -> None:
    organization = strict_node.organization_made
    good = guide_row(organization, "名称", **{"信息资源名称": "好的资源"})
    content = as_csv([good, guide_row(organization, "代码", **cells)])
    refused = is_problem(await sent(strict_node, "data", content, strict_node.steward(organization)), 422, "import-refused")
    assert (2, column) in {(error["row"], error["column"]) for error in refused["errors"]}, refused
    assert {error["row"] for error in refused["errors"]} == {2}
    assert (await strict_node.client.get("/v1/resources", headers=strict_node.authority)).json()["items"] == []


async def test_a_resource_of_a_file_is_taken_with_all_its_rows_or_not_at_all(node: Any, is_problem: Any) -> None:
    organization, _ = await node.provider()
    rows = [
        guide_row(organization, "甲", **{"信息资源名称": "一"}),
        guide_row(organization, "乙", **{"信息资源名称": "一", "更新周期": "每日"}),
        guide_row(organization, "甲", **{"信息资源名称": "二"}),
        guide_row(organization, "乙", **{"信息资源名称": "三"}),
        guide_row(organization, "丙", **{"信息资源名称": "二"}),
    ]
    answer = (await sent(node, "data", as_csv(rows), node.steward(organization), mode="good")).json()
    assert {name: value for name, value in answer.items() if name != "faults"} == counts(5, created=2, refused=3)
    assert {fault["row"] for fault in answer["faults"]} == {1, 2, 5}
    names = {one["name"] for one in (await node.client.get("/v1/resources", headers=node.authority)).json()["items"]}
    assert names == {"二", "三"}
    orphan = guide_row(organization, "甲", **{"信息资源名称": ""})
    is_problem(await sent(node, "data", as_csv([orphan]), node.steward(organization)), 422, "import-refused")


async def test_a_hundred_thousand_rows_of_a_workbook_are_entered_by_one_import(node: Any) -> None:
    organization = await node.organization()
    rows = [[organization["uscc"], f"事项{number}", "2026-12-31"] for number in range(100_000)]
    content = as_xlsx(table([OWNER, NAME, DUE], rows))
    assert await taken(node, "duty", content, node.steward(organization), XLSX) == counts(100_000, created=100_000)
    counted = (await node.client.get("/v1/lists", headers=node.headers(None))).json()
    assert next(one for one in counted if one["kind"] == "duty")["entry_count"] == 100_000


async def test_two_imports_of_one_file_at_once_enter_it_once(node: Any) -> None:
    organization, _ = await node.provider()
    headers = node.steward(organization)
    files = {
        "duty": as_csv([duty(organization, f"事项{number}") for number in range(50)]),
        "system": as_csv([{OWNER: organization["uscc"], "信息系统名称": f"系统{number}"} for number in range(5)]),
        "data": as_csv([guide_row(organization, "甲", **{"信息资源名称": f"资源{number}"}) for number in range(5)]),
    }
    for kind, content in files.items():
        found = await asyncio.gather(*(taken(node, kind, content, headers) for _ in range(3)))
        received = found[0]["received_count"]
        assert sorted(one["created_count"] for one in found) == [0, 0, received], kind
        assert sum(one["unchanged_count"] for one in found) == 2 * received


async def test_a_character_the_database_cannot_hold_is_refused_in_every_column(node: Any, is_problem: Any) -> None:
    organization, _ = await node.provider()
    headers = node.steward(organization)
    for column in ("信息资源代码", "信息系统名称", OWNER, NAME, CONTENT):
        refused = await sent(node, "duty", as_csv([duty(organization) | {column: "a\0b"}]), headers)
        assert {error["row"] for error in is_problem(refused, 422, "import-refused")["errors"]} == {1}, column
    sheet = as_xlsx(table([OWNER, NAME, DUE, "信息资源代码"], [[organization["uscc"], "甲", "2026-12-31", "a_x0000_b"]]))
    is_problem(await sent(node, "duty", sheet, headers, XLSX), 422, "import-refused")


async def test_more_systems_or_resources_than_one_import_takes_are_refused_with_the_limit(strict_node: Any, is_problem: Any) -> None:
    organization = strict_node.organization_made
    headers = strict_node.steward(organization)
    systems = as_csv([{OWNER: organization["uscc"], "信息系统名称": f"系统{number}"} for number in range(5_001)])
    assert is_problem(await sent(strict_node, "system", systems, headers), 413, "import-too-large")["max_rows"] == 5_000
    resources = as_csv([guide_row(organization, "甲", **{"信息资源名称": f"资源{number}"}) for number in range(2_001)])
    assert is_problem(await sent(strict_node, "data", resources, headers), 413, "import-too-large")["max_resources"] == 2_000
    assert len(await listed(strict_node, "system")) == 1


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/v1/lists/data/file", "resource"),
        ("/v1/reports/coverage", "resource"),
        ("/v1/reports/stale", "resource"),
        ("/v1/editions/2026/content", "edition"),
        ("/v1/editions/2025/comparison?with=2026", "edition"),
    ],
)
async def test_files_are_read_for_two_at_a_time_and_refused_when_many_wait(node: Any, is_problem: Any, path: str, table: str) -> None:
    headers = node.authority | {"Accept": CSV}
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    async with node.sessions() as held, node.sessions() as watch, asyncio.timeout(20):
        while (await node.client.get("/v1/search", headers=headers)).status_code != 200:  # the search index reads resources at first
            await asyncio.sleep(0.01)
        await held.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        asked = [
            asyncio.ensure_future(node.client.get(f"{path}{'&' if '?' in path else '?'}format=csv", headers=headers)) for _ in range(23)
        ]
        while sum(one.done() for one in asked) < 3:
            await asyncio.sleep(0.01)
        while (reading := await watch.scalar(waiting)) < 2:
            await watch.rollback()  # the next look sees the statistics anew
            await asyncio.sleep(0.01)
        refused = [one.result() for one in asked if one.done()]
        await held.commit()
        answers = await asyncio.gather(*asked)
    assert (reading, len(refused)) == (2, 3)
    assert is_problem(refused[0], 503, "exports-busy")["detail"]
    assert sorted(answer.status_code for answer in answers) == [200 if table == "resource" else 404] * 20 + [503] * 3
