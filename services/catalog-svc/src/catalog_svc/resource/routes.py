"""Data resources over HTTP."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization import store as organizations
from catalog_svc.resource import commands, domain, json_schema, store
from catalog_svc.resource.definition import Definition, NonSharingBasis, Settled
from catalog_svc.resource.domain import State
from catalog_svc.resource.errors import IllegalTransition, ResourceInvalid, ResourceNameTaken, ResourceNotFound, RevisionPassed
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_id, after_number, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import DataItem, OpenType, OrganizationRef, ResourceSnapshot, SharingType, StandingConsent, UpdateCycle
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Reason, Search

router = APIRouter(prefix="/v1/resources", tags=["resources"], dependencies=[Depends(json_body)])
_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


async def _public_url(request: Request) -> str:
    url: str = request.state.public_url
    return url


async def _revisions(if_match: Annotated[str | None, Header(max_length=1000)] = None) -> list[int] | None:
    """Return the revisions If-Match admits, None for any; weak and foreign tags admit none (RFC 9110 section 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    return [int(tag) for weak, tag in _ENTITY_TAG.findall(if_match) if not weak and tag.isascii() and tag.isdigit()]


PublicUrl = Annotated[str, Depends(_public_url)]
Revisions = Annotated[list[int] | None, Depends(_revisions)]
Version = Annotated[int, Path(ge=1, le=2_147_483_647)]


class ResourceHead(BaseModel):
    """A data resource without its items."""

    resource_id: UUID
    resource_code: str
    state: State
    version: int | None
    has_draft: bool
    provider: OrganizationRef
    system_id: UUID
    name: str
    summary: str
    sharing_type: SharingType
    open_type: OpenType
    update_cycle: UpdateCycle
    item_count: int
    shareable_item_count: int
    created_at: datetime
    changed_at: datetime
    published_at: datetime | None
    withdrawn_at: datetime | None


class ResourceOut(ResourceHead):
    """A data resource: its provider and the data authority see the draft that waits, all others what is in force."""

    class_path: str
    items: tuple[DataItem, ...]
    key: tuple[str, ...]
    sharing_condition: str | None
    non_sharing_basis: NonSharingBasis | None
    open_theme: str | None
    max_quarantined_ratio: float
    standing_consent: StandingConsent | None
    schema_url: str | None
    withdrawal_reason: str | None


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


def _head(row: store.Resource, organization: organizations.Organization, *, sees_draft: bool) -> dict[str, Any]:
    return {
        "resource_id": row.resource_id,
        "resource_code": row.resource_code,
        "state": row.state,
        "version": row.version or None,
        "has_draft": row.draft is not None and sees_draft,
        "provider": commands.provider_ref(organization),
        "system_id": row.system_id,
        "name": row.name,
        "summary": row.summary,
        "sharing_type": row.sharing_type,
        "open_type": row.open_type,
        "update_cycle": row.update_cycle,
        "item_count": row.item_count,
        "shareable_item_count": row.shareable_item_count,
        "created_at": row.created_at,
        "changed_at": row.changed_at,
        "published_at": row.published_at,
        "withdrawn_at": row.withdrawn_at,
    }


async def _out(tx: Tx, row: store.Resource, who: Who, public_url: str, response: Response) -> ResourceOut:
    sees_draft = commands.reads_draft(who, row.organization_id)
    shown = row.draft if row.draft is not None and sees_draft else row.definition
    assert shown is not None, "a resource has a draft or a definition, and a draft alone is seen by its provider only"
    entry = Settled.model_validate(shown)
    response.headers["ETag"] = f'"{row.revision}"'
    head = _head(row, await organizations.get(tx, row.organization_id), sees_draft=sees_draft)
    own = {name: getattr(entry, name) for name in Settled.model_fields if name in ResourceOut.model_fields}
    counts = {"item_count": len(entry.items), "shareable_item_count": domain.shareable_count(entry.items)}
    url = domain.schema_url(public_url, row.resource_id, row.version) if row.version else None
    return ResourceOut(**(head | own | counts), schema_url=url, withdrawal_reason=row.withdrawal_reason)


@router.post("", status_code=201, responses=problems(*BODY_PROBLEMS, ResourceInvalid, ResourceNameTaken, Forbidden))
async def create(body: Definition, who: Who, public_url: PublicUrl, tx: Tx, response: Response) -> ResourceOut:
    """Enter a data resource as a draft."""
    row = await commands.create(tx, body, by=who, now=utc_now())
    response.headers["Location"] = f"/v1/resources/{row.resource_id}"
    return await _out(tx, row, who, public_url, response)


@router.get("", responses=problems(CursorInvalid))
async def list_resources(
    who: Who,
    tx: Tx,
    q: Annotated[Search | None, Query(description="finds by name, summary or resource code")] = None,
    provider: Annotated[UUID | None, Query(description="organization id")] = None,
    state: Annotated[State | None, Query(description="withdrawn ones are left out unless asked for")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ResourceHead]:
    """List published resources, and the drafts the caller may see, as they were entered."""
    rows = await store.list_page(
        tx,
        drafts_of=who.organization_id,
        all_drafts=who.has("authority"),
        state=state,
        provider=provider,
        q=q,
        after=after_id(cursor),
        limit=limit,
    )
    page = cut(rows, limit, lambda pair: pair[0].resource_id)
    heads = [
        ResourceHead(**_head(row, organization, sees_draft=commands.reads_draft(who, row.organization_id)))
        for row, organization in page.items
    ]
    return Page(items=heads, next_cursor=page.next_cursor)


@router.get("/{resource_id}", responses=problems(ResourceNotFound))
async def get_resource(resource_id: UUID, who: Who, public_url: PublicUrl, tx: Tx, response: Response) -> ResourceOut:
    """Return a data resource; its ETag goes into If-Match of the next change."""
    return await _out(tx, await commands.get_visible(tx, resource_id, by=who), who, public_url, response)


@router.put(
    "/{resource_id}",
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, ResourceInvalid, ResourceNameTaken, IllegalTransition, RevisionPassed, Forbidden),
)
async def replace(
    resource_id: UUID, body: Definition, who: Who, revisions: Revisions, public_url: PublicUrl, tx: Tx, response: Response
) -> ResourceOut:
    """Write the next version as a draft; with If-Match only on the revision that was read."""
    row = await commands.replace(tx, resource_id, body, by=who, revisions=revisions, now=utc_now())
    return await _out(tx, row, who, public_url, response)


@router.post(
    "/{resource_id}/publish",
    responses=problems(ResourceNotFound, ResourceInvalid, ResourceNameTaken, IllegalTransition, RevisionPassed, Forbidden),
)
async def publish(
    resource_id: UUID, who: Authority, revisions: Revisions, public_url: PublicUrl, tx: Tx, response: Response
) -> ResourceOut:
    """Put the draft in force (the data authority); with If-Match only the revision that was reviewed."""
    row = await commands.publish(tx, resource_id, by=who, revisions=revisions, public_url=public_url, now=utc_now())
    return await _out(tx, row, who, public_url, response)


@router.post("/{resource_id}/withdrawal", responses=problems(*BODY_PROBLEMS, ResourceNotFound, IllegalTransition, Forbidden))
async def withdraw(resource_id: UUID, body: WithdrawalIn, who: Who, public_url: PublicUrl, tx: Tx, response: Response) -> ResourceOut:
    """Take a resource out of force for good, with the reason."""
    row = await commands.withdraw(tx, resource_id, reason=body.reason, by=who, now=utc_now())
    return await _out(tx, row, who, public_url, response)


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


class _SchemaAnswer(JSONResponse):
    media_type = json_schema.MEDIA_TYPE


@router.get("/{resource_id}/versions/{version}/schema.json", response_class=_SchemaAnswer, responses=problems(ResourceNotFound))
async def get_schema(resource_id: UUID, version: Version, tx: Tx) -> JSONResponse:
    """Return the JSON Schema (2020-12) of a version's rows; public, and never changed."""
    row = await store.get_version(tx, resource_id, version)
    schema = json_schema.of(ResourceSnapshot.model_validate(row.snapshot))
    headers = {"Cache-Control": "public, max-age=86400, immutable", "ETag": f'"{resource_id}-{version}"'}
    return _SchemaAnswer(schema, headers=headers)
