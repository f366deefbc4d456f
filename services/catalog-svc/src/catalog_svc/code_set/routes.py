"""Code sets over HTTP: publishing, importing, and reading them as they stand on a day."""

import tempfile
from datetime import date
from pathlib import Path as FilePath
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from catalog_svc.code_set import commands, domain, explain, files, shipped, store
from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import CodeSetKind, day_of
from catalog_svc.code_set.errors import (
    CodeFileTooLarge,
    CodeNotFound,
    CodeSetForeign,
    CodeSetInvalid,
    CodeSetIsRetired,
    CodeSetNotFound,
    ShippedSetNotFound,
)
from catalog_svc.code_set.shapes import (
    NAME_PATTERN,
    Above,
    CodeExplained,
    CodeOut,
    CodeSetIn,
    CodeSetName,
    CodeSetOut,
    CodeSetSummary,
    CodeText,
    Day,
    Difference,
    Imported,
    Refused,
    RetiredOut,
    Retirement,
    ShippedOut,
    StepOut,
    VersionHead,
    WordOut,
    codes_out,
    entries_out,
)
from catalog_svc.media import BODY_PROBLEMS, json_body
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_number, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden, Unreadable, UnsupportedMedia
from dxmesh_schemas.text import Name, Search
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.media import parse_content_type

router = APIRouter(tags=["code sets"])
_json = APIRouter(prefix="/v1/code-sets", dependencies=[Depends(json_body)])
_NEWEST = 2_147_483_647
Version = Annotated[int | None, Query(ge=1, le=_NEWEST, description="the newest when left out")]
On = Annotated[Day | None, Query(description="a day, YYYY-MM-DD")]


@_json.put(
    "/{name}",
    response_model=CodeSetOut,
    responses={
        201: {"model": CodeSetOut, "description": "A new version is in force"},
        **problems(*BODY_PROBLEMS, CodeSetForeign, CodeSetInvalid, CodeSetIsRetired, Forbidden),
    },
)
async def publish(name: CodeSetName, body: CodeSetIn, who: Authority, tx: Tx, response: Response) -> store.CodeSetVersion:
    """Put a code set in force (the data authority): a new version when it differs (201), else the one there is (200)."""
    version, is_new = await commands.publish(
        tx, name, about=body.about(), entries=body.said(), pointer=body.pointer, by=who.subject, now=utc_now()
    )
    response.status_code = 201 if is_new else 200
    return version


@_json.get("", response_model=Page[CodeSetSummary], responses=problems(CursorInvalid))
async def list_code_sets(
    _: Who,
    tx: Tx,
    q: Annotated[Search | None, Query()] = None,
    kind: CodeSetKind | None = None,
    organization_id: Annotated[UUID | None, Query(description="whose own they are")] = None,
    retired: bool | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.CodeSet]:
    """List code sets by name."""
    rows = await store.list_page(
        tx, q=q, kind=kind, organization_id=organization_id, retired=retired, after=after_text(cursor), limit=limit
    )
    return cut(rows, limit, lambda row: row.name)


@_json.post(
    "/{name}/retirement",
    response_model=RetiredOut,
    responses=problems(*BODY_PROBLEMS, CodeSetNotFound, CodeSetIsRetired, Forbidden),
)
async def retire(name: CodeSetName, body: Retirement, who: Who, tx: Tx) -> commands.Retired:
    """Take a code set out of use (the steward whose it is, the data authority): what uses it in force goes on, nothing new does."""
    return await commands.retire(tx, name, reason=body.reason, by=who, now=utc_now())


@_json.get("/{name}", response_model=CodeSetOut, responses=problems(CodeSetNotFound))
async def get_code_set(name: CodeSetName, _: Who, tx: Tx, version: Version = None, on: On = None) -> CodeSetOut:
    """Return a code set in its newest version, or the one named, with the codes in force then, or on the day asked for."""
    row = await store.get_version(tx, name, version)
    found = CodeSetOut.model_validate(row)
    if on is None:
        return found
    return found.model_copy(update={"codes_on": on, "codes": await store.valid_codes(tx, row, on)})


