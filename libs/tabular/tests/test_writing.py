"""Frames out and in again: nothing is lost, nothing is altered."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid, TooLarge
from dxmesh_tabular import writing
from dxmesh_tabular.items import schema
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read

ITEMS = [
    DataItem(code="id", name="编号", data_type=DataType.TEXT),
    DataItem(code="amount", name="金额", data_type=DataType.MONEY),
    DataItem(code="count", name="数", data_type=DataType.INTEGER),
    DataItem(code="ratio", name="比", data_type=DataType.DOUBLE),
    DataItem(code="born", name="日", data_type=DataType.DATE),
    DataItem(code="at", name="时", data_type=DataType.DATETIME),
    DataItem(code="ok", name="否", data_type=DataType.LOGICAL),
]
AT = datetime(2020, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
FRAME = pl.DataFrame(
    [
        (1, '007,"x"', Decimal("12345678901234567890.10"), 2**62, 0.1, date(2020, 2, 29), AT, True),
        (2, "=1+1\n中㘵", Decimal("-0.05"), -1, 1e300, date(1899, 1, 1), AT.replace(microsecond=0), False),
        (3, None, None, None, None, None, None, None),
    ],
    schema=schema(ITEMS),
    orient="row",
)
WRITERS = {
    MediaType.CSV: writing.write_csv,
    MediaType.JSON: writing.write_json,
    MediaType.XLSX: writing.write_xlsx,
}


def again(path: Path, media: MediaType) -> pl.DataFrame:
    chunks = list(read(path, media, ITEMS))
    assert not sum(chunk.refused.height for chunk in chunks)
    return pl.concat([chunk.rows for chunk in chunks])


@pytest.mark.parametrize("media", list(WRITERS))
def test_what_is_written_reads_back_the_same(media: MediaType, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert WRITERS[media]((part.drop("row_") for part in FRAME.head(2).iter_slices(1)), path) == 2
    assert again(path, media).equals(FRAME.head(2))


def test_parquet_reads_back_the_same_from_one_frame_or_many(tmp_path: Path) -> None:
    for frames in ([], [FRAME], [FRAME, FRAME.clear(), FRAME]):
        path = tmp_path / "out.parquet"
        assert writing.write_parquet(frames, path, schema=FRAME.schema) == sum(frame.height for frame in frames)
        assert pl.read_parquet(path).equals(pl.concat([FRAME.clear(), *frames]))


def test_what_the_frames_raise_comes_out_of_a_parquet_file(tmp_path: Path) -> None:
    def frames(good: int) -> Iterator[pl.DataFrame]:
        for _ in range(good):
            yield FRAME
        raise Invalid("the third block is wrong")

    for good in (0, 1, 5):
        with pytest.raises(Invalid, match="third block"):
            writing.write_parquet(frames(good), tmp_path / "out.parquet", schema=FRAME.schema)


def test_a_frame_of_another_type_is_an_error_and_leaves_no_reader_behind(tmp_path: Path) -> None:
    left = []

    def frames() -> Iterator[pl.DataFrame]:
        try:
            for _ in range(1000):
                yield FRAME.with_columns(pl.col("count").cast(pl.String))
        finally:
            left.append(True)

    with pytest.raises(pl.exceptions.PolarsError):
        writing.write_parquet(frames(), tmp_path / "out.parquet", schema=FRAME.schema)
    assert left == [True]


def test_csv_keeps_rfc_4180_and_is_not_altered_against_formulas(tmp_path: Path) -> None:
    out = io.BytesIO()
    writing.write_csv([FRAME.select("id", "at")], out, bom=True)
    text = out.getvalue().decode("utf-8-sig")
    assert out.getvalue().startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["id", "at"],
        ['007,"x"', "2020-01-02T03:04:05.600Z"],
        ["=1+1\n中㘵", "2020-01-02T03:04:05Z"],
        ["", ""],
    ]
    assert text.count("\r\n") == 4


def test_json_is_valid_with_no_rows_and_with_many(tmp_path: Path) -> None:
    for frames in ([], [FRAME.clear()], [FRAME, FRAME]):
        out = io.BytesIO()
        writing.write_json(frames, out)
        assert len(json.loads(out.getvalue())) == sum(frame.height for frame in frames)


def test_a_sheet_holds_text_as_text_and_titles_when_given(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    writing.write_xlsx([FRAME.drop("row_")], path, titles=[item.name for item in ITEMS])
    cells: Any = fastexcel.read_excel(path).load_sheet(0, header_row=None, dtypes="string").to_polars()
    assert cells.row(0) == tuple(item.name for item in ITEMS)
    assert cells.row(2)[:3] == ("=1+1\n中㘵", "-0.05", "-1")
    assert cells.row(1)[1:3] == ("12345678901234567890.10", "4611686018427387904")


def test_more_rows_than_a_sheet_holds_are_too_large(tmp_path: Path) -> None:
    many = pl.DataFrame({"a": pl.repeat(None, 1_048_576, dtype=pl.String, eager=True)})
    with pytest.raises(TooLarge, match="CSV or Parquet"):
        writing.write_xlsx([many], tmp_path / "out.xlsx")
