"""Parquet and Arrow IPC: exact types are taken over, others only where nothing is lost."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid, Problem, TooLarge, Unreadable
from dxmesh_tabular import read_arrow
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read

EIGHT = datetime(2020, 1, 2, 8, tzinfo=UTC)
KINDS = [MediaType.PARQUET, MediaType.ARROW_STREAM, MediaType.ARROW_FILE]


def clock(*parts: int) -> datetime:
    """A time of day and year without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]


def item(data_type: str, **fields: Any) -> DataItem:
    return DataItem(code="v", name="值", data_type=DataType(data_type), **fields)


def encoded(frame: pl.DataFrame, media: MediaType) -> bytes:
    out = io.BytesIO()
    if media is MediaType.PARQUET:
        frame.write_parquet(out)
    elif media is MediaType.ARROW_STREAM:
        frame.write_ipc_stream(out)
    else:
        frame.write_ipc(out)
    return out.getvalue()


@pytest.mark.parametrize("media", KINDS)
def test_columns_of_the_items_types_are_taken_over(reader: Any, media: MediaType) -> None:
    frame = pl.DataFrame({"值": ["a", "", None]})
    assert reader(encoded(frame, media), [item("C")], media).cells == [(1, "a"), (2, None), (3, None)]


@pytest.mark.parametrize(
    ("series", "target", "cells"),
    [
        (pl.Series([1, None], dtype=pl.Int32), item("I"), [1, None]),
        (pl.Series([110101], dtype=pl.UInt32), item("C"), ["110101"]),
        (pl.Series([1.0, None, 3.0]), item("I"), [1, None, 3]),
        (pl.Series([1.5], dtype=pl.Float32), item("B"), [1.5]),
        (pl.Series([7], dtype=pl.Int8), item("B"), [7.0]),
        (pl.Series([1.25, 3.0]), item("Y"), [Decimal("1.25"), Decimal("3.00")]),
        (pl.Series([Decimal("1.250")], dtype=pl.Decimal(10, 3)), item("Y"), [Decimal("1.25")]),
        (pl.Series([12]), item("N", scale=0), [Decimal("12")]),
        (pl.Series([date(2020, 1, 2)]), item("D"), [date(2020, 1, 2)]),
        (pl.Series([clock(2020, 1, 2)]), item("D"), [date(2020, 1, 2)]),
        (pl.Series([datetime(2020, 1, 1, 16, tzinfo=UTC)]), item("D"), [date(2020, 1, 2)]),
        (pl.Series([clock(2020, 1, 2, 8)], dtype=pl.Datetime("ns")), item("T"), [datetime(2020, 1, 2, tzinfo=UTC)]),
        (
            pl.Series([EIGHT], dtype=pl.Datetime("ms", "UTC")),
            item("T"),
            [datetime(2020, 1, 2, 8, tzinfo=UTC)],
        ),
        (pl.Series([date(2020, 1, 2)]), item("T"), [datetime(2020, 1, 1, 16, tzinfo=UTC)]),
        (pl.Series([True, None]), item("L"), [True, None]),
        (pl.Series([0, 1]), item("L"), [False, True]),
        (pl.Series(["x"], dtype=pl.Categorical), item("C"), ["x"]),
        (pl.Series(["2020-01-02"]), item("D"), [date(2020, 1, 2)]),
        (pl.Series([None, None], dtype=pl.Null), item("I"), [None, None]),
    ],
)
def test_other_columns_are_read_where_that_is_exact(reader: Any, series: pl.Series, target: DataItem, cells: list[Any]) -> None:
    got = reader(encoded(pl.DataFrame({"v": series}), MediaType.PARQUET), [target], MediaType.PARQUET)
    assert [cell for _, cell in got.cells] == cells


@pytest.mark.parametrize(
    ("series", "target"),
    [
        (pl.Series([1.5]), item("I")),
        (pl.Series([float("nan")]), item("B")),
        (pl.Series([float("inf")]), item("N")),
        (pl.Series([1.239]), item("Y")),
        (pl.Series([Decimal("1.239")], dtype=pl.Decimal(10, 3)), item("Y")),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), item("I")),
        (pl.Series([clock(2020, 1, 2, 8)]), item("D")),
        (pl.Series([1577923200000000001]).cast(pl.Datetime("ns")), item("T")),
        (pl.Series([clock(1986, 5, 4, 2, 30)]), item("T")),  # an hour that clocks in China left out
        (pl.Series([2]), item("L")),
    ],
)
def test_a_cell_that_would_lose_something_is_refused(reader: Any, series: pl.Series, target: DataItem) -> None:
    got = reader(encoded(pl.DataFrame({"v": series}), MediaType.PARQUET), [target], MediaType.PARQUET)
    assert got.faults == [(1, "v", "type")]
    assert got.refused["value"][0]


@pytest.mark.parametrize(
    ("series", "target"),
    [
        (pl.Series([1.0]), item("C")),
        (pl.Series([b"x"]), item("C")),
        (pl.Series([[1]]), item("C")),
        (pl.Series([{"x": 1}]), item("G")),
        (pl.Series([clock(2020, 1, 1).time()]), item("T")),
    ],
)
def test_a_column_of_a_type_that_cannot_fit_is_invalid(reader: Any, series: pl.Series, target: DataItem) -> None:
    with pytest.raises(Invalid) as caught:
        reader(encoded(pl.DataFrame({"v": series}), MediaType.PARQUET), [target], MediaType.PARQUET)
    assert caught.value.members["errors"][0]["pointer"] == "/columns/0"


@pytest.mark.parametrize("media", KINDS)
def test_columns_are_matched_as_in_every_format(reader: Any, media: MediaType) -> None:
    with pytest.raises(Invalid, match="not those of the resource"):
        reader(encoded(pl.DataFrame({"x": [1]}), media), [item("I", required=True)], media)


