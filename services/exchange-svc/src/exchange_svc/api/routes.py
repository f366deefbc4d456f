"""HTTP of shared APIs: what there is, what was called, and the rows of a grant."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorText, Limit, Page, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import DataItem, OrganizationRef, ResourceSnapshot, SharingType
from dxmesh_schemas.exchange_terms import Conditions, Terms
from exchange_svc import formats
from exchange_svc.access import whose
from exchange_svc.api import changes, domain, store, verifying
from exchange_svc.api.calls import calling
from exchange_svc.api.changes import Since
from exchange_svc.api.errors import ChangesAway, ChangesGone, CountsUsedUp, QuestionInvalid, RateExceeded, SystemNotAdmitted
from exchange_svc.api.questions import Withheld
from exchange_svc.api.verifying import Verifier
from exchange_svc.grant import pull
from exchange_svc.grant.domain import State
from exchange_svc.grant.errors import GrantIsSuspended, GrantNotFound, GrantOver, ModeNotGranted, TableBehind, TableVersionGone
from exchange_svc.grant.outgoing import while_readable
from exchange_svc.subscription.domain import Place

router = APIRouter(prefix="/v1", tags=["apis"])
SystemId = Annotated[UUID | None, Header(alias=domain.HEADER, description="the system that calls; needed where the grant names systems")]
CALL_PROBLEMS = (GrantNotFound, GrantOver, GrantIsSuspended, ModeNotGranted, SystemNotAdmitted, RateExceeded, TableBehind)


class HolderOut(BaseModel):
    """A grant by which an API is called."""

    grant_id: UUID
    requester: OrganizationRef
    addresses: list[str]
    state: State
    systems: list[UUID] = Field(description="the requester's systems that may call; none named: all")
    calls_per_minute: int | None
    use_until: datetime | None


class ApiOut(BaseModel):
    """A resource's API: what it gives, what it asks for, who may call it, and how often it was called."""

    resource_id: UUID
    resource_name: str
    api: domain.Api
    addresses: list[str] = Field(description="below this service; a grant says which rows and items")
    is_proxied: bool = Field(
        description="the data authority confirmed an interface of the department's, which `…/proxy` asks; counted as pull"
    )
    version: int = Field(description="of the resource, in force")
    provider: OrganizationRef
    sharing_type: SharingType
    items: list[DataItem] = Field(description="what the resource shares; a grant may have fewer")
    requirements: list[str]
    holder_count: int
    holders: list[HolderOut] = Field(description="grants in force; a requester sees its own")
    call_count: int = Field(description="calls that were answered, ever; a requester sees its own")
    refused_count: int
    last_called_at: datetime | None


class UsageOut(BaseModel):
    """What was called in a period by a grant, a system and a client: the record of use (GDSR Art. 29)."""

    period: str = Field(description="an hour or a day in China, or empty: all of it")
    grant_id: UUID
    api: domain.Api
    resource_id: UUID
    provider_id: UUID
    requester_id: UUID
    system_id: UUID | None
    subject: str = Field(description="the client that the token was given to")
    scenario: str
    purpose: str
    legal_basis: str
    call_count: int
    refused_count: int
    row_count: int
    question_count: int
    last_called_at: datetime


