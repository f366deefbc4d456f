"""From a batch's rows in the object store to records in columns: what of them leaves, under which key, for which partition."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.problem import NotFound
from dxmesh_tabular.items import ROW
from dxmesh_tabular.store import ObjectStore, sha256_of
from dxmesh_tabular.writing import row_json
from exchange_svc.delivery.domain import Unit
from exchange_svc.delivery.errors import RowsDamaged, RowsMissing
from exchange_svc.delivery.record_batch import Piece

_CHUNK_BYTES = 4 << 20  # of columns encoded at a time; as records about twice that
_CHUNK_ROWS = 24_576
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
        size = max(min(_CHUNK_ROWS, int(rows * _CHUNK_BYTES / max(group.estimated_size(), 1))), 1)
        yield from group.iter_slices(size)


def pieces(frame: pl.DataFrame, unit: Unit, partitions: int) -> Iterator[tuple[int, Piece]]:
    """Yield (partition, records) of some rows for a view.

    Key: the text of the key item, or a JSON array of several; null without key items. Value: a JSON object of the view's items (see
    row_json); null when the batch deletes: without a key such a record says no more than which row of the batch it was.
    Partition: 32-bit Murmur3 (x86, seed 0) of the key's UTF-8, without its sign bit, modulo the number of partitions, as Iceberg's
    bucket transform has it (the same in every version of everything); without a key, the row number modulo their number.
    """
    view = unit.view
    key = key_text(frame, view.key) if view.key else None
    values = (
        None if unit.dispatch.kind is BatchKind.DELETE else row_json(frame.select(item for item in view.items if item in frame.columns))
    )
    headers = (("batch", str(unit.dispatch.batch_id).encode()), ("schema", view.schema_url.encode()))
    places = frame[ROW] % partitions if key is None else _bucket(key, partitions).fill_null(frame[ROW] % partitions)
    for partition in sorted(places.unique()):
        mine = (places == partition).arg_true()
        yield partition, Piece(_gather(key, mine), _gather(values, mine), frame[ROW].gather(mine), headers)


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


def _gather(column: pl.Series | None, rows: pl.Series) -> pl.Series | None:
    return None if column is None else column.gather(rows)
