"""Files of codes: CSV and XLSX taken in whole or not at all, bad rows named, sources side by side; and the sets that come along."""

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog_svc.code_set.shipped import SHIPPED
from dxmesh_schemas.catalog_events import CodeSetPublished

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GOOD = "code,label,valid_from,valid_until,successors\n1,甲,,2013-10-18,2;3\n2,乙,2013/10/18,,\n3,丙,,,\n"


async def send(node: Any, body: str | bytes, name: str = "own", media: str = "text/csv", **params: Any) -> Any:
    content = body.encode() if isinstance(body, str) else body
    return await node.client.post(
        f"/v1/code-sets/{name}/import",
        params={"title": "自用代码"} | params,
        content=content,
        headers=node.authority | {"Content-Type": media},
    )


def workbook(rows: dict[str, list[Any]], path: Path) -> bytes:
    pl.DataFrame(rows).write_excel(path)
    return path.read_bytes()


async def test_a_csv_makes_a_version_and_the_same_again_makes_none(node: Any) -> None:
    made = await send(node, GOOD)
    assert made.status_code == 201, made.text
    assert {name: made.json()[name] for name in ("version", "code_count", "entry_count", "refused_count")} == {
        "version": 1, "code_count": 2, "entry_count": 3, "refused_count": 0,
    }  # fmt: skip
    assert (await send(node, GOOD)).status_code == 200
    found = (await node.client.get("/v1/code-sets/own/codes/1", headers=node.authority)).json()
    assert [step["code"] for step in found["became"]] == ["2", "3"]
    assert [event.codes for event in await node.events() if isinstance(event, CodeSetPublished)] == [("2", "3")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
async def test_chinese_headers_and_encodings_are_understood(node: Any, encoding: str) -> None:
    made = await send(node, "代码;名称;停用日期;已停用\n1;甲;2013年10月18日;\n2;乙;;是\n3;丙;;\n".encode(encoding))
    assert made.status_code == 201, made.text
    answer = await node.client.get("/v1/code-sets/own/codes", headers=node.authority)
    assert [(one["code"], one["label"], one["standing"]) for one in answer.json()["items"]] == [
        ("1", "甲", "retired"), ("2", "乙", "retired"), ("3", "丙", "valid"),
    ]  # fmt: skip


async def test_a_workbook_is_read_and_its_numbers_stay_codes(node: Any, tmp_path: Path) -> None:
    made = await send(node, workbook({"代码": [330603, 330621], "名称": ["柯桥区", "绍兴县"]}, tmp_path / "a.xlsx"), media=XLSX)
    assert made.status_code == 201, made.text
    assert (await node.client.get("/v1/code-sets/own", headers=node.authority)).json()["codes"] == ["330603", "330621"]
    assert (await send(node, workbook({"a": [1]}, tmp_path / "b.xlsx"), media=XLSX)).status_code == 422


async def test_each_source_is_replaced_by_itself(node: Any) -> None:
    await send(node, "code,label\n1,甲\n2,乙\n", source="first list")
    beside = await send(node, "code,label\n2,乙\n3,丙\n", source="second list")
    assert (beside.json()["version"], beside.json()["code_count"], beside.json()["entry_count"]) == (2, 3, 4)
    again = await send(node, "code,label\n4,丁\n", source="second list")
    assert (again.json()["version"], again.json()["entry_count"]) == (3, 3)
    codes = (await node.client.get("/v1/code-sets/own", headers=node.authority)).json()["codes"]
    assert sorted(codes) == ["1", "2", "4"]


BAD = "code,label,valid_from,is_retired\n1,甲,2013-13-01,\n,乙,,\n3,丙,,maybe\n4,丁\u200b,,\n5,戊,,\n"


async def test_every_bad_row_of_a_file_is_named_and_nothing_is_kept(node: Any, is_problem: Any) -> None:
    refused = is_problem(await send(node, BAD), 422, "code-set-invalid")
    assert [error["pointer"] for error in refused["errors"]] == ["/rows/1/valid_from", "/rows/2/code", "/rows/3/is_retired"]
    refused = is_problem(await send(node, "code,label\n1,甲\n1,乙\n2,\u200b丙\n"), 422)
    assert [error["pointer"] for error in refused["errors"]] == ["/rows/3/label"]
    refused = is_problem(await send(node, "code,label,parent\n1,甲,\n\n1,乙,\n2,丙,9\n"), 422)
    assert [error["pointer"] for error in refused["errors"]] == ["/rows/2/code", "/rows/3/parent"]
    assert "/rows/1/code" in refused["errors"][0]["detail"]
    assert (await node.client.get("/v1/code-sets/own", headers=node.authority)).status_code == 404
    assert await node.events() == []


async def test_the_good_rows_are_taken_when_asked_and_the_bad_ones_named(node: Any) -> None:
    made = await send(node, BAD, skip_bad=True)
    assert made.status_code == 201, made.text
    assert [one["pointer"] for one in made.json()["refused"]] == [
        "/rows/1/valid_from",
        "/rows/2/code",
        "/rows/3/is_retired",
        "/rows/4/label",
    ]
    assert made.json()["entry_count"] == 1
    orphaned = await send(node, "code,parent\n1,\n2,3\n3,9\n4,1\n", skip_bad=True)
    assert [one["pointer"] for one in orphaned.json()["refused"]] == ["/rows/3/parent", "/rows/2/parent"]
    assert orphaned.json()["entry_count"] == 2


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("", 400, "empty"),
        ("code,label\n", 400, "no data rows"),
        ("label\n甲\n", 422, "code"),
        ("code,latitude\n1,2\n", 422, "latitude"),
        ("code,code\n1,2\n", 422, "twice"),
        ('code,label\n1,"甲\n', 422, "/rows/1"),
        ("code,label\n1,甲,乙\n", 422, "/rows/1"),
        ("code,is_retired\n1,1\n", 422, "no code in force"),
    ],
)
async def test_a_file_that_is_no_list_of_codes_is_refused(strict_node: Any, is_problem: Any, body: str, status: int, said: str) -> None:
    refused = is_problem(await send(strict_node, body, "bad-file"), status)
    assert said in str(refused)
    is_problem(await strict_node.client.get("/v1/code-sets/bad-file", headers=strict_node.authority), 404)


