"""Frames out to files, one after another, in bounded memory: CSV, NDJSON, JSON array, Parquet, XLSX."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import Event
from typing import IO, Any

import polars as pl
import xlsxwriter
from polars.io.plugins import register_io_source

from dxmesh_schemas.problem import TooLarge
from dxmesh_tabular.json_rows import instants, json_texts

Sink = Path | IO[bytes]
ROW_GROUP_ROWS = 1 << 17
XLSX_MAX_ROWS = 1_048_576  # of a sheet, its header included
_LEAVE_SECONDS = 30.0
_BOM = b"\xef\xbb\xbf"


def write_csv(frames: Iterable[pl.DataFrame], sink: Sink, *, bom: bool = False, header: bool = True) -> int:
    """Write CSV (RFC 4180: commas, CRLF, quotes where needed; UTF-8) and return the row count.

    Null is an empty cell; instants end in Z. Values are written as they are: a text that a spreadsheet program would take for a
    formula is not altered. `bom`: begin with a byte order mark, which such programs need to see UTF-8.
    """
    rows = 0
    with _opened(sink) as out:
        for place, frame in enumerate(frames):
            if bom and place == 0:
                out.write(_BOM)
            plain = frame.with_columns(instants(frame.schema))
            plain.write_csv(out, include_header=header and place == 0, line_terminator="\r\n")
            rows += frame.height
    return rows


def write_json(frames: Iterable[pl.DataFrame], sink: Sink) -> int:
    """Write one JSON array, an object a line (see `json_rows.row_json`), and return the row count."""
    rows = 0
    with _opened(sink) as out:
        out.write(b"[")
        for frame in frames:
            if frame.height:
                texts = json_texts(frame)
                out.write(b",\n" if rows else b"\n")
                _write_lines(texts.head(-1), out, ",\n")
                out.write(texts[-1].encode())
            rows += frame.height
        out.write(b"\n]\n" if rows else b"]\n")
    return rows


def write_parquet(frames: Iterable[pl.DataFrame], sink: Sink, *, schema: pl.Schema) -> int:
    """Write one Parquet file (zstd level 1, row groups of 131,072 rows) and return the row count.

    `schema`: the columns of every frame. Memory: some row groups, whatever the number of frames. What the iterable raises comes out.
    """
    waiting = iter(frames)
    first = next(waiting, pl.DataFrame(schema=schema))
    second = next(waiting, None)
    if second is None:  # one frame: without the start of a streaming query, which takes longer than writing a small frame
        first.write_parquet(sink, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS)
        return first.height
    return _stream_parquet(chain((first, second), waiting), sink, schema)


def _stream_parquet(frames: Iterator[pl.DataFrame], sink: Sink, schema: pl.Schema) -> int:
    rows = 0
    failure: list[BaseException] = []
    stop, left = Event(), Event()

    def source(*_: object) -> Iterator[pl.DataFrame]:  # no projection or filter is pushed down into a plain sink
        nonlocal rows
        try:
            for frame in frames:
                if stop.is_set():
                    return
                rows += frame.height
                yield frame
        except Exception as error:
            failure.append(error)
            raise
        finally:
            left.set()

    try:
        register_io_source(source, schema=schema).sink_parquet(
            sink, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS, engine="streaming"
        )
    except Exception:
        if failure:
            raise failure[0] from None
        stop.set()  # the sink failed while a thread of polars may still be reading: it must not outlive this call
        left.wait(_LEAVE_SECONDS)
        raise
    return rows


def write_xlsx(frames: Iterable[pl.DataFrame], sink: Sink, *, titles: Sequence[str] | None = None) -> int:
    """Write one sheet and return the row count; text stays text (no formula, link or number is made of it).

    `titles`: header cells instead of the column names. Instants are written as text, numbers of more than 15 digits too: a
    spreadsheet program would round them. Raises: TooLarge (413) beyond 1,048,575 rows.
    """
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "yyyy-mm-dd",
    }
    rows = 0
    with _opened(sink) as out, xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet()
        for frame in frames:
            if rows == 0:
                sheet.write_row(0, 0, list(titles or frame.columns))
            if rows + frame.height >= XLSX_MAX_ROWS:
                raise TooLarge(f"a sheet holds {XLSX_MAX_ROWS - 1} rows; take CSV or Parquet")
            for cells in _sheet_cells(frame).iter_rows():
                rows += 1
                for place, cell in enumerate(cells):
                    if cell is not None:
                        _write_cell(sheet, rows, place, cell)
    return rows


def _write_lines(texts: pl.Series, out: IO[bytes], end: str) -> None:
    """Write texts as they are, each with the end behind it, without making Python strings of them."""
    texts.to_frame().write_csv(out, include_header=False, quote_style="never", line_terminator=end)


def _sheet_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return cells a sheet can hold without loss: instants, exact numbers, wide whole numbers and dates before 1900-03 as text."""
    exact = [pl.col(name).cast(pl.String) for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
    wide = [pl.col(name).cast(pl.String) for name, kind in frame.schema.items() if kind.is_integer() and _any(frame, _too_wide(name))]
    old = [pl.col(name).dt.to_string("%Y-%m-%d") for name, kind in frame.schema.items() if kind == pl.Date and _any(frame, _too_old(name))]
    return frame.with_columns(*instants(frame.schema), *exact, *wide, *old)


def _any(frame: pl.DataFrame, condition: pl.Expr) -> bool:
    return bool(frame.select(condition.any()).item())


def _too_wide(name: str) -> pl.Expr:
    return ~pl.col(name).is_between(-(10**15) + 1, 10**15 - 1)


def _too_old(name: str) -> pl.Expr:
    return pl.col(name).dt.year() <= 1900


def _write_cell(sheet: Any, row: int, place: int, cell: Any) -> None:
    if isinstance(cell, str):
        sheet.write_string(row, place, cell)
    elif isinstance(cell, float) and (cell != cell or abs(cell) == float("inf")):
        sheet.write_string(row, place, str(cell))
    else:
        sheet.write(row, place, cell)


@contextmanager
def _opened(sink: Sink) -> Iterator[IO[bytes]]:
    if isinstance(sink, Path):
        with sink.open("wb") as file:
            yield file
    else:
        yield sink
