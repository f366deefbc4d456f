"""A list's file, read into rows of text with the faults of those that cannot be read, and what an import says of wrong rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from catalog_svc.formats import unguarded
from catalog_svc.sharing_list import template
from catalog_svc.sharing_list.domain import FORBIDS_TITLES, Forbids, ListKind
from catalog_svc.sharing_list.errors import ImportTooLarge
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.items import ROW
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read

MAX_ROWS = 200_000
"""Of one import."""
MAX_SHOWN = 1_000
"""Faults that an answer names; the counts are of all."""
Cells = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row is not taken: `row` counts data rows from 1, the header not counted; `column` is the header's text."""

    row: int
    column: str | None
    reason: str
    remedy: str

    def as_error(self) -> dict[str, Any]:
        """Return the fault as a problem names it."""
        pointer = f"/rows/{self.row}" + (f"/{self.column.replace('~', '~0').replace('/', '~1')}" if self.column else "")
        detail = f"{self.reason}; {self.remedy}"
        return {"pointer": pointer, "detail": detail, "row": self.row, "column": self.column, "reason": self.reason, "remedy": self.remedy}


@dataclass(slots=True)
class Sheet:
    """The rows of a file that could be read, by row number, and what is wrong: the first thousand faults by name, the rest counted."""

    kind: ListKind
    cells: list[tuple[int, Cells]] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)
    fault_count: int = 0
    refused_rows: set[int] = field(default_factory=set)
    row_count: int = 0

    def fault(self, row: int, column_field: str | None, reason: str, remedy: str | None = None) -> None:
        """Note what is wrong in a row."""
        self.fault_count += 1
        self.refused_rows.add(row)
        if len(self.faults) < MAX_SHOWN:
            column = template.column_of(self.kind, column_field) if column_field is not None else None
            self.faults.append(RowFault(row, column.title if column else None, reason, remedy or (column.remedy if column else "mend it")))


def read_sheet(path: Path, media: MediaType, kind: ListKind, *, sheet: str | None, encoding: str | None) -> Sheet:
    """Read a list's file; a merged cell counts in its first row, a formula as the value the program that saved it had found.

    Raises: Invalid (422) for wrong columns or a sheet that is not there, Unreadable (400), UnsupportedMedia (415),
    TooLarge (413) for what inflates beyond reason, ImportTooLarge (413) beyond 200,000 rows.
    """
    found = Sheet(kind)
    items = template.items_of(kind)
    options = ReadOptions(needed=template.NEEDED[kind], sheet=sheet, encoding=encoding)
    for chunk in read(path, media, items, options=options):
        for line in chunk.refused.iter_rows(named=True):
            if line["item"] is None:
                found.fault(line["row"], None, f"the line cannot be read: {line['reason']}", "mend the line")
            else:
                found.fault(line["row"], line["item"], f"{line['value']!r} {line['reason']}")
        rows = unguarded(chunk.rows) if media is MediaType.CSV else chunk.rows
        found.row_count += rows.height + chunk.refused["row"].n_unique()
        if found.row_count > MAX_ROWS:
            raise ImportTooLarge(f"one import takes {MAX_ROWS} rows; split the file", max_rows=MAX_ROWS)
        rows = _without_nul(found, rows)
        found.cells += [(cells.pop(ROW), cells) for cells in _trimmed(rows).iter_rows(named=True)]
    return found


def _without_nul(found: Sheet, rows: pl.DataFrame) -> pl.DataFrame:
    """Refuse rows with U+0000, which no database text holds."""
    texts = [name for name, kind in rows.schema.items() if kind == pl.String]
    marked = rows.select(pl.any_horizontal(pl.col(texts).str.contains("\0", literal=True).fill_null(False))).to_series()
    for row in rows.filter(marked).iter_rows(named=True):
        wrong = next(name for name in texts if "\0" in (row[name] or ""))
        found.fault(row[ROW], wrong, "holds U+0000, a character that cannot be seen")
    return rows.filter(~marked)


def _trimmed(rows: pl.DataFrame) -> pl.DataFrame:
    texts = [pl.col(name).str.strip_chars() for name, kind in rows.schema.items() if kind == pl.String]
    stripped = rows.with_columns(texts)
    blank = [pl.when(pl.col(name) != "").then(pl.col(name)).name.keep() for name, kind in rows.schema.items() if kind == pl.String]
    return stripped.with_columns(blank)


def choice(titles: Mapping[Any, str], text: str | None) -> Any:
    """Return the value a cell names by its title or its identifier, None for an empty one. Raises ValueError."""
    if text is None:
        return None
    for value, title in titles.items():
        if text == title or text.casefold() == str(value).casefold():
            return value
    raise ValueError(f"{text!r} is not known here")


def entry_cells(row: Mapping[str, Any], statuses: Mapping[Any, str], bases: Mapping[Any, str]) -> dict[str, Any]:
    """Return an entry of a kept list as its file shows it."""
    basis = row["basis"] or {}
    due_on: date | None = row["due_on"]
    return dict(row) | {
        "status": statuses[row["status"]],
        "due_on": due_on.isoformat() if due_on else None,
        "basis_kind": bases[basis["kind"]] if basis else None,
        "basis_title": basis.get("title"),
        "basis_article": basis.get("article"),
        "forbids": FORBIDS_TITLES[Forbids(row["forbids"])] if row["forbids"] else None,
        "changed_at": row["changed_at"].isoformat(timespec="seconds"),
    }


def system_cells(row: Mapping[str, Any], kinds: Mapping[Any, str], states: Mapping[Any, str]) -> dict[str, Any]:
    """Return a system as its list's file shows it."""
    return dict(row) | {
        "kind": kinds[row["kind"]],
        "state": states[row["state"]],
        "registered_at": row["registered_at"].isoformat(timespec="seconds"),
    }