@pytest.mark.parametrize("media", KINDS)
def test_a_damaged_file_is_a_problem_and_no_crash(reader: Any, media: MediaType) -> None:
    whole = encoded(pl.DataFrame({"v": [str(n) for n in range(200)]}), media)
    for end in range(1, len(whole), 41):
        try:
            assert reader(whole[:end], [item("C")], media).rows.height < 200
        except Unreadable:
            continue
    for place in range(0, len(whole), 13):
        changed = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        try:
            reader(changed, [item("C")], media)
        except Problem:
            continue


@pytest.mark.parametrize("media", KINDS)
@pytest.mark.parametrize("body", [b"", b"a,b\n1,2\n", b"PAR1", b"ARROW1\0\0"])
def test_what_is_not_of_the_format_is_unreadable(reader: Any, media: MediaType, body: bytes) -> None:
    with pytest.raises(Unreadable):
        reader(body, [item("C")], media)


def test_no_rows_are_unreadable(reader: Any) -> None:
    with pytest.raises(Unreadable, match="no data rows"):
        reader(encoded(pl.DataFrame({"v": pl.Series([], dtype=pl.String)}), MediaType.PARQUET), [item("C")], MediaType.PARQUET)


def test_a_row_group_that_inflates_too_far_is_too_large(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = encoded(pl.DataFrame({"v": ["x" * 1000] * 5000}), MediaType.PARQUET)
    monkeypatch.setattr(read_arrow, "MAX_GROUP_BYTES", 1000)
    with pytest.raises(TooLarge):
        reader(body, [item("C")], MediaType.PARQUET)


def written(table: pa.Table, media: MediaType, **options: Any) -> bytes:
    out = io.BytesIO()
    if media is MediaType.PARQUET:
        pyarrow.parquet.write_table(table, out, **options)
        return out.getvalue()
    opened = pyarrow.ipc.new_stream if media is MediaType.ARROW_STREAM else pyarrow.ipc.new_file
    with opened(out, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()


def shared(text: str, rows: int) -> pa.Table:
    """Rows that all name one text, which lies in the file once."""
    return pa.table({"v": pa.DictionaryArray.from_arrays(pa.array([0, None] * (rows // 2), pa.int32()), pa.array([text]))})


@pytest.mark.parametrize("media", KINDS)
def test_a_text_that_many_rows_share_is_made_a_few_rows_at_a_time(tmp_path: Path, media: MediaType) -> None:
    path = tmp_path / "sent"
    path.write_bytes(written(shared("x" * (4 << 20), 64), media, compression="zstd"))
    assert path.stat().st_size < 100_000
    chunks = list(read(path, media, [item("C")]))
    assert max(chunk.rows.estimated_size() for chunk in chunks) < 80 << 20
    assert [row for chunk in chunks for row in chunk.rows["row_"]] == list(range(1, 65))
    assert sum(chunk.rows["v"].null_count() for chunk in chunks) == 32


@pytest.mark.parametrize("media", KINDS)
def test_texts_that_come_to_too_much_together_are_too_large(reader: Any, media: MediaType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_arrow, "MAX_TEXT_BYTES", 1 << 20)
    with pytest.raises(TooLarge, match="share"):
        reader(written(shared("x" * 10_000, 1_000), media), [item("C")], media)


def test_texts_that_repeat_the_beginning_of_the_one_before_are_read_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_arrow, "MAX_GROUP_BYTES", 1 << 20)
    path = tmp_path / "sent"
    table = pa.table({"v": ["x" * 100_000] * 100})
    path.write_bytes(written(table, MediaType.PARQUET, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"))
    chunks = list(read(path, MediaType.PARQUET, [item("C")]))
    assert sum(chunk.rows.height for chunk in chunks) == 100
    assert max(chunk.rows.height for chunk in chunks) <= 10


@pytest.mark.parametrize("media", [MediaType.ARROW_STREAM, MediaType.ARROW_FILE])
def test_a_record_batch_that_inflates_too_far_is_too_large_before_it_is_inflated(
    reader: Any, media: MediaType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_arrow, "MAX_GROUP_BYTES", 1 << 20)
    body = written(pa.table({"v": pa.array([0] * 200_000, pa.int64())}), media, compression="zstd")
    assert len(body) < 1 << 14
    with pytest.raises(TooLarge, match="inflates to 1600"):
        reader(body, [item("I")], media)


@pytest.mark.parametrize("media", [MediaType.ARROW_STREAM, MediaType.ARROW_FILE])
def test_rows_of_nothing_are_counted_before_they_are_read(reader: Any, media: MediaType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_arrow, "MAX_ROWS", 100)
    with pytest.raises(TooLarge):
        reader(written(pa.table({"v": pa.nulls(101)}), media), [item("C")], media)


@pytest.mark.parametrize("media", [MediaType.ARROW_STREAM, MediaType.ARROW_FILE])
def test_a_batch_that_points_beside_itself_is_unreadable(reader: Any, media: MediaType) -> None:
    body = written(pa.table({"v": ["abcde", "fg"]}), media)
    ends = (0).to_bytes(4, "little") + (5).to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert body.count(ends) == 1
    with pytest.raises(Unreadable):
        reader(body.replace(ends, ends[:8] + (1 << 30).to_bytes(4, "little")), [item("C")], media)


@pytest.mark.parametrize("media", [MediaType.ARROW_STREAM, MediaType.ARROW_FILE])
def test_a_column_of_a_type_that_polars_has_not_is_invalid(reader: Any, media: MediaType) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([3], pa.int32()), pa.array(["x"]))
    with pytest.raises(Invalid):
        reader(written(pa.table({"v": runs}), media), [item("C")], media)
