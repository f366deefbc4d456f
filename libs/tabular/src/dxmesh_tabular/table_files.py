"""The data files of a Delta table: written in the order of their rows, found by what is known of them, and exchanged in one commit."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake import Schema as DeltaSchema
from deltalake.transaction import AddAction, RemoveAction

from dxmesh_tabular.items import ROW, SEQUENCE
from dxmesh_tabular.store import ObjectStore

FILE_ROWS = 1 << 16
"""Rows of a data file: what one changed row makes rewritten, what a page reads, and what a fold holds in memory at a time (ADR 10)."""
_MOST_STATED = 64  # characters of a text that is stated as the least or greatest of a file
_HOOK = PostCommitHookProperties(cleanup_expired_logs=False)  # a version is readable as long as upkeep says, not as its log is old


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of a table's version: where it is, its rows, the first and last of them at most, and the bounds of its columns if stated.

    `first` and `last`: (sequence_, row_); no row of the file is before the first or behind the last.
    """

    path: str
    byte_count: int
    row_count: int
    first: tuple[int, int]
    last: tuple[int, int]
    least: dict[str, Any]
    greatest: dict[str, Any]
    null_count: dict[str, int]


def columns(table: DeltaTable) -> pl.Schema:
    """Return the columns of the table's version."""
    held: Any = table.schema().to_arrow()
    return pl.Schema(held)


def list_files(table: DeltaTable) -> list[DataFile]:
    """Return the files of the table's version in the order of their first rows."""
    actions: Any = table.get_add_actions(flatten=True)
    return sorted((_file(row) for row in pa.table(actions).to_pylist()), key=lambda file: (file.first, file.path))


def read(store: ObjectStore, key: str, path: str, schema: pl.Schema) -> pl.LazyFrame:
    """Return columns of a data file of the table in the folder `key`; those that came after it are null."""
    options: Any = {name: value for name, value in store.storage_options.items() if name != "conditional_put"}
    rows = pl.scan_parquet(store.uri(f"{key}/{path}"), storage_options=options or None, glob=False)
    held = rows.collect_schema()
    return rows.select((pl.col(name) if name in held else pl.lit(None).alias(name)).cast(kind) for name, kind in schema.items())


def write(store: ObjectStore, key: str, frames: Iterable[pl.DataFrame]) -> list[AddAction]:
    """Write frames as data files of at most FILE_ROWS rows into the folder `key`; they are durable, and no part of the table yet.

    Memory: the rows of one file, and of one frame. A frame's order is kept.
    """
    return [_write(store, key, frame) for frame in _whole_files(frames)]


def exchange(
    table: DeltaTable,
    adds: Sequence[AddAction],
    removes: Sequence[DataFile],
    commit: CommitProperties,
    *,
    schema: DeltaSchema | None = None,
    same_rows: bool = False,
) -> None:
    """Put files in and take files out as one commit; with a schema, the files put in are the whole table from now on.

    `same_rows`: the files hold the same rows as before. Raises: CommitFailedError when another commit came first.
    """
    now_ms = time.time_ns() // 1_000_000
    taken = [RemoveAction(file.path, not same_rows, now_ms, file.byte_count, {}) for file in removes]
    put = [AddAction(add.path, add.size, {}, add.modification_time, not same_rows, add.stats) for add in adds]
    table.create_write_transaction(
        [*put, *taken],
        "append" if schema is None else "overwrite",
        schema or table.schema(),
        commit_properties=commit,
        post_commithook_properties=_HOOK,
    )
    table.update_incremental()


