"""The forms lists, reports and editions are given out in: JSON, and tables as CSV and XLSX, made in columns."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import IO, Annotated, Any
from urllib.parse import quote

import polars as pl
from fastapi import Depends, Header, Query
from fastapi.responses import StreamingResponse

from dxmesh_schemas.problem import Unavailable
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.writing import write_csv, write_xlsx

_PIECE_BYTES = 1 << 18
_AT_ONCE = 2
_WAITING = 20
_RISKY = r"^'*[=+\-@\t\r\n＝＋－＠]"


class Format(StrEnum):
    """A form of a table."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"


class FileFormat(StrEnum):
    """A form of a table that a spreadsheet program opens."""

    CSV = "csv"
    XLSX = "xlsx"


MEDIA_TYPES = {Format.JSON: "application/json", Format.CSV: MediaType.CSV.value, Format.XLSX: MediaType.XLSX.value}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The rows", "content": {MEDIA_TYPES[form]: {} for form in (Format.CSV, Format.XLSX)}}
}


class ExportsBusy(Unavailable):
    """Too many files are being made at once."""

    slug, title = "exports-busy", "Too many files are being made at once"


async def _form(
    format: Annotated[Format | None, Query(description="wins over Accept")] = None,  # noqa: A002  # the name callers know
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Format:
    """Return the form asked for: `format`, else the first type of Accept that is offered, else JSON."""
    if format is not None:
        return format
    for member in (accept or "").split(","):
        name = member.split(";")[0].strip().lower()
        for form, media in MEDIA_TYPES.items():
            if name == media:
                return form
    return Format.JSON


Form = Annotated[Format, Depends(_form)]


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with an apostrophe before each text that a spreadsheet program would take for a formula.

    Text that has apostrophes before such a character gets one more, so that `unguarded` gives back what was there.
    Source: OWASP, CSV injection.
    """
    texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(pl.when(text.str.contains(_RISKY)).then("'" + text).otherwise(text).name.keep() for text in texts)


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Return what `guarded` was given."""
    texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(
        pl.when(text.str.contains(_RISKY) & text.str.starts_with("'")).then(text.str.slice(1)).otherwise(text).name.keep() for text in texts
    )


def frames_of(rows: Iterable[Mapping[str, Any]], titles: Mapping[str, str], *, size: int = 5_000) -> Iterable[pl.DataFrame]:
    """Yield frames of text cells titled for readers, at least one, from rows that hold the fields of `titles`."""
    schema = dict.fromkeys(titles.values(), pl.String())
    waiting: list[tuple[str | None, ...]] = []
    is_first = True
    for row in rows:
        waiting.append(tuple(_cell(row.get(field)) for field in titles))
        if len(waiting) == size:
            yield pl.DataFrame(waiting, schema=schema, orient="row")
            waiting, is_first = [], False
    if waiting or is_first:
        yield pl.DataFrame(waiting, schema=schema, orient="row")


def _cell(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "是" if value else "否"
    return str(value)


class Exports:
    """Files are read for and made two at a time; more than twenty that wait are turned away."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place; it is taken before anything is read, which fills more memory than writing does. Raises: ExportsBusy (503)."""
        if self._waiting >= _WAITING:
            raise ExportsBusy("files are made two at a time and many wait; ask again shortly", retry_after_seconds=5)
        self._waiting += 1
        try:
            async with self._places:
                yield
        finally:
            self._waiting -= 1


async def as_file(frames: Callable[[], Iterable[pl.DataFrame]], form: Format, *, name: str) -> StreamingResponse:
    """Answer with a table as a file, written to disk before the first byte leaves, so that a failure is an honest one.

    Raises: TooLarge (413) when it does not fit a sheet.
    """
    file, size = await asyncio.to_thread(_written, frames, form)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}.{form}",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(size),
    }
    return StreamingResponse(pieces(file), media_type=MEDIA_TYPES[form], headers=headers)


def _written(frames: Callable[[], Iterable[pl.DataFrame]], form: Format) -> tuple[IO[bytes], int]:
    file = tempfile.TemporaryFile(prefix="dxmesh-export-")  # noqa: SIM115  # without a name: gone with its last reader, however that ends
    try:
        if form is Format.XLSX:
            write_xlsx(frames(), file)
        else:
            write_csv((guarded(frame) for frame in frames()), file, bom=True)
        size = file.tell() if form is Format.CSV else file.seek(0, 2)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, size


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield a file's bytes, and close it."""
    with file:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece
