"""Parquet and Arrow IPC: columns of the item's type are taken over, others read as text where that is exact; other types are refused."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Invalid, TooLarge, Unreadable
from dxmesh_tabular import casting, columns
from dxmesh_tabular.chunk import Chunk, ReadOptions
from dxmesh_tabular.items import ROW, polars_type

BATCH_ROWS = 1 << 16
MAX_GROUP_BYTES = 1 << 30
"""Limit on the inflated size a Parquet row group declares."""
MAX_ROWS = 1 << 27
_EXACT_AS_TEXT = (pl.String, pl.Categorical, pl.Boolean, pl.Date, pl.Decimal, pl.Null)


def read_parquet(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield a Parquet file's rows, typed, and its refused lines, 65,536 rows at a time.

    Raises: Invalid (422) for its columns and their types, Unreadable (400) if damaged, TooLarge (413) if a row group inflates
    beyond 1 GiB or there are more than 2^27 rows.
    """
    with _damage_answered("a Parquet file"), path.open("rb") as file:
        parquet = pyarrow.parquet.ParquetFile(file)
        meta = parquet.metadata
        largest = max((meta.row_group(group).total_byte_size for group in range(meta.num_row_groups)), default=0)
        if largest > MAX_GROUP_BYTES or meta.num_rows > MAX_ROWS:
            raise TooLarge(
                f"the file has {meta.num_rows} rows and a row group that inflates to {largest} bytes; "
                f"send at most {MAX_ROWS} rows in row groups of at most {MAX_GROUP_BYTES} bytes"
            )
        yield from _chunks(parquet.schema_arrow.names, parquet.iter_batches(batch_size=BATCH_ROWS), items, options)


def read_arrow_stream(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield an Arrow IPC stream's rows; as `read_parquet`, one record batch at a time."""
    with _damage_answered("an Arrow stream"), path.open("rb") as file, pyarrow.ipc.open_stream(file) as stream:
        yield from _chunks(stream.schema.names, stream, items, options)


def read_arrow_file(path: Path, items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    """Yield an Arrow IPC file's rows; as `read_parquet`, one record batch at a time."""
    with _damage_answered("an Arrow file"), path.open("rb") as file, pyarrow.ipc.open_file(file) as batches:
        yield from _chunks(batches.schema.names, (batches.get_batch(place) for place in range(batches.num_record_batches)), items, options)


@contextmanager
def _damage_answered(what: str) -> Iterator[None]:
    """Turn what pyarrow says of a damaged file into Unreadable."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise Unreadable(f"the body is not {what}, or it is damaged or cut off: {said}") from error


def _chunks(names: Sequence[str], batches: Iterable[Any], items: Sequence[DataItem], options: ReadOptions) -> Iterator[Chunk]:
    matched = columns.match(names, items, options.needed)
    row = 1
    for batch in batches:
        frame: Any = pl.from_arrow(pa.Table.from_batches([batch.rename_columns([item.code for item in matched])]))
        for part in frame.iter_slices(BATCH_ROWS):
            numbers = pl.int_range(row, row + part.height, dtype=pl.UInt32, eager=True).alias(ROW)
            row += part.height
            yield casting.cast(part.with_columns(*_fitted(part, matched), numbers), items)


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