@_json.get("/{name}/versions", response_model=Page[VersionHead], responses=problems(CodeSetNotFound, CursorInvalid))
async def list_versions(name: CodeSetName, _: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Slice[store.CodeSetVersion]:
    """List the versions of a code set, oldest first."""
    await store.get_version(tx, name)
    return cut(await store.list_versions(tx, name, after=after_number(cursor), limit=limit), limit, lambda row: row.version)


@_json.get("/{name}/codes", responses=problems(CodeSetNotFound, CursorInvalid))
async def list_codes(
    name: CodeSetName,
    _: Who,
    tx: Tx,
    on: Annotated[Day | None, Query(description="only the codes that held on this day; all, retired ones too, when left out")] = None,
    q: Annotated[Search | None, Query(description="the beginning of the code, or a part of the label")] = None,
    parent: Annotated[Search | None, Query()] = None,
    version: Version = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Page[CodeOut]:
    """List the codes of a set with what each source says of them."""
    row = await store.get_version(tx, name, version)
    codes = cut(
        await store.page_of_codes(tx, row, on=on, q=q, parent=parent, after=after_text(cursor), limit=limit), limit, lambda code: code
    )
    return await _page_of(tx, row, codes, on or day_of(utc_now()))


@_json.get("/{name}/codes/{code}", responses=problems(CodeSetNotFound, CodeNotFound))
async def explain_code(name: CodeSetName, code: CodeText, _: Who, tx: Tx, on: On = None, version: Version = None) -> CodeExplained:
    """Say what a code is on a day (today), what became of it and since when, and where sources differ."""
    row = await store.get_version(tx, name, version)
    found = await explain.explain(tx, row, code, on=on or day_of(utc_now()))
    return CodeExplained(
        code=found.code,
        on=found.on,
        standing=found.standing,
        label=found.label,
        text=found.text,
        is_disputed=found.is_disputed,
        sources=[WordOut.model_validate(word) for word in found.words],
        became=[StepOut.model_validate(step) for step in found.became],
        formerly=[StepOut.model_validate(step) for step in found.formerly],
        path=[Above(code=above, label=label) for above, label in found.path],
        entries=entries_out(found.entries),
    )


@_json.get("/{name}/conflicts", responses=problems(CodeSetNotFound, CursorInvalid))
async def list_conflicts(
    name: CodeSetName, _: Who, tx: Tx, on: On = None, version: Version = None, limit: Limit = 100, cursor: CursorText = None
) -> Page[CodeOut]:
    """List the codes on which the sources of a set differ on a day: in force by one and not by another, or under another label."""
    row = await store.get_version(tx, name, version)
    day = on or day_of(utc_now())
    count = len(await store.sources(tx, name, row.version))
    found = await store.page_of_conflicts(tx, row, count, on=day, after=after_text(cursor), limit=limit)
    return await _page_of(tx, row, cut(found, limit, lambda code: code), day)


async def _page_of(tx: Tx, row: store.CodeSetVersion, codes: Slice[str], day: date) -> Page[CodeOut]:
    said = await store.entries_of(tx, row.name, row.version, codes.items)
    sources = await store.sources(tx, row.name, row.version)
    return Page(items=codes_out(row, codes.items, said, sources, day), next_cursor=codes.next_cursor)


@_json.get("/{name}/diff", responses=problems(CodeSetNotFound, CursorInvalid))
async def compare(
    name: CodeSetName,
    _: Who,
    tx: Tx,
    before: Annotated[int, Query(alias="from", ge=1, le=_NEWEST)],
    after: Annotated[int | None, Query(alias="to", ge=1, le=_NEWEST, description="the newest when left out")] = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Page[Difference]:
    """List the codes of which two versions say different things, by code."""
    one, other = await store.get_version(tx, name, before), await store.get_version(tx, name, after)
    older, newer = sorted((one.version, other.version))
    codes, said = await store.differing(tx, name, older, newer, after=after_text(cursor), limit=limit)
    page = cut(codes, limit, lambda code: code)
    backwards = one.version > other.version
    items = []
    for code in page.items:
        was, now = said[code][::-1] if backwards else said[code]
        if set(was) != set(now):  # taken out and put back in between
            items.append(Difference(code=code, before=entries_out(was), after=entries_out(now)))
    return Page(items=items, next_cursor=page.next_cursor)


# --- files


class ImportQuery(BaseModel):
    """What a file of codes is, and how it is read; what is left out stays as it is in a set that is there."""

    model_config = ConfigDict(extra="forbid")
    title: Name | None = None
    kind: CodeSetKind | None = None
    standard: Name | None = None
    parent_set: Annotated[str | None, Field(pattern=NAME_PATTERN)] = None
    leading_source: Name | None = None
    source: Annotated[Name | None, Field(description="who says so; what that source said before is replaced, what others say stays")] = None
    skip_bad: Annotated[bool, Field(description="take the good rows and name the bad ones, instead of refusing all")] = False
    delimiter: str | None = Field(default=None, min_length=1, max_length=1, description="of CSV; found out when absent")
    encoding: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._:-]{1,40}$", description="of CSV; found out when absent")
    sheet: str | None = Field(default=None, max_length=31, description="of XLSX; the first when absent")

    def about(self, before: About | None) -> About:
        """Return what the set is from what it was. Raises: CodeSetInvalid (422) for a new set without a title."""
        title = self.title or (before.title if before else None)
        if title is None:
            raise CodeSetInvalid.of([("query:title", "is missing: a new code set needs a title")])
        was = before or About(title)
        return About(
            title,
            self.kind or was.kind,
            self.standard or was.standard,
            self.parent_set or was.parent_set,
            self.leading_source or was.leading_source,
        )


_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The columns, by their English or Chinese word: " + ", ".join(f"{one.code} {one.name}" for one in files.COLUMNS),
        "content": {media.value: {"schema": {"type": "string", "format": "binary"}} for media in files.MEDIA},
    }
}


