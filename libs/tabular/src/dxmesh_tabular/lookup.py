"""Rows of large tables by their values in columns, in a millisecond: files are kept in memory, sorted, as long as there is room."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import polars as pl

from dxmesh_tabular import table_files as files
from dxmesh_tabular.store import ObjectStore
from dxmesh_tabular.table import at_version

_MOST_VERSIONS = 64
_Held = tuple[pl.Schema, list[files.DataFile]]


class Lookup:
    """Finds rows of tables at their versions.

    What is kept is a sorted copy of some columns of a data file. Files never change, so a fold costs only the files it wrote; the
    least used ones make room for others. One file is read at a time. Safe for threads.
    """

    def __init__(self, store: ObjectStore, *, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._kept_bytes = 0
        self._versions: OrderedDict[tuple[str, int], _Held] = OrderedDict()
        self._sorted: OrderedDict[tuple[str, ...], tuple[pl.DataFrame, int]] = OrderedDict()
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
        rows = self._file(key, file, by, sorted({*columns, *equal}), schema)
        column, value = rows[by], equal[by]
        first = bisect_left(column, value)  # a tenth of polars' own search, and most files have no such row
        if first == len(column) or column[first] != value:
            return None
        near = rows.slice(first, bisect_right(column, value, lo=first) - first)
        rest = [pl.col(name) == pl.lit(value, schema[name]) for name, value in equal.items() if name != by]
        return near.filter(rest).select(columns) if rest else near.select(columns)

    def _file(self, key: str, file: files.DataFile, by: str, columns: Sequence[str], schema: pl.Schema) -> pl.DataFrame:
        place = (key, file.path, by, *columns)
        if (rows := self._kept(place)) is not None:
            return rows
        with self._reading:
            if (rows := self._kept(place)) is not None:
                return rows
            wanted = pl.Schema({name: schema[name] for name in columns})
            rows = files.read(self._store, key, file.path, wanted).filter(pl.col(by).is_not_null()).sort(by).collect()
            self._keep(place, rows)
        return rows

    def _kept(self, place: tuple[str, ...]) -> pl.DataFrame | None:
        with self._lock:
            if place not in self._sorted:
                return None
            self._sorted.move_to_end(place)
            return self._sorted[place][0]

    def _keep(self, place: tuple[str, ...], rows: pl.DataFrame) -> None:
        size = int(rows.estimated_size())
        with self._lock:
            self._sorted[place] = rows, size
            self._kept_bytes += size
            while self._kept_bytes > self._max_bytes:
                _, (_, least) = self._sorted.popitem(last=False)
                self._kept_bytes -= least


def _may_hold(file: files.DataFile, equal: Mapping[str, Any]) -> bool:
    """Say whether a file's bounds leave room for a row; texts and whole numbers are compared, everything else may be there."""
    for name, value in equal.items():
        low, high = file.least.get(name), file.greatest.get(name)
        for kind in (str, int):
            if isinstance(value, kind) and isinstance(low, kind) and isinstance(high, kind) and not low <= value <= high:  # type: ignore[operator]
                return False
    return bool(file.row_count)
