"""From a batch's rows in the object store to records in columns: what of them leaves, under which key, for which partition."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular.items import ROW
from dxmesh_tabular.json_rows import row_json
from dxmesh_tabular.store import ObjectStore, sha256_of
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.delivery.domain import Unit
from exchange_svc.delivery.errors import RowsDamaged
from exchange_svc.delivery.record_batch import Piece

CHUNK_BYTES = 4 << 20
"""Bytes of columns encoded at a time, about; as records they are twice that."""
CHUNK_ROWS = 24_576
"""Rows encoded at a time, at most."""
KEY, GONE = "_key", "_gone"  # no item's code begins so
"""Columns of a filtered view's rows: the text of the record's key, and whether readers lose it by this row."""
_SMALL_ROWS = 1_000  # up to here pyarrow, which has the file open, is quicker than a polars query


@contextmanager
def opened(store: ObjectStore, rows: ObjectRef) -> Iterator[Path]:
    """Give the Parquet file of accepted rows, checked. Raises: RowsMissing, RowsDamaged (503)."""
    try:
        with store.local_copy(rows.key) as path:
            if (found := sha256_of(path)) != rows.sha256:
                raise RowsDamaged(f"{rows.key} has SHA-256 {found}, accepted was {rows.sha256}: restore the object")
            yield path
    except NotFound as missing:
        raise RowsMissing(f"{rows.key} is not in the object store: restore the object") from missing


def chunks(path: Path, items: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield the file's rows in order, `row_` and those of the items it has, a few megabytes at a time; memory holds one row group."""
    with pq.ParquetFile(path) as file:
        present = set(file.schema_arrow.names)
        groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        columns = [ROW, *(item for item in items if item in present)]
        if sum(groups) <= _SMALL_ROWS:
            yield pl.DataFrame(file.read(columns, use_threads=False))
            return
    source = pl.scan_parquet(path).select(columns)
    start = 0
    for rows in groups:
        group = source.slice(start, rows).collect()
        start += rows
        size = max(min(CHUNK_ROWS, int(rows * CHUNK_BYTES / max(group.estimated_size(), 1))), 1)
        yield from group.iter_slices(size)


def pieces(frame: pl.DataFrame, units: Sequence[tuple[Unit, int]], partitions: int) -> Iterator[tuple[int, Piece, list[int]]]:
    """Yield (partition, records, how many of them belong to each unit) of rows that belong to units of one view, so many to each.

    Key: the text of the key item, or a JSON array of several; null without key items. Value: a JSON object of the view's items (see
    row_json); null when the batch deletes, and for a row by which readers lose what they have of its key: it leaves the filter.
    A record with neither says no more than which row of the batch it was.
    Partition: 32-bit Murmur3 (x86, seed 0) of the key's UTF-8, without its sign bit, modulo the number of partitions, as Iceberg's
    bucket transform has it (the same in every version of everything); without a key, the row number modulo their number.
    """
    first = units[0][0]
    key = key_text(frame, first.view.key) if first.view.key and KEY not in frame.columns else frame.get_column(KEY, default=None)
    values = None if deletes(first) else _values(frame, first.view.items)
    headers = [_headers(unit) for unit, _ in units]
    places = frame[ROW] % partitions if key is None else _bucket(key, partitions).fill_null(frame[ROW] % partitions)
    columns = {ROW: frame[ROW], "key": key, "values": values, "place": places, "unit": owners_of([count for _, count in units])}
    records = pl.DataFrame({name: column for name, column in columns.items() if column is not None})
    parts = records.partition_by("place", as_dict=True, include_key=False, maintain_order=True)
    for (partition,), mine in sorted(parts.items()):
        found = {column.name: column for column in mine.get_columns()}
        counts = counts_of(found.get("unit"), len(mine), len(units))
        runs = tuple((count, head) for count, head in zip(counts, headers, strict=True) if count)
        yield partition, Piece(found.get("key"), found.get("values"), found[ROW], runs), counts


def _values(frame: pl.DataFrame, items: Sequence[str]) -> pl.Series | None:
    gone = frame.get_column(GONE, default=None)
    if gone is not None and gone.all():
        return None
    values = row_json(frame.select(item for item in items if item in frame.columns))
    return values if gone is None or not gone.any() else pl.select(pl.when(~gone).then(values)).to_series()


def owners_of(counts: Sequence[int]) -> pl.Series | None:
    """Return for each row the place of its unit, ascending; None when there is but one."""
    if len(counts) == 1:
        return None
    return pl.select(pl.int_range(len(counts), dtype=pl.UInt32).repeat_by(pl.Series(counts)).explode()).to_series()


def counts_of(owners: pl.Series | None, rows: int, units: int) -> list[int]:
    """Return how many rows each unit has, by `owners_of` of them."""
    if owners is None:
        return [rows]
    ends = [0, *owners.search_sorted(pl.int_range(1, units + 1, dtype=pl.UInt32, eager=True), side="left")]
    return [end - start for start, end in pairwise(ends)]


def deletes(unit: Unit) -> bool:
    """Say whether a unit's records have no value."""
    return unit.dispatch.kind is BatchKind.DELETE


def _headers(unit: Unit) -> tuple[tuple[str, bytes], ...]:
    return (("batch", str(unit.dispatch.batch_id).encode()), ("schema", unit.view.schema_url.encode()))


def key_text(frame: pl.DataFrame, items: Sequence[str]) -> pl.Series:
    """Return the record keys: a single item's plain text (null when it has no value), or the JSON array of several."""
    if len(items) == 1:
        return frame[items[0]] if frame[items[0]].dtype == pl.String else _plain(_json_value(frame, items[0]))
    parts = [_json_value(frame, item) for item in items]
    return pl.select(pl.format("[{}]", pl.concat_str(parts, separator=","))).to_series()


def _json_value(frame: pl.DataFrame, item: str) -> pl.Series:
    return row_json(frame.select(item)).str.strip_prefix(f'{{"{item}":').str.head(-1)


def _plain(json: pl.Series) -> pl.Series:
    text = json.str.strip_prefix('"').str.strip_suffix('"')
    return pl.select(pl.when(json != "null").then(text)).to_series()


def _bucket(key: pl.Series, partitions: int) -> pl.Series:
    hashed = pl.select(pl.lit(key)._mm3_hash()).to_series()
    return (hashed.cast(pl.Int64) & 0x7FFFFFFF) % partitions
