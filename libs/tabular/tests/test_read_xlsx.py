"""XLSX: cells as text, identifiers whole, bombs and damage refused."""

import io
import re
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid, TooLarge, Unreadable
from dxmesh_tabular import read_xlsx
from dxmesh_tabular.media import MediaType

ITEMS = [
    DataItem(code="code", name="代码", data_type=DataType.TEXT),
    DataItem(code="n", name="数", data_type=DataType.INTEGER),
    DataItem(code="y", name="元", data_type=DataType.MONEY),
    DataItem(code="d", name="日", data_type=DataType.DATE),
    DataItem(code="t", name="时", data_type=DataType.DATETIME),
    DataItem(code="l", name="否", data_type=DataType.LOGICAL),
]


def workbook(*rows: list[object], sheets: tuple[str, ...] = ("Sheet1",)) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        day, instant = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for name in sheets:
            sheet = book.add_worksheet(name)
            for place, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if isinstance(cell, datetime):
                        sheet.write_datetime(place, column, cell, instant)
                    elif isinstance(cell, date):
                        sheet.write_datetime(place, column, cell, day)
                    else:
                        sheet.write(place, column, cell)
    return out.getvalue()


def test_cells_are_typed_by_the_items_and_whole_numbers_stay_whole(reader: Any) -> None:
    body = workbook(
        ["code", "数", "元", "日", "时", "否"],
        [110101, 5, 1.25, date(2020, 2, 29), datetime(2020, 1, 2, 8, tzinfo=UTC).replace(tzinfo=None), True],
        ["007", "6", "2", "2020/3/1"],
    )
    got = reader(body, ITEMS, MediaType.XLSX)
    assert got.rows.drop("t").rows() == [
        (1, "110101", 5, Decimal("1.25"), date(2020, 2, 29), True),
        (2, "007", 6, Decimal("2.00"), date(2020, 3, 1), None),
    ]
    assert got.rows["t"].dt.to_string("iso:strict").to_list() == ["2020-01-02T00:00:00.000000+00:00", None]


def test_a_blank_row_is_no_row_and_keeps_its_number(reader: Any) -> None:
    got = reader(workbook([], ["code", "n"], ["a", 1], [], ["b", "x"], ["c", 3]), ITEMS, MediaType.XLSX)
    assert got.rows.select("row_", "code").rows() == [(1, "a"), (4, "c")]
    assert got.faults == [(3, "n", "type")]


def test_a_sheet_is_chosen_by_name(reader: Any) -> None:
    body = workbook(["code"], ["a"], sheets=("一", "二"))
    assert reader(body, ITEMS, MediaType.XLSX, sheet="二").rows.height == 1
    with pytest.raises(Invalid, match="it has: 一, 二"):
        reader(body, ITEMS, MediaType.XLSX, sheet="三")


def test_columns_are_matched_as_in_every_format(reader: Any) -> None:
    with pytest.raises(Invalid) as caught:
        reader(workbook(["code", "other", "code"], ["a", "b", "c"]), ITEMS, MediaType.XLSX)
    assert [error["pointer"] for error in caught.value.members["errors"]] == ["/columns/1", "/columns/2"]


@pytest.mark.parametrize("body", [workbook(), workbook(["code"]), b"code\n1\n", b"PK\x03\x04", b"", workbook(["code"], ["a"])[:-200]])
def test_what_is_no_workbook_with_rows_is_unreadable(reader: Any, body: bytes) -> None:
    with pytest.raises(Unreadable):
        reader(body, ITEMS, MediaType.XLSX)


def test_every_cut_of_a_workbook_is_a_problem_and_no_crash(reader: Any) -> None:
    body = workbook(["code"], ["a"])
    for end in range(1, len(body), 97):
        with pytest.raises(Unreadable):
            reader(body[:end], ITEMS, MediaType.XLSX)


def test_every_changed_byte_is_a_problem_or_a_table_and_no_crash(reader: Any) -> None:
    body = bytearray(workbook(["code"], ["a"]))
    for place in range(0, len(body), 41):
        changed = bytes(body[:place]) + bytes([body[place] ^ 0xFF]) + bytes(body[place + 1 :])
        try:
            reader(changed, ITEMS, MediaType.XLSX)
        except (Unreadable, Invalid, TooLarge):
            continue


