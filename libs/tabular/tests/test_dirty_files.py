"""Files that break readers: csv-spectrum with the expected JSON beside each, and the odd files of csvkit."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid

CHECKOUT = Path(__file__).parents[3]
NAMED = os.environ.get("DXMESH_DIRTY_FILES")
BESIDE = sorted(CHECKOUT.parent.glob("*/data/dirty/csv-spectrum"))
DIRTY = Path(NAMED) if NAMED else BESIDE[0].parent if BESIDE else None
needs_files = pytest.mark.skipif(DIRTY is None, reason="DXMESH_DIRTY_FILES names no folder with csv-spectrum and csvkit's examples")
SPECTRUM = sorted((DIRTY / "csv-spectrum/csvs").glob("*.csv")) if DIRTY else []


def dirty(name: str) -> bytes:
    assert DIRTY is not None
    return (DIRTY / name).read_bytes()


def items_of(*names: str) -> list[DataItem]:
    return [DataItem(code=f"c{place}", name=name, data_type=DataType.TEXT) for place, name in enumerate(names)]


@needs_files
@pytest.mark.parametrize("path", SPECTRUM, ids=lambda path: path.stem)
def test_csv_spectrum_reads_as_its_json_says(reader: Any, path: Path) -> None:
    expected = json.loads(dirty(f"csv-spectrum/json/{path.stem}.json"))
    expected = expected if isinstance(expected, list) else [expected]
    if path.stem == "location_coordinates":
        expected[0]["Contact Phone Number"] = "2095257564"  # its JSON has another number than its CSV
    names = list(expected[0])
    got = reader(path.read_bytes(), items_of(*names))
    assert got.rows.drop("row_").rows() == [tuple(record[name] or None for name in names) for record in expected]
    assert not got.refused.height


@needs_files
@pytest.mark.parametrize(
    ("name", "columns", "rows", "refused"),
    [
        ("test_utf8_bom.csv", "foo,bar,baz", [("1", "2", "3"), ("4", "5", "ʤ")], []),
        ("test_utf16_big.csv", "a,b,c", [("1", "2", "3"), ("4", "5", "ʤ")], []),
        ("test_utf16_little.csv", "a,b,c", [("1", "2", "3"), ("4", "5", "ʤ")], []),
        ("test_latin1.csv", "a,b,c", [("1", "2", "3")], [2]),
        ("mac_newlines.csv", "a,b,c", [("1", "2", "3"), ("Once upon\ra time", "5", "6")], []),
        ("null_byte.csv", "a,b,c", [], [1]),
        ("bad.csv", "column_a,column_b,column_c", [("0", "mixed types.... uh oh", "17")], [1, 2]),
        ("dummy_col_shuffled_ragged.csv", "a,b,c,d", [("1", "2", "3", "4")], []),
    ],
)
def test_odd_files_are_read_or_their_lines_named(
    reader: Any, name: str, columns: str, rows: list[tuple[str, ...]], refused: list[int]
) -> None:
    got = reader(dirty(name), items_of(*columns.split(",")))
    assert got.rows.drop("row_").rows() == rows
    assert got.refused["row"].to_list() == refused


@needs_files
def test_a_latin_1_file_is_read_when_declared(reader: Any) -> None:
    got = reader(dirty("test_latin1.csv"), items_of("a", "b", "c"), encoding="latin-1")
    assert got.rows.row(1) == (2, "4", "5", "©")


@needs_files
def test_a_real_file_keeps_every_row_its_duplicates_too(reader: Any) -> None:
    body = dirty("ks_1033_data.csv")
    header, *records = list(csv.reader(io.StringIO(body.decode(), newline="")))
    got = reader(body, items_of(*header))
    assert got.rows.drop("row_").rows() == [tuple(cell or None for cell in record) for record in records]
    assert not got.refused.height
    assert got.rows.height - got.rows.drop("row_").n_unique() > 0


@needs_files
def test_a_report_with_a_title_above_its_header_is_invalid(reader: Any) -> None:
    with pytest.raises(Invalid, match="not those of the resource"):
        reader(dirty("Datagov_FY10_EDU_recp_by_State.csv"), items_of("State Name"))


def test_our_own_dirty_file_is_taken_apart_exactly(reader: Any) -> None:
    """Everything at once: BOM, CRLF, quoted line ends, doubled quotes, blank lines, ragged, NUL, damaged and unclosed lines."""
    body = b'\xef\xbb\xbfc0,\xe5\x90\x8d\r\n1,"a\r\nb"\r\n\r\n2,"say ""hi"""\r\n3\r\n4,\x00\r\n5,\xe5\x90\r\n6,"x"y\r\n7,ok\r\n8,"open\r\n'
    got = reader(body, items_of("c0", "名"))
    assert got.rows.rows() == [(1, "1", "a\r\nb"), (2, "2", 'say "hi"'), (7, "7", "ok")]
    assert got.refused["row"].to_list() == [3, 4, 5, 6, 8]
    assert isinstance(got.refused, pl.DataFrame)