@router.get("/apis")
async def list_apis(
    who: Who, tx: Tx, provider_id: UUID | None = None, resource_id: UUID | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Page[ApiOut]:
    """List shared APIs: those the caller's organization provides or may call; the data authority sees all."""
    caller = whose(who)
    rows = await store.list_apis(
        tx, caller=caller, provider_id=provider_id, resource_id=resource_id, now=utc_now(), after=after_text(cursor), limit=limit + 1
    )
    page = cut(rows, limit, lambda row: row["place"])
    calls = await store.count_calls(tx, {row["resource_id"] for row in page.items}, caller=caller)
    items = [_api(row, calls.get((row["resource_id"], row["api"]))) for row in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


def _api(row: Mapping[Any, Any], calls: Mapping[Any, Any] | None) -> ApiOut:
    resource, api = ResourceSnapshot.model_validate(row["snapshot"]), domain.Api(row["api"])
    return ApiOut(
        resource_id=resource.resource_id,
        resource_name=resource.name,
        api=api,
        addresses=list(domain.addresses(api, is_proxied=row["is_proxied"])),
        is_proxied=row["is_proxied"],
        version=resource.version,
        provider=resource.provider,
        sharing_type=resource.sharing_type,
        items=[item for item in resource.items if item.sharing_type is not SharingType.NOT_SHARED],
        requirements=domain.requirements(api),
        holder_count=row["holder_count"],
        holders=[_holder(holder, api, is_proxied=row["is_proxied"]) for holder in row["holders"] or ()],
        call_count=calls["call_count"] if calls else 0,
        refused_count=calls["refused_count"] if calls else 0,
        last_called_at=calls["last_called_at"] if calls else None,
    )


def _holder(holder: dict[str, Any], api: domain.Api, *, is_proxied: bool) -> HolderOut:
    terms = Terms.model_validate(holder["terms"])
    return HolderOut(
        grant_id=holder["grant_id"],
        requester=holder["requester"],
        addresses=[address.format(grant_id=holder["grant_id"]) for address in domain.addresses(api, is_proxied=is_proxied)],
        state=holder["state"],
        systems=list(terms.systems),
        calls_per_minute=terms.calls_per_minute,
        use_until=holder["use_until"],
    )


@router.get("/apis/usage")
async def list_usage(
    who: Who,
    tx: Tx,
    by: Literal["total", "day", "hour"] = "total",
    resource_id: UUID | None = None,
    requester_id: UUID | None = None,
    system_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Page[UsageOut]:
    """List what was called, latest periods first: of the caller's calls and its resources' APIs; the data authority sees all."""
    rows = await store.list_usage(
        tx,
        by=by,
        party=whose(who),
        resource_id=resource_id,
        requester_id=requester_id,
        system_id=system_id,
        since=since,
        until=until,
        after=after_text(cursor),
        limit=limit + 1,
    )
    page = cut(rows, limit, lambda row: row["place"])
    return Page(items=[UsageOut.model_validate(dict(row)) for row in page.items], next_cursor=page.next_cursor)


class ConditionsIn(BaseModel):
    """A question: whether there is a row, or how many, for which all conditions hold."""

    model_config = ConfigDict(extra="forbid")
    conditions: Conditions


class QuestionsIn(BaseModel):
    """Questions, answered in their order."""

    model_config = ConfigDict(extra="forbid")
    questions: list[ConditionsIn] = Field(min_length=1, max_length=1000)


class AnswersOut(BaseModel):
    """Yes or no to each question; `sequence` is the last batch that the answers know of."""

    answers: list[bool]
    sequence: int


class CountOut(BaseModel):
    """How many rows there are, unless that would tell of too few."""

    count: int | None
    withheld: Withheld | None


class CountsOut(BaseModel):
    """The counts, in the order of the questions. floor: fewer than so many are never told of."""

    counts: list[CountOut]
    floor: int


class ChangeOut(BaseModel):
    """A row that came or has other values, or one that is no more; `batch_id` and `row` name it once and for all."""

    op: Literal["upsert", "delete"]
    key: str | None = Field(description="of the record: the business key's text, or the JSON array of several items")
    batch_id: UUID
    row: int
    value: dict[str, Any] | None


class ChangesOut(BaseModel):
    """Changes in their order, and where they go on."""

    items: list[ChangeOut]
    next_cursor: str | None
    is_end: bool = Field(description="nothing more was there when this was read")


@router.post("/grants/{grant_id}/verification", responses=problems(*CALL_PROBLEMS, QuestionInvalid, TableVersionGone))
async def verify(grant_id: UUID, body: QuestionsIn, request: Request, who: Who, system_id: SystemId = None) -> AnswersOut:
    """Answer questions about persons, firms or things with yes or no; each names one by the business key or an identifier."""
    verifier: Verifier = request.state.verifier
    asked = [question.conditions for question in body.questions]
    async with calling(request.state.database, grant_id, domain.Api.VERIFY, system_id=system_id, by=who) as call:
        verifier.check(call.readable, asked, about_one=True)
        answers = await verifier.answer(call.readable, asked)
        call.question_count = len(asked)
    return AnswersOut(answers=answers, sequence=call.readable.sequence)


@router.post("/grants/{grant_id}/count", responses=problems(*CALL_PROBLEMS, QuestionInvalid, CountsUsedUp, TableVersionGone))
async def count(grant_id: UUID, body: QuestionsIn, request: Request, who: Who, system_id: SystemId = None) -> CountsOut:
    """Count rows; a group that is too small, or leaves out too few, or differs by too few from another count, is not told."""
    verifier: Verifier = request.state.verifier
    asked = [question.conditions for question in body.questions]
    async with calling(request.state.database, grant_id, domain.Api.VERIFY, system_id=system_id, by=who) as call:
        verifier.check(call.readable, asked, about_one=False)
        total, counts = await verifier.counts(call.readable, asked)
        async with request.state.sessions.begin() as tx:
            now = utc_now()
            judged = await verifying.judged(tx, verifier, grant_id, asked, total, counts, today=day_of(now), now=now)
        call.question_count = len(asked)
    told = [CountOut(count=None if one.withheld else one.count, withheld=one.withheld) for one in judged]
    return CountsOut(counts=told, floor=verifier.count_floor)


@router.get(
    "/grants/{grant_id}/rows",
    responses=formats.responses(tuple(formats.Format))
    | problems(*CALL_PROBLEMS, TableVersionGone)
    | {304: {"description": "The page is as it was"}},
    response_class=Response,
)
async def list_rows(
    grant_id: UUID,
    request: Request,
    who: Who,
    system_id: SystemId = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
    cursor: CursorText = None,
    format: formats.Format | None = None,  # noqa: A002  # the name callers know
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    if_none_match: Annotated[str | None, Header(description="the ETag of the page as it is known")] = None,
) -> Response:
    """Read the rows of a grant from the resource's table; all pages behind one first page are of the same table version.

    The first page's Changes-Cursor says where `changes` goes on from these rows.
    """
    form = formats.choose(format, accept, tuple(formats.Format))
    state = request.state
    async with calling(state.database, grant_id, domain.Api.PULL, system_id=system_id, by=who) as call:
        readable = call.readable
        etag = pull.etag(readable, cursor, limit, form)
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if cursor is None and (going_on := changes.cursor_of_table(state.cursor_key, readable)) is not None:
            headers["Changes-Cursor"] = going_on
        if is_known(if_none_match, etag):
            return Response(status_code=304, headers=headers)
        frame, following = await pull.page(state.lookup, state.cursor_key, state.token_keys, readable, limit=limit, cursor=cursor)
        call.row_count = frame.height
        if following is None and readable.view is not None:
            call.read_to = Since(Place(topic=readable.view.topic), pull.read_to(state.cursor_key, readable, cursor))
    guard = partial(while_readable, sessions=state.sessions, grant_id=grant_id)
    return await formats.answer(frame, form, next_cursor=following, name=f"grant-{grant_id}", more=headers, guard=guard)


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Say whether a caller has what an ETag names (RFC 9110 section 13.1.2)."""
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in (if_none_match or "").split(","))


@router.get(
    "/grants/{grant_id}/changes",
    response_model=ChangesOut,
    responses=problems(*CALL_PROBLEMS, ChangesGone, ChangesAway),
)
async def list_changes(
    grant_id: UUID,
    request: Request,
    who: Who,
    system_id: SystemId = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    cursor: CursorText = None,
) -> Response:
    """Read what changed since a cursor, from the log of the grant's view; without one, from its beginning.

    Changes of one key come in their order. Keep `next_cursor` with what was done; ask again with it, also when `is_end` says that there
    was no more.
    """
    state = request.state
    async with calling(state.database, grant_id, domain.Api.PULL, system_id=system_id, by=who) as call:
        found = await changes.page(state.sessions, state.settings.kafka, state.cursor_key, call.readable, cursor=cursor, limit=limit)
        call.row_count, call.read_to = len(found.items), found.behind
    return Response(found.body(), media_type=formats.MEDIA_TYPES[formats.Format.JSON])