def without_keys(
    store: ObjectStore, key: str, files: Sequence[DataFile], schema: pl.Schema, keys: pl.DataFrame
) -> tuple[list[AddAction], list[DataFile]]:
    """Write the files that hold one of the keys again without its rows; return what was written and which files it replaces.

    keys: n_keys × the key's items, null equal to null, no key twice. A file is read only if its bounds leave room for a key, and
    written again only if it holds one: its cost is that of the files touched. Memory: the keys, and the rows of one file.
    """
    names = keys.columns
    written: list[AddAction] = []
    touched: list[DataFile] = []
    key_schema = pl.Schema({name: schema[name] for name in names})
    wanted = keys.lazy()
    for file in (file for file in files if file.row_count and _may_hold(file, keys)):
        held = read(store, key, file.path, key_schema).join(wanted, on=names, how="semi", nulls_equal=True)
        if not held.select(pl.len()).collect().item():
            continue
        touched.append(file)
        rows = read(store, key, file.path, schema).join(wanted, on=names, how="anti", nulls_equal=True, maintain_order="left")
        written += write(store, key, [rows.collect()] if file.row_count <= FILE_ROWS else rows.collect_batches(maintain_order=True))
    return written, touched


def _file(row: dict[str, Any]) -> DataFile:
    def named(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix) and value is not None}

    least, greatest = named("min."), named("max.")
    first, last = least.get(SEQUENCE, 0), greatest.get(SEQUENCE, 1 << 62)
    return DataFile(
        path=row["path"],
        byte_count=row["size_bytes"],
        row_count=row["num_records"],
        first=(first, least.get(ROW, 0) if first == last else 0),
        last=(last, greatest.get(ROW, 1 << 62) if first == last else 1 << 62),
        least=least,
        greatest=greatest,
        null_count=named("null_count."),
    )


def _may_hold(file: DataFile, keys: pl.DataFrame) -> bool:
    """Say whether a file's bounds leave room for one of the keys; bounds that are not stated exactly leave room for all."""
    room = pl.lit(value=True)
    for name in keys.columns:
        low, high, nulls = file.least.get(name), file.greatest.get(name), file.null_count.get(name)
        if _stated(keys.schema[name]) and nulls is not None and (low is not None and high is not None):
            inside = pl.col(name).is_between(pl.lit(low, keys.schema[name]), pl.lit(high, keys.schema[name]))
            room = room & (inside | pl.col(name).is_null() if nulls else inside.fill_null(value=False))
    return bool(keys.select(room.any()).item())


def _whole_files(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    waiting: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        for piece in frame.iter_slices(FILE_ROWS):
            if rows + piece.height > FILE_ROWS:
                yield pl.concat(waiting)
                waiting, rows = [], 0
            waiting.append(piece)
            rows += piece.height
    if rows:
        yield pl.concat(waiting)


def _write(store: ObjectStore, key: str, frame: pl.DataFrame) -> AddAction:
    name = f"part-{uuid4()}.parquet"
    with store.new_file(f"{key}/{name}") as path:
        frame.write_parquet(path, compression="zstd", compression_level=1, row_group_size=FILE_ROWS)
        size = path.stat().st_size
    return AddAction(name, size, {}, time.time_ns() // 1_000_000, True, json.dumps(_statistics(frame), ensure_ascii=False))


def _stated(kind: pl.DataType) -> bool:
    """Say whether bounds of such a column are stated: those that the log's JSON holds exactly."""
    return isinstance(kind, pl.String | pl.Int64 | pl.Date)


def _statistics(frame: pl.DataFrame) -> dict[str, Any]:
    """Return a file's statistics as the log states them. Source: Delta Transaction Log Protocol, Per-file Statistics."""
    stated = [name for name, kind in frame.schema.items() if _stated(kind)]
    bounds: dict[str, Callable[[str], pl.Expr]] = {
        "minValues": lambda name: pl.col(name).min(),
        "maxValues": lambda name: pl.col(name).max(),
    }
    found = {
        side: {
            name: value if isinstance(value, str | int) else value.isoformat()
            for name, value in frame.select(bound(name) for name in stated).row(0, named=True).items()
            if value is not None and not (isinstance(value, str) and len(value) > _MOST_STATED)
        }
        for side, bound in bounds.items()
    }
    return {"numRecords": frame.height, **found, "nullCount": frame.null_count().row(0, named=True)}