async def test_other_media_unknown_parameters_strangers_and_new_sets_without_title_are_refused(strict_node: Any, is_problem: Any) -> None:
    is_problem(await send(strict_node, "{}", media="application/json"), 415)
    is_problem(await send(strict_node, b"PK\x03\x04 no workbook", media=XLSX), 400)
    is_problem(await send(strict_node, GOOD, sheets="1"), 422)
    is_problem(await send(strict_node, GOOD, parent_set="Not A Name"), 422)
    headers = strict_node.authority | {"Content-Type": "text/csv"}
    refused = is_problem(await strict_node.client.post("/v1/code-sets/untitled/import", content=GOOD, headers=headers), 422)
    assert [error["pointer"] for error in refused["errors"]] == ["query:title"]
    steward = strict_node.steward(strict_node.organization_made) | {"Content-Type": "text/csv"}
    is_problem(await strict_node.client.post("/v1/code-sets/own/import", content=GOOD, headers=steward), 403)


async def test_a_file_of_streets_larger_than_an_event_is_refused_with_a_way_out(node: Any, is_problem: Any) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["code"], *([f"{number:09d}"] for number in range(41_352))])
    refused = is_problem(await send(node, text.getvalue()), 422, "code-set-invalid")
    assert "41352 codes in force" in refused["detail"]
    assert "streets of each province" in refused["detail"]
    assert (await node.client.get("/v1/code-sets/own", headers=node.authority)).status_code == 404


async def test_every_set_that_comes_along_can_be_put_in_force_and_again_changes_nothing(node: Any, is_problem: Any) -> None:
    listed = (await node.client.get("/v1/shipped-code-sets", headers=node.headers(None))).json()
    assert [one["name"] for one in listed] == [one.name for one in SHIPPED]
    assert all(one["licence"] and one["source"] for one in listed)
    for one in listed:
        path = f"/v1/shipped-code-sets/{one['name']}/publication"
        made = await node.client.post(path, headers=node.authority)
        assert made.status_code == 201, made.text
        assert (await node.client.post(path, headers=node.authority)).status_code == 200
    shown = {name: (await node.client.get(f"/v1/code-sets/{name}", headers=node.authority)).json() for name in ("gb-t-4754", "iso-4217")}
    assert shown["gb-t-4754"]["kind"] == "industry"
    assert {"A", "01", "011", "0111", "9620"} & set(shown["gb-t-4754"]["codes"]) >= {"A", "01", "011", "0111"}
    assert {"CNY", "EUR"} <= set(shown["iso-4217"]["codes"])
    path = (await node.client.get("/v1/code-sets/gb-t-4754/codes/0111", headers=node.authority)).json()["path"]
    assert [one["code"] for one in path] == ["A", "01", "011"]
    county = (await node.client.get("/v1/code-sets/gb-t-2260.zhejiang/codes/330621", headers=node.authority)).json()
    assert county["text"] == "330621 绍兴县 is retired since 2013-10-18; it became 330603 柯桥区"
    is_problem(await node.client.post("/v1/shipped-code-sets/none/publication", headers=node.authority), 404, "shipped-code-set-not-found")
    is_problem(await node.client.post("/v1/shipped-code-sets/iso-4217/publication", headers=node.headers(None, "steward")), 403)
