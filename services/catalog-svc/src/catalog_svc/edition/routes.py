"""Editions over HTTP: published once a year, read for good."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.edition import commands, comparison, domain, store
from catalog_svc.edition.errors import EditionEmpty, EditionKeyMissing, EditionNotFound, EditionTaken, EditionYearInvalid
from catalog_svc.formats import RESPONSES, Exports, ExportsBusy, Form, Format, as_file, frames_of
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.sharing_list import catalog_file, template
from catalog_svc.sharing_list.domain import ListKind
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_number, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden, TooLarge
from dxmesh_schemas.text import Name

router = APIRouter(prefix="/v1/editions", tags=["editions"], dependencies=[Depends(json_body)])
Year = Annotated[int, Path(ge=1900, le=9999)]
_exports = Exports()
_comparing = asyncio.Semaphore(1)  # a comparison reads two whole catalogues


class EditionIn(BaseModel):
    """An edition to publish."""

    model_config = ConfigDict(extra="forbid")
    year: Annotated[int, Field(ge=1900, le=9999)]
    title: Name


class EditionOut(BaseModel):
    """An edition: what it holds, the SHA-256 of its content, and the node's signature over both (a compact JWS)."""

    model_config = ConfigDict(from_attributes=True)
    year: int
    title: str
    resource_count: int
    item_count: int
    shareable_item_count: int
    provider_count: int
    content_sha256: str
    content_byte_count: int
    signature: str
    published_at: datetime
    published_by: str


class Comparison(BaseModel):
    """What differs between two editions; the rest is in both as it was."""

    before: EditionOut
    after: EditionOut
    added_count: int
    removed_count: int
    changed_count: int
    rows: list[comparison.Difference]


@router.post(
    "",
    status_code=201,
    response_model=EditionOut,
    responses=problems(*BODY_PROBLEMS, EditionYearInvalid, EditionTaken, EditionEmpty, EditionKeyMissing, Forbidden),
)
async def publish(body: EditionIn, request: Request, who: Authority, tx: Tx, response: Response) -> store.Edition:
    """Publish a year's edition: what is in force now, for good (the data authority)."""
    row = await commands.publish(
        tx, body.year, title=body.title, node=request.state.public_url, key=request.state.node_key, by=who, now=utc_now()
    )
    response.headers["Location"] = f"/v1/editions/{row.year}"
    return row


@router.get("", response_model=Page[EditionOut], responses=problems(CursorInvalid))
async def list_editions(_: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Slice[store.Edition]:
    """List editions, oldest first."""
    return cut(await store.list_page(tx, after=after_number(cursor), limit=limit), limit, lambda row: row.year)


@router.get("/{year}", response_model=EditionOut, responses=problems(EditionNotFound))
async def get_edition(year: Year, _: Who, tx: Tx) -> store.Edition:
    """Return an edition, without its content."""
    return await store.get(tx, year)


@router.get("/{year}/content", response_class=StreamingResponse, responses=RESPONSES | problems(EditionNotFound, ExportsBusy, TooLarge))
async def get_content(
    year: Year, request: Request, _: Who, form: Form, if_none_match: Annotated[str | None, Header(max_length=1000)] = None
) -> Response:
    """Return what an edition holds: as JSON the bytes that are signed (a version a line), as CSV and XLSX a row an item."""
    if form is not Format.JSON:
        titles = template.titles_of(ListKind.DATA)
        async with _exports.place():
            async with request.state.sessions() as tx:  # given back before the file is made, which takes far longer than reading
                row, packed = await store.get(tx, year), await store.content(tx, year)
            return await as_file(lambda: frames_of(_rows(packed), titles), form, name=row.title)
    async with request.state.sessions() as tx:
        row = await store.get(tx, year)
        tag = f'"{row.content_sha256}"'
        if tag in (if_none_match or ""):
            return Response(status_code=304, headers={"ETag": tag})
        packed = await store.content(tx, year)
    headers = {
        "Content-Length": str(row.content_byte_count),
        "Content-Disposition": f'attachment; filename="edition-{year}.ndjson"',
        "ETag": tag,
        "Cache-Control": "private, max-age=86400, immutable",
    }
    return StreamingResponse(domain.unpacked(packed), media_type="application/x-ndjson", headers=headers)


@router.get("/{year}/comparison", response_model=Comparison, responses=RESPONSES | problems(EditionNotFound, ExportsBusy, TooLarge))
async def compare(
    year: Year,
    request: Request,
    _: Who,
    form: Form,
    with_: Annotated[int, Query(alias="with", ge=1900, le=9999, description="the year of the later edition")],
) -> Any:
    """Compare an edition with a later one: the resources that came, went and changed, and in what."""
    async with _comparing if form is Format.JSON else _exports.place():
        async with request.state.sessions() as tx:
            before, after = await store.get(tx, year), await store.get(tx, with_)
            packed = await store.content(tx, year), await store.content(tx, with_)

        def found() -> Iterator[comparison.Difference]:
            return comparison.differences(*(domain.lines(domain.unpacked(one)) for one in packed))

        if form is not Format.JSON:
            name = f"{before.title} – {after.title}"
            return await as_file(lambda: frames_of((one.row() for one in found()), comparison.COLUMNS), form, name=name)
        rows = await asyncio.to_thread(lambda: list(found()))
    counts = {f"{change}_count": sum(row.change is change for row in rows) for change in comparison.Change}
    return {"before": before, "after": after, "rows": rows, **counts}


def _rows(packed: bytes) -> Iterator[dict[str, Any]]:
    for snapshot in domain.lines(domain.unpacked(packed)):
        provider = snapshot["provider"]
        yield from catalog_file.rows_of(
            snapshot,
            resource_code=snapshot["resource_code"],
            provider_name=provider["name"],
            provider_uscc=provider["uscc"],
            system_name=None,
            published_on=snapshot["published_at"][:10],
        )
