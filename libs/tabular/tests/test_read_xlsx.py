"""XLSX: cells as text, identifiers whole, bombs and damage refused."""

import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
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
