"""JSON objects into columns: the block is proven regular by one expression and read by polars, or taken object by object."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_schemas.problem import Invalid
from dxmesh_tabular import casting, columns
from dxmesh_tabular.chunk import MAX_VALUE_CHARS, NO_CHARACTER, TYPE, BrokenLine, Chunk, refused_lines
from dxmesh_tabular.items import REFUSED_SCHEMA, ROW
from dxmesh_tabular.json_records import Fault, as_object, cells, dumps, load, misfit_reason

_MAX_PROVEN_ITEMS = 200  # beyond, the expression would grow too large
_ESCAPE = r'\\["\\/bfnrt]|\\u(?:[1-9a-cA-CeEfF][0-9a-fA-F]{3}|0[1-9a-fA-F][0-9a-fA-F]{2}|00[1-9a-fA-F][0-9a-fA-F]|[dD][0-7][0-9a-fA-F]{2})'
_STRING = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
_WHOLE = r"-?[0-9]{1,15}"
_NUMBER = rf"{_WHOLE}|-?[0-9]{{1,8}}\.[0-9]{{1,7}}"  # comes out of 64-bit floating point with the value that was written
_BLANK = r"[ \t]*"
_SPACE = r"[ \t\r\n]*"


class Objects:
    """Turns the objects of one file into chunks and counts its rows."""

    def __init__(self, items: Sequence[DataItem], needed: Sequence[str] | None) -> None:
        self.items = items
        self.needed = [item.code for item in items if item.required] if needed is None else list(needed)
        self.row = 1
        self._names = columns.Names(items)
        self._keys: dict[str, DataItem | None] = {}  # every member's name seen, with its item
        self._order: list[str] = []  # the same, known ones only
        self._regular: dict[bool, str] = {}

    def by_columns(self, block: bytes, *, lines: bool) -> Chunk | None:
        """Read a block of whole objects, each with a line end (or a comma) behind it; None if it is not proven regular.

        Regular: members known, each at most once and in the order of the first object, texts in quotes, numbers exact.
        """
        if not self._order or len(self._order) > _MAX_PROVEN_ITEMS:
            return None
        try:
            if not self._is_regular(block, lines=lines):
                return None
            schema = dict.fromkeys(self._order, pl.String())
            if lines:
                frame = pl.read_ndjson(block, schema=schema)
            else:
                frame = pl.read_json(b"[" + block.rstrip(b" \t\r\n,") + b"]", schema=schema)
        except (UnicodeDecodeError, PolarsError):
            return None
        frame = frame.rename({key: item.code for key, item in self._keys.items() if item is not None})
        first, self.row = self.row, self.row + frame.height
        return casting.cast(frame.with_row_index(ROW, first), self.items)

    def _is_regular(self, block: bytes, *, lines: bool) -> bool:
        if lines not in self._regular:
            self._regular[lines] = self._expression(lines=lines)
        return bool(pl.Series([block.decode()]).str.contains(self._regular[lines])[0])

    def by_lines(self, text: str, encoding: str) -> Chunk:
        """Read one object a line; a line that is none refuses its row, a blank line is no row."""
        found: list[tuple[Any, str]] = []
        suspect = NO_CHARACTER.search(text) is not None
        for line in text.split("\n"):
            if not line.strip(" \t\r"):
                continue
            try:
                if suspect and NO_CHARACTER.search(line):
                    raise Fault(f"holds bytes that are no {encoding} character; if the file has another encoding, declare it")
                found.append((load(line), line))
            except Fault as fault:
                found.append((fault, line))
        return self.by_objects(found)

    def by_objects(self, found: Iterable[tuple[Any, str]]) -> Chunk:
        """Read parsed objects (or the Fault that kept one from being parsed), each with its text."""
        broken: list[BrokenLine] = []
        misfits: list[tuple[int, DataItem, str, str]] = []
        numbers: list[int] = []
        rows: list[dict[str, str | None]] = []
        first = self.row
        for value, raw in found:
            number, self.row = self.row, self.row + 1
            try:
                if isinstance(value, Fault):
                    raise value
                record = cells(as_object(value), self._known(value, number))
            except Fault as fault:
                broken.append(BrokenLine(number, str(fault), raw))
                continue
            if record.misfits:
                misfits += [(number, item, shown, raw) for item, shown in record.misfits]
            else:
                numbers.append(number)
                rows.append(record.text)
        if first == 1 and rows:
            self._demand({code for row in rows for code in row})
        chunk = casting.cast(self._frame(numbers, rows), self.items)
        if not broken and not misfits:
            return chunk
        return Chunk(chunk.rows, pl.concat([chunk.refused, refused_lines(broken), _misfit_lines(misfits)]).sort("row", maintain_order=True))

    def _frame(self, numbers: list[int], rows: list[dict[str, str | None]]) -> pl.DataFrame:
        present = [item for item in self.items if any(item.code in row for row in rows)]
        cells_of = [pl.Series(item.code, [row.get(item.code) for row in rows], dtype=pl.String) for item in present]
        return pl.DataFrame([pl.Series(ROW, numbers, dtype=pl.UInt32), *cells_of])

    def _known(self, value: Any, number: int) -> dict[str, DataItem | None]:
        new = [key for key in as_object(value) if key not in self._keys]
        for key in new:
            self._keys[key] = self._names.find(key)
        errors = [
            {"pointer": f"/{number - 1}/{key}", "detail": f"member {key!r} is no item of the resource"}
            for key in new
            if self._keys[key] is None
        ]
        known = [key for key in new if self._keys[key] is not None]
        codes = [item.code for item in self._keys.values() if item is not None]
        errors += [
            {"pointer": f"/{number - 1}/{key}", "detail": f"item {item.code} is named in two ways"}
            for key in known
            if (item := self._keys[key]) is not None and codes.count(item.code) > 1
        ]
        if errors:
            raise Invalid(f"The members of data row {number} are not the items of the resource", errors=errors)
        if known:
            self._order += known
            self._regular.clear()
        return self._keys

    def _demand(self, present: set[str]) -> None:
        errors = [{"pointer": f"/items/{code}", "detail": f"item {code} is missing"} for code in self.needed if code not in present]
        if errors:
            raise Invalid("The objects lack members that the resource needs", errors=errors)

    def _expression(self, *, lines: bool) -> str:
        space = _BLANK if lines else _SPACE
        members = ""
        for key in self._order:
            item = self._keys[key]
            assert item is not None
            members += rf'(?:"{re.escape(_quoted(key))}"{space}:{space}(?:{_value(item)}){space},?{space})?'
        behind = rf"{_BLANK}\r?\n" if lines else rf"{_SPACE},{_SPACE}"
        return rf"\A(?:\{{{space}{members}\}}{behind})*\z"


def _quoted(key: str) -> str:
    return dumps(key)[1:-1]


def _value(item: DataItem) -> str:
    if item.data_type.is_text:
        return f"null|{_STRING}"
    if item.data_type is DataType.LOGICAL:
        return f"null|true|false|{_STRING}"
    if item.data_type in (DataType.DATE, DataType.DATETIME):
        return f"null|{_STRING}"
    return f"null|{_WHOLE if item.data_type is DataType.INTEGER else _NUMBER}|{_STRING}"


def _misfit_lines(misfits: list[tuple[int, DataItem, str, str]]) -> pl.DataFrame:
    lines = [(row, item.code, TYPE, misfit_reason(item, value), value, raw) for row, item, value, raw in misfits]
    broken = refused_lines(BrokenLine(row, reason, raw) for row, _, _, reason, _, raw in lines)
    shown = refused_lines(BrokenLine(row, value[:MAX_VALUE_CHARS], "") for row, _, _, _, value, _ in lines)["reason"]
    return broken.with_columns(
        pl.Series("item", [code for _, code, *_ in lines], dtype=pl.String), pl.lit(TYPE).alias("rule"), shown.alias("value")
    ).select(REFUSED_SCHEMA.names())
