"""Data resources over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from catalog_svc.etag import IfCounted
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.resource import commands, diff, domain, profile, shapes, store
from catalog_svc.resource.definition import Definition
from catalog_svc.resource.domain import CodeScheme, State
from catalog_svc.resource.errors import IllegalTransition, ResourceInvalid, ResourceNameTaken, ResourceNotFound, RevisionPassed
from catalog_svc.resource.shapes import ResourceHead, ResourceOut
from catalog_svc.step.domain import DraftState
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_id, after_number, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Reason, Search
from dxmesh_tabular import json_schema

router = APIRouter(prefix="/v1/resources", tags=["resources"], dependencies=[Depends(json_body)])


async def _public_url(request: Request) -> str:
    url: str = request.state.public_url
    return url


async def _scheme(request: Request) -> CodeScheme:
    scheme: CodeScheme = request.state.code_scheme
    return scheme


PublicUrl = Annotated[str, Depends(_public_url)]
Scheme = Annotated[CodeScheme, Depends(_scheme)]
Version = Annotated[int, Path(ge=1, le=2_147_483_647)]


class _SchemaAnswer(JSONResponse):
    media_type = json_schema.MEDIA_TYPE


class WithdrawalIn(BaseModel):
    """Why a resource is taken out of force."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class VersionHead(BaseModel):
    """A published version."""

    version: int
    published_at: datetime
    published_by: str
    schema_url: str


@router.post("", status_code=201, responses=problems(*BODY_PROBLEMS, ResourceInvalid, ResourceNameTaken, Forbidden))
async def create(body: Definition, who: Who, public_url: PublicUrl, scheme: Scheme, tx: Tx, response: Response) -> ResourceOut:
    """Enter a data resource as a draft."""
    row = await commands.create(tx, body, by=who, now=utc_now(), scheme=scheme)
    response.headers["Location"] = f"/v1/resources/{row.resource_id}"
    return await shapes.out(tx, row, who, public_url, response)


@router.get("", responses=problems(CursorInvalid))
async def list_resources(
    who: Who,
    tx: Tx,
    q: Annotated[Search | None, Query(description="finds by name, summary or resource code")] = None,
    provider: Annotated[UUID | None, Query(description="organization id")] = None,
    state: Annotated[State | None, Query(description="withdrawn ones are left out unless asked for")] = None,
    draft_state: Annotated[DraftState | None, Query(description="drafts the caller may see that stand there")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ResourceHead]:
    """List published resources, and the drafts the caller may see, as they were entered."""
    rows = await store.list_page(
        tx,
        drafts_of=who.organization_id,
        all_drafts=who.has("authority"),
        state=state,
        draft_state=draft_state.value if draft_state is not None else None,
        provider=provider,
        q=q,
        after=after_id(cursor),
        limit=limit,
    )
    page = cut(rows, limit, lambda pair: pair[0].resource_id)
    heads = [
        ResourceHead(**shapes.head(row, organization, sees_draft=commands.reads_draft(who, row.organization_id)))
        for row, organization in page.items
    ]
    return Page(items=heads, next_cursor=page.next_cursor)


@router.get("/profile.json", response_class=_SchemaAnswer)
async def get_profile() -> JSONResponse:
    """Return the JSON Schema (2020-12) an entry must keep, with the dictionary of formats and the modes that fit each; public."""
    return _SchemaAnswer(profile.of(), headers={"Cache-Control": "public, max-age=3600"})


@router.get("/{resource_id}", responses=problems(ResourceNotFound))
async def get_resource(resource_id: UUID, who: Who, public_url: PublicUrl, tx: Tx, response: Response) -> ResourceOut:
    """Return a data resource; its ETag goes into If-Match of the next change."""
    return await shapes.out(tx, await commands.get_visible(tx, resource_id, by=who), who, public_url, response)


@router.put(
    "/{resource_id}",
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, ResourceInvalid, ResourceNameTaken, IllegalTransition, RevisionPassed, Forbidden),
)
async def replace(
    resource_id: UUID,
    body: Definition,
    who: Who,
    revisions: IfCounted,
    public_url: PublicUrl,
    scheme: Scheme,
    tx: Tx,
    response: Response,
) -> ResourceOut:
    """Write the next version as a draft; with If-Match only on the revision that was read."""
    row = await commands.replace(tx, resource_id, body, by=who, revisions=revisions, now=utc_now(), scheme=scheme)
    return await shapes.out(tx, row, who, public_url, response)


@router.post(
    "/{resource_id}/withdrawal", responses=problems(*BODY_PROBLEMS, ResourceNotFound, IllegalTransition, RevisionPassed, Forbidden)
)
async def withdraw(
    resource_id: UUID, body: WithdrawalIn, who: Who, revisions: IfCounted, public_url: PublicUrl, tx: Tx, response: Response
) -> ResourceOut:
    """Take a resource out of force for good, with the reason."""
    row = await commands.withdraw(tx, resource_id, reason=body.reason, by=who, revisions=revisions, now=utc_now())
    return await shapes.out(tx, row, who, public_url, response)


@router.get("/{resource_id}/versions", responses=problems(ResourceNotFound, CursorInvalid))
async def list_versions(
    resource_id: UUID, who: Who, public_url: PublicUrl, tx: Tx, limit: Limit = 50, cursor: CursorText = None
) -> Page[VersionHead]:
    """List the published versions of a resource, oldest first."""
    await commands.get_visible(tx, resource_id, by=who)
    rows = await store.list_versions(tx, resource_id, after=after_number(cursor), limit=limit)
    page = cut(rows, limit, lambda row: row.version)
    heads = [
        VersionHead(
            version=row.version,
            published_at=row.published_at,
            published_by=row.published_by,
            schema_url=domain.schema_url(public_url, resource_id, row.version),
        )
        for row in page.items
    ]
    return Page(items=heads, next_cursor=page.next_cursor)


@router.get("/{resource_id}/versions/{version}", response_model=ResourceSnapshot, responses=problems(ResourceNotFound))
async def get_version(resource_id: UUID, version: Version, _: Who, tx: Tx) -> dict[str, Any]:
    """Return a published version as other services keep it."""
    return (await store.get_version(tx, resource_id, version)).snapshot


@router.get("/{resource_id}/versions/{version}/diff/{other}", responses=problems(ResourceNotFound))
async def get_diff(resource_id: UUID, version: Version, other: Version, _: Who, tx: Tx) -> diff.Diff:
    """Return what differs from one published version to another: fields, and items added, removed, retyped, narrowed, widened."""
    before, after = [await store.get_version(tx, resource_id, number) for number in (version, other)]
    return diff.of(ResourceSnapshot.model_validate(before.snapshot), ResourceSnapshot.model_validate(after.snapshot))


@router.get("/{resource_id}/versions/{version}/schema.json", response_class=_SchemaAnswer, responses=problems(ResourceNotFound))
async def get_schema(resource_id: UUID, version: Version, tx: Tx) -> JSONResponse:
    """Return the JSON Schema (2020-12) of a version's rows; public, and never changed."""
    row = await store.get_version(tx, resource_id, version)
    schema = json_schema.of(ResourceSnapshot.model_validate(row.snapshot))
    headers = {"Cache-Control": "public, max-age=86400, immutable", "ETag": f'"{resource_id}-{version}"'}
    return _SchemaAnswer(schema, headers=headers)
