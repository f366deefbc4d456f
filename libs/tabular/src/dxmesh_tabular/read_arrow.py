"""Parquet and Arrow IPC: columns of the item's type are taken over, others read as text where that is exact; other types are refused."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from polars.exceptions import PolarsError

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Invalid, TooLarge, Unreadable
from dxmesh_tabular import casting, columns, ipc_extent
from dxmesh_tabular.chunk import Chunk, ReadOptions
from dxmesh_tabular.items import ROW, polars_type

BATCH_ROWS = 1 << 16
MAX_GROUP_BYTES = 1 << 30
"""Limit on the inflated size a Parquet row group or an Arrow record batch declares."""
MAX_ROWS = 1 << 27
MAX_TEXT_BYTES = 20 << 30
"""Limit on the text that values stand for which lie in a file once and are named by many rows."""
_PART_BYTES = 64 << 20  # of such text made at a time
_SHARED = ("PLAIN_DICTIONARY", "RLE_DICTIONARY")
_PREFIXED = "DELTA_BYTE_ARRAY"
_EXACT_AS_TEXT = (pl.String, pl.Categorical, pl.Boolean, pl.Date, pl.Decimal, pl.Null)


def read_parquet(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield a Parquet file's rows, typed, and its refused lines, at most 65,536 rows at a time.

    Raises: Invalid (422) for its columns and their types, Unreadable (400) if damaged, TooLarge (413) if a row group inflates
    beyond 1 GiB, there are more than 2^27 rows, or texts that many rows share come to more than 20 GiB.
    """
    with _damage_answered("a Parquet file"), path.open("rb") as file:
        meta = pyarrow.parquet.read_metadata(file)
        largest = max((meta.row_group(group).total_byte_size for group in range(meta.num_row_groups)), default=0)
        if largest > MAX_GROUP_BYTES or meta.num_rows > MAX_ROWS:
            raise TooLarge(
                f"the file has {meta.num_rows} rows and a row group that inflates to {largest} bytes; "
                f"send at most {MAX_ROWS} rows in row groups of at most {MAX_GROUP_BYTES} bytes"
            )
        shared, rows = _repeats(meta)
        parquet = pyarrow.parquet.ParquetFile(file, read_dictionary=shared)
        yield from _chunks(parquet.schema_arrow, parquet.iter_batches(batch_size=rows), items, options)


