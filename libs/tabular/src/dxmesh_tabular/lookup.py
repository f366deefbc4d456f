"""Rows of large tables in a millisecond, by their values or page by page: files are kept in memory, sorted, while there is room."""

import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol
from urllib.parse import unquote

import polars as pl

from dxmesh_tabular import table_files as files
from dxmesh_tabular.items import ROW, SEQUENCE
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import at_version

_MOST_VERSIONS = 256
_LOOK_SECONDS = 60.0
_Held = tuple[pl.Schema, list[files.DataFile]]
_Place = tuple[str, str, Hashable]


class Where(Hashable, Protocol):
    """What makes the mask of the rows wanted from a version's columns; equal ones make the same mask."""

    def __call__(self, held: pl.Schema, /) -> pl.Expr: ...


@dataclass(slots=True)
class _Kept:
    """A sorted copy: its bytes, and when its file was last seen in the store."""

    rows: pl.DataFrame
    byte_count: int
    seen_at: float


class Lookup:
    """Reads rows of tables at their versions.

    What is kept is a sorted copy of some columns of a data file. Files never change, so a fold costs only the files it wrote, and two
    processes need not know of each other; the least used copies make room for others. A file that was removed from the store with the
    versions that had it is read no longer than `look_seconds` after that. One file is read at a time. Safe for threads.
    """

    def __init__(self, store: ObjectStore, *, max_bytes: int, look_seconds: float = _LOOK_SECONDS) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._look_seconds = look_seconds
        self._kept_bytes = 0
        self._versions: OrderedDict[tuple[str, int], _Held] = OrderedDict()
        self._sorted: OrderedDict[_Place, _Kept] = OrderedDict()
        self._lock = Lock()
        self._reading = Lock()

    @property
    def kept_bytes(self) -> int:
        """Return how much is held in memory."""
        return self._kept_bytes

    def schema(self, key: str, version: int) -> pl.Schema:
        """Return the columns of a table's version. Raises: NotFound (404)."""
        return self._version(key, version)[0]

    def rows(self, key: str, version: int, equal: Mapping[str, Any], columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows with these values, in no order. Frame: n_rows × `columns`, each of which the version has.

        equal: column to value, of the column's own type and not null; at least one. Raises: NotFound (404).
        """
        schema, held = self._version(key, version)
        near = [self._in_file(key, file, equal, columns, schema) for file in held if _may_hold(file, equal)]
        found = [rows for rows in near if rows is not None]
        return pl.concat(found) if found else pl.DataFrame(schema={name: schema[name] for name in columns})

    def page(
        self, key: str, version: int, *, after: tuple[int, int] | None, limit: int, columns: Sequence[str], where: Where | None = None
    ) -> pl.DataFrame:
        """Return the next rows of a table's version in their fixed order: at most `limit` behind `after` = (sequence_, row_).

        The frame has `sequence_`, `row_` and the named columns; columns the version lacks are null text. Files are read in the order of
        their rows until the page is full, so a page of a large table costs no more than one of a small one; a file that a page takes
        from its first row on is not kept for it if the page has room for all of it. Raises: NotFound (404), FileNotFoundError.
        """
        schema, listed = self._version(key, version)
        wanted = [SEQUENCE, ROW, *(name for name in columns if name in schema)]
        lacking = [pl.lit(None, pl.String).alias(name) for name in columns if name not in schema]
        found = pl.DataFrame(schema={name: schema[name] for name in wanted})
        for file in listed:
            if found.height == limit and file.first > _place(found, limit - 1):
                break
            if after is not None and file.last <= after:
                continue
            is_whole = (after is None or file.first > after) and file.row_count <= limit - found.height
            rows = self._passing(key, file, wanted, schema, where, is_whole=is_whole)
            near = rows.slice(0 if after is None else _behind(rows, after), limit)
            if found.height and near.height:
                is_behind = _place(near, 0) > _place(found, found.height - 1)
                found = pl.concat([found, near])
                found = (found if is_behind else found.sort(SEQUENCE, ROW)).head(limit)
            elif near.height:
                found = near
        return found.with_columns(lacking).select(SEQUENCE, ROW, *columns) if lacking else found

    def _version(self, key: str, version: int) -> _Held:
        with self._lock:
            if (kept := self._versions.get((key, version))) is not None:
                self._versions.move_to_end((key, version))
                return kept
        table = at_version(self._store, key, version)
        held = files.columns(table), files.list_files(table)
        with self._lock:
            self._versions[key, version] = held
            if len(self._versions) > _MOST_VERSIONS:
                self._versions.popitem(last=False)
        return held

    def _in_file(
        self, key: str, file: files.DataFile, equal: Mapping[str, Any], columns: Sequence[str], schema: pl.Schema
    ) -> pl.DataFrame | None:
        by = min(equal)  # the same for the same columns, so that one sorted copy serves them all
        names = sorted({*columns, *equal})

        def read() -> pl.LazyFrame:
            return self._read(key, file, names, schema).filter(pl.col(by).is_not_null()).sort(by)

        rows = self._copy((key, file.path, (by, *names)), read)
        column, value = rows[by], equal[by]
        first = bisect_left(column, value)  # a tenth of polars' own search, and most files have no such row
        if first == len(column) or column[first] != value:
            return None
        near = rows.slice(first, bisect_right(column, value, lo=first) - first)
        rest = [pl.col(name) == pl.lit(value, schema[name]) for name, value in equal.items() if name != by]
        return (near.filter(rest) if rest else near)[list(columns)]  # a selection by names alone needs no query

    def _passing(
        self, key: str, file: files.DataFile, names: Sequence[str], schema: pl.Schema, where: Where | None, *, is_whole: bool
    ) -> pl.DataFrame:
        """Return the rows of a file that pass, in their order."""

        def read() -> pl.LazyFrame:
            rows = self._read(key, file, list(schema), schema)
            return (rows if where is None else rows.filter(where(schema))).select(names).sort(SEQUENCE, ROW)

        return self._copy((key, file.path, (where, *names)), read, keep=not is_whole)

    def _read(self, key: str, file: files.DataFile, names: Sequence[str], schema: pl.Schema) -> pl.LazyFrame:
        return files.read(self._store, key, file.path, pl.Schema({name: schema[name] for name in names}))

    def _copy(self, place: _Place, read: Callable[[], pl.LazyFrame], *, keep: bool = True) -> pl.DataFrame:
        if (rows := self._kept(place)) is not None:
            return rows
        with self._reading:
            if (rows := self._kept(place)) is not None:
                return rows
            rows = read().collect()
            if keep:
                self._keep(place, rows)
        return rows

    def _kept(self, place: _Place) -> pl.DataFrame | None:
        now = time.monotonic()
        with self._lock:
            if (kept := self._sorted.get(place)) is None:
                return None
            self._sorted.move_to_end(place)
            if now - kept.seen_at < self._look_seconds:
                return kept.rows
        key, path, _ = place
        if self._store.exists(f"{key}/{unquote(path)}"):
            kept.seen_at = now
            return kept.rows
        with self._lock:
            if self._sorted.pop(place, None) is not None:
                self._kept_bytes -= kept.byte_count
        return None

    def _keep(self, place: _Place, rows: pl.DataFrame) -> None:
        kept = _Kept(rows, int(rows.estimated_size()), time.monotonic())
        with self._lock:
            self._sorted[place] = kept
            self._kept_bytes += kept.byte_count
            while self._kept_bytes > self._max_bytes:
                self._kept_bytes -= self._sorted.popitem(last=False)[1].byte_count


def _place(rows: pl.DataFrame, number: int) -> tuple[int, int]:
    return rows[SEQUENCE][number], rows[ROW][number]


def _behind(rows: pl.DataFrame, after: tuple[int, int]) -> int:
    return bisect_right(range(rows.height), after, key=lambda number: _place(rows, number))


def _may_hold(file: files.DataFile, equal: Mapping[str, Any]) -> bool:
    """Say whether a file's bounds leave room for a row; texts and whole numbers are compared, everything else may be there."""
    for name, value in equal.items():
        low, high = file.least.get(name), file.greatest.get(name)
        for kind in (str, int):
            if isinstance(value, kind) and isinstance(low, kind) and isinstance(high, kind) and not low <= value <= high:  # type: ignore[operator]
                return False
    return bool(file.row_count)
