"""Lists as files over HTTP: exported, imported, and the empty template to fill in."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import polars as pl
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect

from catalog_svc.formats import RESPONSES, Exports, ExportsBusy, FileFormat, Format, as_file, frames_of
from catalog_svc.sharing_list import catalog_file, commands, registered, shown, store, template
from catalog_svc.sharing_list.domain import STATUS_TITLES, TITLES, KeptKind, ListKind
from catalog_svc.sharing_list.errors import ImportRefused, ImportTooLarge
from catalog_svc.sharing_list.routes import Of, owner_read
from catalog_svc.sharing_list.sheet import Sheet, entry_cells, read_sheet, system_cells
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden, TooLarge, Unreadable, UnsupportedMedia
from dxmesh_tabular.media import MediaType, parse_content_type

router = APIRouter(prefix="/v1/lists", tags=["lists"])
MAX_BODY_BYTES = 64 << 20
_READ_AT_ONCE = asyncio.Semaphore(2)
_READ = (MediaType.CSV, MediaType.XLSX)
_exports = Exports()
Chosen = Annotated[FileFormat, Query()]


class FaultOut(BaseModel):
    """Why a row was not taken; `row` counts data rows from 1, without the header."""

    model_config = ConfigDict(from_attributes=True)
    row: int
    column: str | None
    reason: str
    remedy: str


class ImportOut(BaseModel):
    """What an import did, in rows; `faults` names up to a thousand."""

    model_config = ConfigDict(from_attributes=True)
    received_count: int
    created_count: int
    changed_count: int
    unchanged_count: int
    refused_count: int
    faults: list[FaultOut]


class ImportQuery(BaseModel):
    """How a file is taken: `all` rows or none, or those that are `good`."""

    mode: commands.Mode = "all"
    sheet: Annotated[str | None, Query(max_length=31, description="of XLSX; the first when absent")] = None
    encoding: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._:-]{1,40}$", description="of CSV; found out when absent")] = None


_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {media.value: {"schema": {"type": "string", "format": "binary"}} for media in _READ}}
}


@router.get("/{kind}/template", response_class=StreamingResponse, responses=RESPONSES | problems(ExportsBusy))
async def get_template(kind: ListKind, _: Who, format: Chosen = FileFormat.XLSX) -> StreamingResponse:  # noqa: A002  # the name callers know
    """Return a list's columns as a file without rows, to fill in and import."""
    async with _exports.place():
        return await as_file(lambda: frames_of([], template.titles_of(kind)), Format(format.value), name=f"{TITLES[kind]}模板")


@router.get("/{kind}/file", response_class=StreamingResponse, responses=RESPONSES | problems(ExportsBusy, TooLarge))
async def export(
    kind: ListKind,
    request: Request,
    who: Who,
    organization: Of = None,
    format: Chosen = FileFormat.XLSX,  # noqa: A002  # the name callers know
) -> StreamingResponse:
    """Return a list as a file; what is exported can be changed and imported again.

    In CSV a text that a spreadsheet program would take for a formula begins with an apostrophe, which the import takes away.
    """
    titles = template.titles_of(kind)
    frames: list[pl.DataFrame] = []
    async with _exports.place():
        async with request.state.sessions() as tx:  # given back before the file is made, which takes far longer than reading
            async for piece in _pieces(kind, who, tx, organization):
                frames += await asyncio.to_thread(_frames, piece, titles)
        return await as_file(lambda: frames or frames_of([], titles), Format(format.value), name=TITLES[kind])


def _frames(rows: Iterable[Mapping[str, Any]], titles: Mapping[str, str]) -> list[pl.DataFrame]:
    return list(frames_of(rows, titles))


