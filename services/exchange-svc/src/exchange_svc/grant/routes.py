"""HTTP of grants: see, end; and the state of a resource's table."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.auth import Overseer, Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode, OrganizationRef
from dxmesh_schemas.exchange_sharing import Disposal
from dxmesh_schemas.exchange_terms import Backfill, Narrowing, Terms
from dxmesh_schemas.text import Name, Reason
from dxmesh_tabular import json_schema
from exchange_svc.access import sees, whose
from exchange_svc.address import PublicUrl
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceNotFound, ResourceWithdrawn
from exchange_svc.deadlines import Deadlines
from exchange_svc.grant import changing, commands, domain, store, view_schema
from exchange_svc.grant.errors import (
    GrantNotActive,
    GrantNotFound,
    TermsInvalid,
    ViewNotFound,
)
from exchange_svc.notice import store as notices
from exchange_svc.request.errors import ItemsUnknown, NotShared, UseUntilPast
from exchange_svc.table import store as tables

router = APIRouter(prefix="/v1", tags=["grants"])


class ComingOut(BaseModel):
    """The announced version that breaks what the grant reads, and where its rows come already; no topic when none of the items stays."""

    version: int
    announced_at: datetime
    effective_at: datetime
    view_id: UUID | None
    items: list[str]
    topic: str | None


class GrantOut(BaseModel):
    """A requester's right to read: what, where, until when; and by which version of the resource, now and soon."""

    grant_id: UUID
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider_id: UUID
    state: domain.State
    view_id: UUID
    items: list[str]
    topic: str
    version: int = Field(description="of the resource, in force: what is pushed now comes by it")
    version_since: datetime
    coming: ComingOut | None = Field(description="a version with another form, delivered beside this one until it is in force")
    terms: Terms
    use_until: datetime | None
    activated_at: datetime
    suspended_at: datetime | None
    suspension_reason: str | None
    remedy_until: date | None
    terminated_at: datetime | None
    termination_reason: str | None
    expired_at: datetime | None
    disposal: Disposal | None
    disposed_at: datetime | None


class SuspensionIn(BaseModel):
    """Why a grant is suspended, and until when it is to be put right (GDSR Art. 27)."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason
    remedy_until: date | None = Field(default=None, description="the last day, in China; the policy's days are counted without")


class ResumptionIn(BaseModel):
    """Why a grant may be read again."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class DisposalIn(BaseModel):
    """What was done with the data (GDSR Art. 27, 29)."""

    model_config = ConfigDict(extra="forbid")
    what: Reason = Field(description="which copies: tables, files, topics read into")
    how: Reason = Field(description="destroyed, returned, kept by law: by which procedure")
    disposed_on: date
    done_by: Name


class TermsIn(BaseModel):
    """What is left of what was granted; what is not named stays as the request has it (GDSR Art. 25)."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason
    approved_by: Name = Field(description="the head of the provider who approved the change")
    items: list[ItemCode] | None = Field(default=None, min_length=1, max_length=1000, description="some of those granted; all when absent")
    use_until: AwareDatetime | None = Field(default=None, description="not later than granted")
    terms: Narrowing = Narrowing()
    unmasked: dict[ItemCode, Reason] = Field(
        default={}, max_length=1000, description="items of level 3 and above that leave as they are, and why"
    )
    backfill: Backfill = Field(default=Backfill(), description="which earlier batches the grant's topic gets, if it is a new one")


class SchemaAnswer(JSONResponse):
    """A JSON Schema."""

    media_type = json_schema.MEDIA_TYPE


class TerminationIn(BaseModel):
    """Why a grant ends (GDSR Art. 27)."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class TableOut(BaseModel):
    """The resource's table: it holds every accepted batch up to `sequence`; no version yet when nothing was folded.

    url: where its Delta Lake files are, told to the provider alone. Access to the store is given by who runs the node: the folder, read
    only, or a key for S3 that may list and read below this address.
    """

    resource_id: UUID
    version: int | None
    sequence: int
    row_count: int
    advanced_at: datetime | None
    url: str | None = None


async def _out(tx: AsyncSession, *pairs: tuple[store.Grant, store.View]) -> list[GrantOut]:
    versions = await notices.versions_of(tx, {view.view_id for _, view in pairs})
    return [_one(grant, view, versions[view.view_id]) for grant, view in pairs]


def _one(grant: store.Grant, view: store.View, versions: notices.Versions) -> GrantOut:
    state = grant.state_at(utc_now())
    return GrantOut(
        grant_id=grant.grant_id,
        request_id=grant.request_id,
        resource_id=grant.resource_id,
        requester=grant.requester_ref,
        provider_id=grant.provider_id,
        state=state,
        view_id=view.view_id,
        items=view.items,
        topic=view.topic,
        version=versions.in_force,
        version_since=versions.since,
        coming=None if versions.coming is None or state not in domain.IN_FORCE else _coming(versions.coming),
        terms=grant.read_terms,
        use_until=grant.use_until,
        activated_at=grant.activated_at,
        suspended_at=grant.suspended_at,
        suspension_reason=grant.suspension_reason,
        remedy_until=grant.remedy_until,
        terminated_at=grant.terminated_at,
        termination_reason=grant.termination_reason,
        expired_at=grant.expired_at,
        disposal=None if grant.disposal is None else Disposal.model_validate(grant.disposal),
        disposed_at=grant.disposed_at,
    )


