"""Lists as CSV and XLSX: what is exported, what is read from a file, and what is no file of a list."""

import asyncio
import io
import zipfile
from datetime import date
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from catalog_svc.formats import frames_of, guarded, unguarded

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OWNER, NAME, DUE = "责任部门统一社会信用代码", "名称", "完成期限"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
async def test_what_is_exported_is_imported_as_it_is_and_nothing_changes(node: Any, files: Any, form: str) -> None:
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
        content = await files.exported(node, kind, form, node.headers(None))
        media = CSV if form == "csv" else XLSX
        assert await files.taken(node, kind, content, node.steward(organization), media) == files.counts(1, unchanged=1), kind
        assert await files.listed(node, kind) == [made]


async def test_a_text_a_spreadsheet_would_run_is_guarded_in_csv_and_plain_text_in_xlsx(node: Any, files: Any) -> None:
    organization = await node.organization('=HYPERLINK("x")局')
    for name in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "＝1"):
        answer = await node.client.post(
            "/v1/lists/scenario", json={"name": name, "due_on": "2026-12-31"}, headers=node.steward(organization)
        )
        assert answer.status_code == 201, answer.text
    rows = files.from_csv(await files.exported(node, "scenario", "csv", node.headers(None)))
    assert all(row[NAME][0] == "'" and row["责任部门"][0] == "'" for row in rows)
    content = await files.exported(node, "scenario", "xlsx", node.headers(None))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")


def test_a_guarded_text_comes_back_as_it_was() -> None:
    frame = pl.DataFrame({"a": ["=1", "'=1", "''-1", "a", None, "'a", "", "\t1"]})
    shown = guarded(frame)["a"].to_list()
    assert shown == ["'=1", "''=1", "'''-1", "a", None, "'a", "", "'\t1"]
    assert unguarded(guarded(frame)).equals(frame)
    assert [part.height for part in frames_of(({"a": 1} for _ in range(7)), {"a": "甲"}, size=3)] == [3, 3, 1]


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
async def test_a_file_that_is_not_the_lists_is_refused(
    strict_node: Any, files: Any, is_problem: Any, content: bytes, media: str, status: int
) -> None:
    is_problem(await files.sent(strict_node, "duty", content, strict_node.steward(strict_node.organization_made), media), status)


async def test_an_xlsx_with_one_cell_far_from_its_table_is_refused(strict_node: Any, files: Any, is_problem: Any) -> None:
    def fill(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, [OWNER, NAME, DUE])
        sheet.write(1_048_575, 16_383, "x")

    headers = strict_node.steward(strict_node.organization_made)
    assert "XFD1048576" in is_problem(await files.sent(strict_node, "duty", files.as_xlsx(fill), headers, XLSX), 413)["detail"]


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


async def test_a_broken_line_and_bytes_that_are_no_text_are_named_by_row(node: Any, files: Any, is_problem: Any) -> None:
    organization = await node.organization()
    good = f"{organization['uscc']},甲,2026-12-31\n".encode()
    content = f"{OWNER},{NAME},{DUE}\n".encode() + good + b"one,two\n" + b"\xff\xfe,x,2026-12-31\n"
    refused = is_problem(await files.sent(node, "duty", content, node.steward(organization)), 422, "import-refused")
    assert {(error["row"], error["column"]) for error in refused["errors"]} >= {(2, None)}
    assert {error["row"] for error in refused["errors"]} == {2, 3}
    gb = f"{OWNER},{NAME},{DUE}\n{organization['uscc']},低保对象,2026/12/31\n".encode("gb18030")
    assert await files.taken(node, "duty", gb, node.steward(organization)) == files.counts(1, created=1)


async def test_a_workbook_is_read_from_the_sheet_that_is_named_with_formulas_as_their_values(
    node: Any, files: Any, is_problem: Any
) -> None:
    organization = await node.organization()
    headers = node.steward(organization)

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["说明", "别的"])
        other = book.add_worksheet("责任")
        other.write_row(0, 0, [OWNER, NAME, DUE])
        other.write_string(1, 0, organization["uscc"])
        other.write_formula(1, 1, '="低保"&"对象"', value="低保对象")
        other.write_datetime(1, 2, date(2026, 12, 31), book.add_format({"num_format": "yyyy-mm-dd"}))

    content = files.as_xlsx(fill)
    is_problem(await files.sent(node, "duty", content, headers, XLSX), 422)
    missing = is_problem(await files.sent(node, "duty", content, headers, XLSX, sheet="没有"), 422)
    assert "责任" in missing["detail"]
    assert await files.taken(node, "duty", content, headers, XLSX, sheet="责任") == files.counts(1, created=1)
    assert [(one["name"], one["due_on"]) for one in await files.listed(node, "duty")] == [("低保对象", "2026-12-31")]

    def unfilled(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, [OWNER, NAME, DUE])
        sheet.write_row(1, 0, [organization["uscc"], None, "2026-12-31"])
        sheet.write_formula(1, 1, '="x"', value="")

    refused = is_problem(await files.sent(node, "duty", files.as_xlsx(unfilled), headers, XLSX), 422, "import-refused")
    assert [(error["row"], error["column"]) for error in refused["errors"]] == [(1, NAME)]


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
