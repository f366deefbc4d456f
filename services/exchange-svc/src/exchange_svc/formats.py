"""The forms a page of rows is answered in: chosen by `format` or the Accept header, made from columns."""

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import polars as pl
import pyarrow as pa
from fastapi import Response
from fastapi.concurrency import iterate_in_threadpool, run_in_threadpool
from fastapi.responses import StreamingResponse

from dxmesh_schemas.problem import Invalid
from dxmesh_tabular.json_rows import row_json
from dxmesh_tabular.writing import write_csv, write_parquet

NEXT_CURSOR = "Next-Cursor"
ROW_COUNT = "Row-Count"
_PIECE_ROWS = 10_000
_SHORT_ROWS = 1_000


class Format(StrEnum):
    """A form of rows."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}


def responses(offered: tuple[Format, ...]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers in these forms."""
    return {200: {"description": "The rows", "content": {MEDIA_TYPES[form]: {} for form in offered}}}


class FormatUnsupported(Invalid):
    """This list is not given in the form asked for."""

    slug, title = "format-unsupported", "This form is not offered here"


def choose(asked: Format | None, accept: str | None, offered: tuple[Format, ...]) -> Format:
    """Return the form to answer in: `format` wins, then the first type of Accept that is offered, then JSON.

    Raises: FormatUnsupported (422) for a `format` that is not offered.
    """
    if asked is not None:
        if asked not in offered:
            raise FormatUnsupported.at("query:format", f"format {asked} is not offered here; ask for {', '.join(offered)}")
        return asked
    for member in (accept or "").split(","):
        name = member.split(";")[0].strip().lower()
        for form in offered:
            if name == MEDIA_TYPES[form]:
                return form
    return Format.JSON


async def answer(
    frame: pl.DataFrame,
    form: Format,
    *,
    next_cursor: str | None,
    name: str,
    more: Mapping[str, str] | None = None,
    guard: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] | None = None,
) -> Response:
    """Answer a page of rows; the headers say how many they are (Row-Count) and where it goes on (Next-Cursor, in a JSON body too).

    A long page is made while it leaves, so that its text is never held whole; one of Parquet, whose end says where its columns are, is
    held in its compressed form. Parts of a page are not offered (RFC 9110 section 14.2): a page is asked for again, or a shorter one.
    more: headers that win over the usual ones.
    guard: what its pieces go through, which may cut it off.
    """
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", ROW_COUNT: str(frame.height), **(more or {})}
    if next_cursor is not None:
        headers[NEXT_CURSOR] = next_cursor
    if form in (Format.CSV, Format.PARQUET, Format.ARROW):
        headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    if frame.height > _PIECE_ROWS:
        leaving = iterate_in_threadpool(pieces(frame, form, next_cursor))
        return StreamingResponse(leaving if guard is None else guard(leaving), media_type=MEDIA_TYPES[form], headers=headers)
    if frame.height <= _SHORT_ROWS:  # made sooner than another thread has begun
        content = render(frame, form, next_cursor)
    else:
        content = await run_in_threadpool(render, frame, form, next_cursor)
    return Response(content, media_type=MEDIA_TYPES[form], headers=headers)


def pieces(frame: pl.DataFrame, form: Format, next_cursor: str | None) -> Iterator[bytes]:
    """Yield the body of a long page. Frame: n_rows × n_items, at least one row."""
    slices = frame.iter_slices(_PIECE_ROWS)
    sink = io.BytesIO()
    match form:
        case Format.JSON:
            for number, rows in enumerate(slices):
                yield (("," if number else '{"items":[') + ",".join(row_json(rows))).encode()
            yield f'],"next_cursor":{json.dumps(next_cursor)}}}'.encode()
        case Format.CSV:
            for number, rows in enumerate(slices):
                write_csv([rows], sink, header=not number)
                yield _taken(sink)
        case Format.ARROW:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            with pa.ipc.new_stream(sink, table.schema) as stream:
                for batch in table.to_batches(max_chunksize=_PIECE_ROWS):
                    stream.write_batch(batch)
                    yield _taken(sink)
            yield _taken(sink)
        case Format.NDJSON:
            yield from (render(rows, form, None) for rows in slices)
        case Format.PARQUET:
            yield render(frame, form, None)


def _taken(sink: io.BytesIO) -> bytes:
    written = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return written


def render(frame: pl.DataFrame, form: Format, next_cursor: str | None) -> bytes:
    """Return a page's body. Frame: n_rows × n_items; JSON has the shape of the values on a topic."""
    sink = io.BytesIO()
    match form:
        case Format.JSON:
            rows = ",".join(row_json(frame))
            return f'{{"items":[{rows}],"next_cursor":{json.dumps(next_cursor)}}}'.encode()
        case Format.NDJSON:
            return "".join(f"{row}\n" for row in row_json(frame)).encode()
        case Format.CSV:
            write_csv([frame], sink)
        case Format.PARQUET:
            write_parquet([frame], sink, schema=frame.schema)
        case Format.ARROW:
            frame.write_ipc_stream(sink, compat_level=pl.CompatLevel.oldest())  # readers of every age know its types
    return sink.getvalue()