def _coming(found: notices.Coming) -> ComingOut:
    view = found.view
    return ComingOut(
        version=found.version,
        announced_at=found.announced_at,
        effective_at=found.effective_at,
        view_id=None if view is None else view.view_id,
        items=[] if view is None else view.items,
        topic=None if view is None else view.topic,
    )


@router.get("/grants", responses=problems(CursorInvalid))
async def list_grants(who: Who, tx: Tx, resource_id: UUID | None = None, limit: Limit = 100, cursor: CursorText = None) -> Page[GrantOut]:
    """List the grants the caller's organization holds or gave, newest first."""
    organization_id = whose(who)
    after = after_time(cursor)
    rows = await store.list_grants(tx, organization_id=organization_id, resource_id=resource_id, limit=limit + 1, after=after)
    page = cut(rows, limit, lambda pair: (pair[0].activated_at, pair[0].grant_id))
    return Page(items=await _out(tx, *page.items), next_cursor=page.next_cursor)


@router.get("/grants/{grant_id}", responses=problems(GrantNotFound))
async def get_grant(grant_id: UUID, who: Who, tx: Tx) -> GrantOut:
    """Return a grant to its requester or provider."""
    [found] = await _out(tx, await commands.get_visible(tx, grant_id, who))
    return found


@router.post("/grants/{grant_id}/termination", status_code=201, responses=problems(GrantNotFound, GrantNotActive))
async def terminate(grant_id: UUID, body: TerminationIn, who: Steward, deadlines: Deadlines, tx: Tx) -> GrantOut:
    """End a grant, as its requester or its provider."""
    [ended] = await _out(tx, await commands.terminate(tx, deadlines, grant_id, reason=body.reason, by=who, now=utc_now()))
    return ended


@router.post("/grants/{grant_id}/suspension", status_code=201, responses=problems(GrantNotFound, GrantNotActive, TermsInvalid))
async def suspend(grant_id: UUID, body: SuspensionIn, who: Overseer, deadlines: Deadlines, tx: Tx) -> GrantOut:
    """Suspend a grant, as its provider or the data authority: nothing can be read by it, and nothing is missed."""
    pair = await commands.suspend(tx, deadlines, grant_id, reason=body.reason, remedy_until=body.remedy_until, by=who, now=utc_now())
    [found] = await _out(tx, pair)
    return found


@router.post("/grants/{grant_id}/resumption", status_code=201, responses=problems(GrantNotFound, GrantNotActive))
async def resume(grant_id: UUID, body: ResumptionIn, who: Overseer, tx: Tx) -> GrantOut:
    """Let a suspended grant be read again, as its provider or the data authority."""
    [found] = await _out(tx, await commands.resume(tx, grant_id, reason=body.reason, by=who, now=utc_now()))
    return found


@router.post(
    "/grants/{grant_id}/terms",
    status_code=201,
    responses=problems(
        GrantNotFound, GrantNotActive, ResourceNotFound, ResourceWithdrawn, ItemsUnknown, NotShared, UseUntilPast, TermsInvalid
    ),
)
async def change_terms(grant_id: UUID, body: TermsIn, who: Steward, public_url: PublicUrl, tx: Tx) -> GrantOut:
    """Change what a grant lets out, as its provider: never more than was asked for."""
    change = changing.Change(**{name: getattr(body, name) for name in type(body).model_fields})
    pair = await changing.change_terms(tx, grant_id, change, by=who, public_url=public_url, now=utc_now())
    [found] = await _out(tx, pair)
    return found


@router.get("/views/{view_id}/schema.json", response_class=SchemaAnswer, responses=problems(ViewNotFound))
async def get_view_schema(view_id: UUID, tx: Tx, version: Annotated[int | None, Query(ge=1, le=2_147_483_647)] = None) -> JSONResponse:
    """Return the JSON Schema (2020-12) of a view's rows under a version of its resource, of the one in force when none is named; public."""
    return SchemaAnswer(await view_schema.of_version(tx, view_id, version))


@router.post("/grants/{grant_id}/disposal", status_code=201, responses=problems(GrantNotFound, GrantNotActive, TermsInvalid))
async def dispose(grant_id: UUID, body: DisposalIn, who: Steward, tx: Tx) -> GrantOut:
    """File what became of the data of a grant that is over, as its requester."""
    disposal = Disposal(**body.model_dump())
    [found] = await _out(tx, await commands.dispose(tx, grant_id, disposal, by=who, now=utc_now()))
    return found


@router.get("/resources/{resource_id}/table", responses=problems(ResourceNotFound))
async def get_table(request: Request, resource_id: UUID, who: Who, tx: Tx) -> TableOut:
    """Say how far the resource's table is, to its provider and to those who hold or held a grant; its provider is told where it is."""
    resource = await catalog.find_resource(tx, resource_id)
    provides = resource is not None and sees(who, resource.provider_id)
    reads = resource is not None and who.organization_id is not None and await store.has_grant(tx, resource_id, who.organization_id)
    if not (provides or reads):
        raise ResourceNotFound(f"resource {resource_id} is not published on this node, or you may not see it")
    table = await tables.find(tx, resource_id)
    if table is None:
        return TableOut(resource_id=resource_id, version=None, sequence=0, row_count=0, advanced_at=None)
    return TableOut(
        resource_id=resource_id,
        version=table.version,
        sequence=table.sequence,
        row_count=table.row_count,
        advanced_at=table.advanced_at,
        url=f"{request.state.objects.url}/{table.table_key}" if provides else None,
    )
