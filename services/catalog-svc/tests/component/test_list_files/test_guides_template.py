"""The data list as a file: the columns of the guide's template, and resources entered from it."""

import csv
import io
from typing import Any

import fastexcel
import pytest

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


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


async def test_resources_are_entered_as_drafts_from_the_guides_template_with_merged_cells(node: Any, files: Any) -> None:
    organization, _ = await node.provider()
    titles = list(files.guide_row(organization, ""))
    items = [("街道代码", "street_code", "是"), ("街道名称", "street_name", ""), ("户数", "", "")]

    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, titles)
        of_items = ("信息项名称", "数据类型", "数据长度", "信息项代码", "是否主键")
        for place, title in enumerate(titles):
            if title not in of_items:
                sheet.merge_range(1, place, 3, place, files.guide_row(organization, "")[title])
        for number, (name, code, key) in enumerate(items, 1):
            cells = {"信息项名称": name, "数据类型": "字符型C", "数据长度": 60, "信息项代码": code, "是否主键": key}
            for title, value in cells.items():
                sheet.write(number, titles.index(title), value)

    assert await files.taken(node, "data", files.as_xlsx(fill), node.steward(organization), XLSX) == files.counts(3, created=3)
    [draft] = (await node.client.get("/v1/resources", headers=node.authority)).json()["items"]
    made = (await node.client.get(f"/v1/resources/{draft['resource_id']}", headers=node.authority)).json()
    assert (made["state"], made["update_cycle"], made["open_type"], made["key"]) == ("draft", "MONTHLY", "UNCONDITIONAL", ["street_code"])
    assert [(item["code"], item["name"], item["length"]) for item in made["items"]] == [
        ("street_code", "街道代码", 60),
        ("street_name", "街道名称", 60),
        ("item_3", "户数", 60),
    ]
    assert await files.taken(node, "data", files.as_xlsx(fill), node.steward(organization), XLSX) == files.counts(3, unchanged=3)


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
    node: Any, files: Any, form: str, more: dict[str, Any]
) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system, **more)
    content = await files.exported(node, "data", form, node.headers(None))
    media = CSV if form == "csv" else XLSX
    assert await files.taken(node, "data", content, node.steward(organization), media) == files.counts(3, unchanged=3)
    if form == "xlsx":
        return
    rows = files.from_csv(content)
    assert [row["信息项名称"] for row in rows] == ["街道代码", "街道名称", "户数"]
    assert rows[0]["信息资源代码"] == made["resource_code"]
    assert (rows[0]["共享类型"], rows[0]["更新周期"]) == ("不予共享" if more is UNSHARED else "有条件共享", "每月")
    other = await node.organization("另一局")
    await node.system(other)
    moved = files.as_csv([row | {"信息资源提供方代码": other["uscc"]} for row in rows])
    assert await files.taken(node, "data", moved, node.steward(other)) == files.counts(3, created=3)
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
    strict_node: Any, files: Any, is_problem: Any, cells: dict[str, str], column: str
) -> None:
    organization = strict_node.organization_made
    good = files.guide_row(organization, "名称", **{"信息资源名称": "好的资源"})
    content = files.as_csv([good, files.guide_row(organization, "代码", **cells)])
    refused = is_problem(await files.sent(strict_node, "data", content, strict_node.steward(organization)), 422, "import-refused")
    assert (2, column) in {(error["row"], error["column"]) for error in refused["errors"]}, refused
    assert {error["row"] for error in refused["errors"]} == {2}
    assert (await strict_node.client.get("/v1/resources", headers=strict_node.authority)).json()["items"] == []


async def test_a_resource_of_a_file_is_taken_with_all_its_rows_or_not_at_all(node: Any, files: Any, is_problem: Any) -> None:
    organization, _ = await node.provider()
    rows = [
        files.guide_row(organization, "甲", **{"信息资源名称": "一"}),
        files.guide_row(organization, "乙", **{"信息资源名称": "一", "更新周期": "每日"}),
        files.guide_row(organization, "甲", **{"信息资源名称": "二"}),
        files.guide_row(organization, "乙", **{"信息资源名称": "三"}),
        files.guide_row(organization, "丙", **{"信息资源名称": "二"}),
    ]
    answer = (await files.sent(node, "data", files.as_csv(rows), node.steward(organization), mode="good")).json()
    assert {name: value for name, value in answer.items() if name != "faults"} == files.counts(5, created=2, refused=3)
    assert {fault["row"] for fault in answer["faults"]} == {1, 2, 5}
    names = {one["name"] for one in (await node.client.get("/v1/resources", headers=node.authority)).json()["items"]}
    assert names == {"二", "三"}
    orphan = files.guide_row(organization, "甲", **{"信息资源名称": ""})
    is_problem(await files.sent(node, "data", files.as_csv([orphan]), node.steward(organization)), 422, "import-refused")
