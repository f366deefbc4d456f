"""How a version's files are made: the open items of one table version, in a stable order, in every form; memory stays bounded."""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular import table, writing
from dxmesh_tabular.items import ROW, SEQUENCE, polars_type
from dxmesh_tabular.store import ObjectStore, sha256_of
from open_data_svc.dataset.domain import Format

CHUNK_ROWS = 250_000
"""Rows held in memory at a time, about: a larger table is sorted range by range of its key."""
_SAMPLE_ROWS = 50_000
_making = threading.Lock()  # one at a time in a process: the memory used is that of one


@dataclass(frozen=True, slots=True)
class MadeFile:
    """One form of a version in the object store."""

    format: Format
    object_key: str
    sha256: str
    byte_count: int


@dataclass(frozen=True, slots=True)
class MadeVersion:
    """The files of one version and their number of rows."""

    row_count: int
    files: tuple[MadeFile, ...]


def make(
    objects: ObjectStore, *, table_key: str, table_version: int, items: Sequence[DataItem], order: Sequence[str], folder: str
) -> MadeVersion:
    """Write the open items of a table version as CSV (UTF-8 with BOM, CRLF), JSON (an array of objects) and Parquet.

    Rows are sorted by `order`, empty values first; without one they stay as they were sent. An object's key holds its digest, so
    whoever else makes the same version, or made it before a crash, cannot change what this one hands out.
    Raises: NotFound (404) for a table version that is not there.
    """
    with _making, tempfile.TemporaryDirectory(prefix="dxmesh-dataset-") as work:
        parquet = Path(work) / "rows.parquet"
        source = _with_items(table.scan(objects, table_key, version=table_version), items)
        row_count = int(source.select(pl.len()).collect().item())
        opened = source.select(item.code for item in items)
        schema = opened.collect_schema()
        frames = (frame.select(schema.names()) for frame in _sorted(source, order or (SEQUENCE, ROW), row_count))
        writing.write_parquet(frames, parquet, schema=schema)
        files = [_put(objects, Format.PARQUET, parquet, folder, row_count)]
        for form, write in ((Format.CSV, _write_csv), (Format.JSON, _write_json)):
            path = Path(work) / f"rows.{form.value}"
            write(parquet, path)
            files.append(_put(objects, form, path, folder, row_count))
            path.unlink()
    return MadeVersion(row_count, tuple(files))


def rows(objects: ObjectStore, key: str, *, numbered: str | None = None) -> pl.LazyFrame:
    """Return the rows of a version's Parquet file, read only where they are asked for; `numbered` adds their number from 1."""
    options: Any = {name: value for name, value in objects.storage_options.items() if name != "conditional_put"}
    return pl.scan_parquet(objects.uri(key), storage_options=options or None, row_index_name=numbered, row_index_offset=1)


def _with_items(frame: pl.LazyFrame, items: Sequence[DataItem]) -> pl.LazyFrame:
    """Keep the open items and what names a row; an item the table has no column for yet is empty."""
    known = frame.collect_schema().names()
    absent = [pl.lit(None, dtype=polars_type(item)).alias(item.code) for item in items if item.code not in known]
    return frame.select(SEQUENCE, ROW, *(item.code for item in items if item.code in known), *absent)


def _sorted(frame: pl.LazyFrame, order: Sequence[str], row_count: int) -> Iterator[pl.DataFrame]:
    """Yield the rows in order, range by range; a range is about CHUNK_ROWS unless that many rows share one key."""
    if row_count <= CHUNK_ROWS:
        yield frame.sort(order, maintain_order=True).collect()
        return
    bounds = _bounds(frame, order, row_count)
    at_least = [_at_least(order, bound) for bound in bounds]
    for index in range(len(bounds) + 1):
        inside = pl.lit(True)
        if index > 0:
            inside = at_least[index - 1]
        if index < len(bounds):
            inside = inside & ~at_least[index]
        yield frame.filter(inside).sort(order, maintain_order=True).collect(engine="streaming")


def _bounds(frame: pl.LazyFrame, order: Sequence[str], row_count: int) -> list[tuple[Any, ...]]:
    """Return keys that cut the rows into ranges of about equal size, from an even sample."""
    sample = frame.select(order).gather_every(max(1, row_count // _SAMPLE_ROWS)).drop_nulls().collect(engine="streaming").sort(order)
    parts = -(-row_count // CHUNK_ROWS)
    bounds = [sample.row(len(sample) * part // parts) for part in range(1, parts)] if len(sample) >= parts else []
    return sorted(set(bounds))


def _at_least(order: Sequence[str], bound: tuple[Any, ...]) -> pl.Expr:
    """Say whether a row's key is at or above a bound, item by item; an empty value is below everything."""
    condition: pl.Expr = pl.col(order[-1]) >= bound[-1]
    for code, value in zip(reversed(order[:-1]), reversed(bound[:-1]), strict=True):
        condition = (pl.col(code) > value) | ((pl.col(code) == value) & condition)
    return condition.fill_null(False)


def _pieces(parquet: Path) -> Iterator[pl.DataFrame]:
    frame = pl.scan_parquet(parquet)
    empty = True
    for piece in frame.collect_batches(maintain_order=True, chunk_size=50_000):
        empty = False
        yield piece
    if empty:
        yield frame.head(0).collect()


def _write_csv(parquet: Path, path: Path) -> None:
    writing.write_csv(_pieces(parquet), path, bom=True)


def _write_json(parquet: Path, path: Path) -> None:
    writing.write_json(_pieces(parquet), path)


def _put(objects: ObjectStore, form: Format, path: Path, folder: str, row_count: int) -> MadeFile:
    ref = objects.put_file(f"{folder}/{sha256_of(path)[:32]}.{form.value}", path, row_count=row_count)
    return MadeFile(form, ref.key, ref.sha256, ref.byte_count)