def bomb(inflated: int, declared: int | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/_rels/workbook.xml.rels", "")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * inflated)
    body = out.getvalue()
    if declared is not None:
        body = body.replace(inflated.to_bytes(4, "little"), declared.to_bytes(4, "little"))
    return body


def test_a_zip_bomb_is_too_large_by_what_it_declares(reader: Any) -> None:
    with pytest.raises(TooLarge, match="inflates more than"):
        reader(bomb(50 << 20), ITEMS, MediaType.XLSX)


def test_a_zip_bomb_that_declares_little_is_too_large_by_inflating_it(reader: Any) -> None:
    with pytest.raises(TooLarge, match="beyond the size it declares"):
        reader(bomb(50 << 20, declared=1000), ITEMS, MediaType.XLSX)


def test_parts_that_are_too_large_together_are_too_large(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = workbook(["code"], *([f"{n:09d}"] for n in range(20_000)))
    assert reader(body, ITEMS, MediaType.XLSX).rows.height == 20_000
    monkeypatch.setattr(read_xlsx, "MAX_INFLATED_BYTES", 1 << 20)
    with pytest.raises(TooLarge, match="CSV or Parquet"):
        reader(body, ITEMS, MediaType.XLSX)


SHEET = "xl/worksheets/sheet1.xml"


def with_sheet(
    data: str, *, part: str = SHEET, compression: int = zipfile.ZIP_DEFLATED, prefix: str = "", dimension: str = "A1:B2"
) -> bytes:
    """Return a workbook whose one sheet holds these rows."""
    source, sink = zipfile.ZipFile(io.BytesIO(workbook(["code"], ["a"]))), io.BytesIO()
    x, ns = (f"{prefix}:", f"xmlns:{prefix}") if prefix else ("", "xmlns")
    sheet = f'<{x}worksheet {ns}="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><{x}dimension ref="{dimension}"/>'
    sheet += f"<{x}sheetData>{data}</{x}sheetData></{x}worksheet>"
    with zipfile.ZipFile(sink, "w", compression) as archive:
        for name in source.namelist():
            content = sheet.encode() if name == SHEET else source.read(name)
            if name == "xl/_rels/workbook.xml.rels":
                content = content.replace(b"worksheets/sheet1.xml", part.removeprefix("xl/").encode())
            archive.writestr(part if name == SHEET else name, content)
    return sink.getvalue()


HEADER = '<row r="1"><c r="A1" t="str"><v>code</v></c></row>'
FIRST = HEADER + '<row r="2"><c r="A2"><v>1</v></c></row>'
LAST = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
FAR = {
    "last cell": with_sheet(FIRST + LAST),
    "prefix": with_sheet(re.sub("<(/?)", r"<\1x:", FIRST + LAST), prefix="x"),
    "name": with_sheet(FIRST + LAST, part="xl/media/picture.png"),
    "stored": with_sheet(FIRST + LAST, compression=zipfile.ZIP_STORED),
    "quotes": with_sheet(FIRST + "<row r = '1048576'><c t='n' q='>' r = 'xfd1048576'><v>1</v></c></row>"),
    "row alone": with_sheet(HEADER + '<row r="1048576">' + "<c><v>1</v></c>" * 2000 + "</row>"),
    "column alone": with_sheet(HEADER + '<row><c r="XFD2"><v>1</v></c></row>' + "<row><c><v>1</v></c></row>" * 2000),
    "feigned": with_sheet(HEADER + '<row r="1048576">' + "<c q='r=\"A1\"'><v>1</v></c>" * 2000 + "</row>"),
    "comment": with_sheet(FIRST + '<!-- <c q=" --><row r="1048576"><c r="XFD1048576"><v>1</v></c></row><!-- "> -->'),
    "no such cell": with_sheet(FIRST + '<row r="3"><c r="ZZZZZZ3"><v>1</v></c></row>'),
}
_READ = """
import pathlib, resource, sys
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import TooLarge
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.read_xlsx import read_xlsx
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
for path in sys.argv[1:]:
    try:
        list(read_xlsx(pathlib.Path(path), [DataItem(code="code", name="code", data_type=DataType.TEXT)], ReadOptions()))
    except TooLarge as refused:
        print(refused.detail, flush=True)
    else:
        print("read", flush=True)
"""


def test_cells_far_from_the_table_are_too_large_and_end_no_process(tmp_path: Path) -> None:
    for name, body in FAR.items():
        (tmp_path / name).write_bytes(body)
    command = [sys.executable, "-c", _READ, *(str(tmp_path / name) for name in FAR)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # a reader that fails here aborts
    assert done.returncode == 0, done.stderr[-500:]
    told = dict(zip(FAR, done.stdout.splitlines(), strict=True))
    assert {name: "the limit is 20000000 cells" in line for name, line in told.items()} == dict.fromkeys(FAR, True), told
    assert "xl/worksheets/sheet1.xml has cells as far as XFD1048576: 1048576 rows of 16384 columns" in told["last cell"]


@pytest.mark.parametrize(
    "body",
    [
        with_sheet(FIRST, dimension="A1:XFD1048576"),
        with_sheet(HEADER.replace("A1", "P1") + '<row r="1048576"><c r="P1048576"><v>1</v></c></row>'),
        with_sheet(HEADER + '<row r="1048576" spans="1:1"><c s="0" r="A1048576"><v>1</v></c></row>'),
        with_sheet('<row><c t="str"><v>code</v></c></row>' + "<row><c><v>1</v></c></row>" * 20_000),
    ],
    ids=["dimension that lies", "16 columns to the last row", "place not named first", "no places"],
)
def test_a_sheet_within_the_limit_is_read_however_its_cells_are_placed(reader: Any, body: bytes) -> None:
    assert reader(body, ITEMS[:1], MediaType.XLSX).rows.height


def test_a_spreadsheet_of_another_kind_is_unreadable(reader: Any) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(Unreadable, match="no XLSX workbook"):
        reader(sink.getvalue(), ITEMS, MediaType.XLSX)