def _repeats(meta: Any) -> tuple[list[str], int]:
    """Return the columns whose values lie once and are named by many rows, and how many rows are read at a time.

    A text that repeats the beginning of the one before may be as long as all that its column declares, so few are read at a time.
    """
    shared: set[str] = set()
    longest = 0
    for group in range(meta.num_row_groups):
        row_group = meta.row_group(group)
        for column in (row_group.column(place) for place in range(row_group.num_columns)):
            if column.physical_type == "BYTE_ARRAY":
                shared.update({column.path_in_schema} if any(name in column.encodings for name in _SHARED) else ())
                longest = max(longest, column.total_uncompressed_size if _PREFIXED in column.encodings else 0)
    return sorted(shared), max(1, min(BATCH_ROWS, MAX_GROUP_BYTES // max(longest, 1)))


def read_arrow_stream(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield an Arrow IPC stream's rows; as `read_parquet`, one record batch at a time."""
    with _damage_answered("an Arrow stream"), path.open("rb") as file:
        _check_extent(ipc_extent.of_stream(file))
        file.seek(0)
        with pyarrow.ipc.open_stream(file) as stream:
            yield from _chunks(stream.schema, _sound(stream), items, options)


def read_arrow_file(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield an Arrow IPC file's rows; as `read_parquet`, one record batch at a time."""
    with _damage_answered("an Arrow file"), path.open("rb") as file:
        _check_extent(ipc_extent.of_file(file))
        with pyarrow.ipc.open_file(file) as batches:
            held = (batches.get_batch(place) for place in range(batches.num_record_batches))
            yield from _chunks(batches.schema, _sound(held), items, options)


def _sound(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield batches once their places, lengths and texts are looked at: one that points beside itself would read other memory."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _check_extent(found: Iterable[ipc_extent.Extent]) -> None:
    rows = 0
    for one in found:
        rows += max(one.row_count, 0)
        if one.byte_count > MAX_GROUP_BYTES or rows > MAX_ROWS:
            raise TooLarge(
                f"a record batch has {one.row_count} rows and inflates to {one.byte_count} bytes; "
                f"send at most {MAX_ROWS} rows in batches of at most {MAX_GROUP_BYTES} bytes"
            )


@contextmanager
def _damage_answered(what: str) -> Iterator[None]:
    """Turn what pyarrow says of a damaged file into Unreadable."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise Unreadable(f"the body is not {what}, or it is damaged or cut off: {said}") from error


def _chunks(schema: Any, batches: Iterable[Any], items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    matched = columns.match(schema.names, items, options.needed)
    codes = [item.code for item in matched]
    try:
        empty: Any = pl.from_arrow(schema.empty_table().rename_columns(codes))
    except PolarsError as strange:
        raise Invalid(f"A column of the file is of a type that is not read here: {strange}") from strange
    _fitted(empty, matched)  # what cannot fit is told before a row of it is made
    row, text_bytes = 1, 0
    for batch in batches:
        for part, size in _parts(batch.rename_columns(codes)):
            text_bytes += size
            if text_bytes > MAX_TEXT_BYTES:
                raise TooLarge(f"the texts that rows of the file share come to more than {MAX_TEXT_BYTES} bytes; split it")
            frame: Any = pl.from_arrow(pa.Table.from_batches([part]))
            for piece in frame.iter_slices(BATCH_ROWS):
                numbers = pl.int_range(row, row + piece.height, dtype=pl.UInt32, eager=True).alias(ROW)
                row += piece.height
                yield casting.cast(piece.with_columns(*_fitted(piece, matched), numbers), items)


def _parts(batch: Any) -> Iterator[tuple[Any, int]]:
    """Yield a batch in parts whose shared values are few enough to be made for each row, and the bytes of these."""
    sizes = [found for column in batch.columns if (found := _shared_bytes(column)) is not None]
    if not sizes:
        yield batch, 0
        return
    ends = pl.select(pl.sum_horizontal(sizes).cum_sum()).to_series()
    start = before = 0
    while start < batch.num_rows:
        stop = max(start + 1, int(ends.search_sorted(before + _PART_BYTES, side="right")))
        made = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch[start:stop].columns]
        size = int(ends[stop - 1]) - before
        yield pa.RecordBatch.from_arrays(made, names=batch.schema.names), size
        start, before = stop, before + size


def _shared_bytes(column: Any) -> pl.Series | None:
    """Return the bytes that each row's value has, of a column whose values may lie once for many rows; None for any other."""
    if pa.types.is_string_view(column.type):
        return pl.Series(pl.from_arrow(column)).str.len_bytes().cast(pl.Int64).fill_null(0)
    if not pa.types.is_dictionary(column.type):
        return None
    values = pl.Series(pl.from_arrow(column.dictionary))
    lengths = values.str.len_bytes().cast(pl.Int64) if values.dtype == pl.String else pl.repeat(8, len(values), dtype=pl.Int64, eager=True)
    return lengths.gather(pl.Series(pl.from_arrow(column.indices))).fill_null(0)


def _fitted(frame: pl.DataFrame, matched: Sequence[DataItem]) -> list[pl.Series]:
    errors: list[dict[str, str]] = []
    fitted: list[pl.Series] = []
    for place, item in enumerate(matched):
        series = _fit(frame[item.code], item)
        if series is None:
            kind = frame.schema[item.code]
            errors.append(
                {
                    "pointer": f"/columns/{place}",
                    "detail": f"the column of item {item.code} is of type {kind}; its values {casting.expectation(item)}",
                }
            )
        else:
            fitted.append(series.alias(item.code))
    if errors:
        raise Invalid("Columns of the file are not of their items' types", errors=errors)
    return fitted


def _fit(series: pl.Series, item: DataItem) -> pl.Series | None:
    """Return the column in the item's type or, where its text is exact, as text to be cast; None for a type that fits neither way."""
    held, wanted = series.dtype, polars_type(item)
    if held == wanted and not (held.is_float() and not series.is_finite().all()):
        return series
    if held.is_integer():
        return _exactly(series, wanted) if wanted.is_integer() or wanted.is_float() else series.cast(pl.String)
    if held.is_float():
        return None if item.data_type.is_text else _float_text(series)
    if isinstance(held, pl.Datetime):
        return _instants(series, held, wanted)
    return series.cast(pl.String) if held in _EXACT_AS_TEXT else None


def _exactly(series: pl.Series, wanted: pl.DataType) -> pl.Series:
    cast = series.cast(wanted, strict=False)
    return cast if cast.null_count() == series.null_count() else series.cast(pl.String)


def _float_text(series: pl.Series) -> pl.Series:
    """Whole floats read as whole numbers: a column of whole numbers with gaps often comes as floating point."""
    whole = series.cast(pl.Int64, strict=False)
    frame = pl.DataFrame({"number": series, "whole": whole})
    exact = (pl.col("number") == pl.col("whole")) & (pl.col("number").abs() < 2**53)
    return frame.select(pl.when(exact).then(pl.col("whole").cast(pl.String)).otherwise(pl.col("number").cast(pl.String))).to_series()


def _instants(series: pl.Series, held: pl.Datetime, wanted: pl.DataType) -> pl.Series:
    zoned = series if held.time_zone else series.dt.replace_time_zone(casting.ZONE, ambiguous="earliest", non_existent="null")
    in_utc = zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    exact = in_utc.dt.cast_time_unit(held.time_unit) == zoned.dt.convert_time_zone("UTC")
    if wanted == in_utc.dtype and exact.all() and in_utc.null_count() == series.null_count():
        return in_utc
    if wanted == pl.Date and held.time_zone:
        series = series.dt.convert_time_zone(casting.ZONE).dt.replace_time_zone(None)
    return series.dt.to_string("iso:strict" if held.time_zone and wanted != pl.Date else "iso")