@router.post(
    "/v1/code-sets/{name}/import",
    responses={
        201: {"model": Imported, "description": "A new version is in force"},
        **problems(Unreadable, UnsupportedMedia, CodeFileTooLarge, CodeSetForeign, CodeSetInvalid, CodeSetIsRetired, Forbidden),
    },
    openapi_extra=_FILE,
)
async def import_codes(
    name: CodeSetName, request: Request, who: Authority, tx: Tx, query: Annotated[ImportQuery, Query()], response: Response
) -> Imported:
    """Take in a file of codes, CSV or XLSX (the data authority): all of it, or nothing and every bad row named."""
    content = parse_content_type(request.headers.get("content-type"))
    if content.media not in files.MEDIA:
        raise UnsupportedMedia(f"{content.media.value} is not read here; send {' or '.join(media.value for media in files.MEDIA)}")
    options = ReadOptions(delimiter=query.delimiter or content.delimiter, encoding=query.encoding or content.encoding, sheet=query.sheet)
    source = query.source or ""
    with tempfile.NamedTemporaryFile(suffix=content.media.suffix) as kept:
        await _keep(request, kept)
        path = FilePath(kept.name)
        found = await run_in_threadpool(files.read_codes, path, content.media, source=source, options=options, limit=domain.MAX_ENTRIES)
    bad = [(f"/rows/{row}/{column}" if column else f"/rows/{row}", what) for row, column, what in found.faults]
    if bad and (not query.skip_bad or not found.entries):
        named = [{"pointer": pointer, "detail": what} for pointer, what in bad[: files.MAX_NAMED_ROWS]]
        raise CodeSetInvalid(f"{len(bad)} cells of the file are bad; the first: {bad[0][0]} {bad[0][1]}", errors=named)
    put = await commands.put_sources(
        tx,
        name,
        sources={source, *(entry.source for entry in found.entries)},
        about=query.about,
        entries=found.entries,
        pointer=lambda index, field: f"/rows/{found.rows[index]}/{field}",
        skip_bad=query.skip_bad,
        by=who.subject,
        now=utc_now(),
    )
    response.status_code = 201 if put.is_new else 200
    refused = [*bad, *put.refused]
    return Imported(
        name=name,
        version=put.version.version,
        is_new=put.is_new,
        code_count=len(put.version.codes),
        entry_count=put.version.entry_count,
        refused_count=len(refused),
        refused=[Refused(pointer=pointer, detail=what) for pointer, what in refused[: files.MAX_NAMED_ROWS]],
    )


async def _keep(request: Request, file: Any) -> None:
    """Write the body to a file. Raises: CodeFileTooLarge (413)."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > files.MAX_FILE_BYTES:
            raise CodeFileTooLarge(f"the file has more than {files.MAX_FILE_BYTES} bytes; send it in parts, as sets of their own")
        file.write(piece)
    file.flush()


# --- shipped


@router.get("/v1/shipped-code-sets")
async def list_shipped(_: Who) -> list[ShippedOut]:
    """List the code sets that come with the service."""
    return [
        ShippedOut(
            name=one.name, title=one.about.title, kind=one.about.kind, standard=one.about.standard, source=one.source, licence=one.licence
        )
        for one in shipped.SHIPPED
    ]


@router.post(
    "/v1/shipped-code-sets/{name}/publication",
    response_model=CodeSetOut,
    responses={
        201: {"model": CodeSetOut, "description": "A new version is in force"},
        **problems(ShippedSetNotFound, CodeSetInvalid, CodeSetIsRetired, Forbidden),
    },
)
async def publish_shipped(name: CodeSetName, who: Authority, tx: Tx, response: Response) -> store.CodeSetVersion:
    """Put a code set that comes with the service in force (the data authority), in place of what its source said before."""
    one = shipped.get(name)
    put = await commands.put_sources(
        tx,
        name,
        sources={one.source},
        about=lambda before: before or one.about,
        entries=one.entries(),
        pointer=lambda index, field: f"/entries/{index}/{field}",
        skip_bad=False,
        by=who.subject,
        now=utc_now(),
    )
    response.status_code = 201 if put.is_new else 200
    return put.version


router.include_router(_json)