async def _pieces(kind: ListKind, who: Who, tx: Tx, organization: UUID | None) -> AsyncIterator[Iterable[Mapping[str, Any]]]:
    if kind is ListKind.SYSTEM:
        of, any_at_all = owner_read(who, organization)
        if any_at_all:
            async for systems in shown.stream_systems(tx, of=of):
                yield [system_cells(row, template.SYSTEM_TITLES, template.SYSTEM_STATE_TITLES) for row in systems]
    elif kind is ListKind.DATA:
        async for resources in shown.stream_resources(tx, of=organization):
            yield _item_rows(resources)
    else:
        asked = store.Asked(organization_id=organization)
        drafts_of, all_drafts = who.organization_id, who.has("authority")
        async for entries in shown.stream_entries(tx, KeptKind(kind.value), asked, drafts_of=drafts_of, all_drafts=all_drafts):
            yield [entry_cells(row, STATUS_TITLES, template.BASIS_TITLES) for row in entries]


def _item_rows(resources: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in resources:
        yield from catalog_file.rows_of(
            row["definition"],
            resource_code=row["resource_code"],
            provider_name=row["provider_name"],
            provider_uscc=row["provider_uscc"],
            system_name=row["system_name"],
            published_on=row["published_at"].date().isoformat(),
        )


@router.post(
    "/{kind}/import",
    response_model=ImportOut,
    responses=problems(ImportRefused, ImportTooLarge, Unreadable, UnsupportedMedia, Forbidden),
    openapi_extra=_BODY,
)
async def import_file(kind: ListKind, request: Request, who: Who, tx: Tx, query: Annotated[ImportQuery, Query()]) -> commands.Imported:
    """Take in a list's file in the template's columns (text/csv or XLSX); nothing is half-written."""
    commands.refuse_reader(who)
    return await take_in(kind, await _sheet(kind, request, query), request, who, tx, mode=query.mode)


async def take_in(kind: ListKind, found: Sheet, request: Request, who: Who, tx: Tx, *, mode: commands.Mode) -> commands.Imported:
    """Enter and change what the rows of a list's file ask for."""
    if kind is ListKind.SYSTEM:
        return await registered.import_systems(tx, found, mode=mode, by=who, now=utc_now())
    if kind is ListKind.DATA:
        scheme = request.state.code_scheme
        return await registered.import_resources(tx, found, mode=mode, by=who, now=utc_now(), scheme=scheme)
    return await commands.import_entries(tx, KeptKind(kind.value), found, mode=mode, by=who, now=utc_now())


async def _sheet(kind: ListKind, request: Request, query: ImportQuery) -> Sheet:
    content = parse_content_type(request.headers.get("content-type"))
    if content.media not in _READ:
        raise UnsupportedMedia(f"a list is read from text/csv or {MediaType.XLSX.value}", supported=[media.value for media in _READ])
    if (coding := request.headers.get("content-encoding", "identity").strip().lower()) != "identity":
        raise UnsupportedMedia(f"a list is not read with Content-Encoding {coding[:40]!r}; send the file as it is")
    async with _arrived(request) as path:
        return await sheet_of(path, content.media, kind, sheet=query.sheet, encoding=query.encoding or content.encoding)


async def sheet_of(path: Path, media: MediaType, kind: ListKind, *, sheet: str | None, encoding: str | None) -> Sheet:
    """Read a list's file, two at a time, while others are answered. Raises: what `read_sheet` does."""
    async with _READ_AT_ONCE:
        return await asyncio.to_thread(read_sheet, path, media, kind, sheet=sheet, encoding=encoding)


@asynccontextmanager
async def _arrived(request: Request) -> AsyncIterator[Path]:
    """Yield the body as a file, gone when it has been read. Raises: ImportTooLarge (413), Unreadable (400)."""
    with tempfile.NamedTemporaryFile(prefix="dxmesh-import-") as file:
        byte_count = 0
        try:
            async for piece in request.stream():
                byte_count += len(piece)
                if byte_count > MAX_BODY_BYTES:
                    raise ImportTooLarge(f"an import has at most {MAX_BODY_BYTES} bytes; split the file", max_bytes=MAX_BODY_BYTES)
                await asyncio.to_thread(file.write, piece)
        except ClientDisconnect:
            raise Unreadable("the connection ended before the body did; nothing was kept: send the file again") from None
        file.flush()
        yield Path(file.name)
