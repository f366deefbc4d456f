"""HTTP of sharing requests: draft, approve, submit, see, decide; material that is missing, and more time."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dxmesh_clocks.errors import ClockRefused
from dxmesh_runtime.auth import Authority, Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode, OrganizationRef, SharingType
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.exchange_terms import Narrowing, Terms
from dxmesh_schemas.text import Name, Reason
from exchange_svc.access import whose
from exchange_svc.address import PublicUrl
from exchange_svc.catalog.errors import OrganizationUnknown, ResourceNotFound, ResourceWithdrawn
from exchange_svc.clock import store as clocks
from exchange_svc.clock.domain import Standing
from exchange_svc.deadlines import Deadlines
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.request import answering, commands, domain, store
from exchange_svc.request.errors import (
    ExtensionAnswered,
    ExtensionTooLong,
    ItemsUnknown,
    MaterialsAsked,
    NotShared,
    NotTheProvider,
    NotTheRequester,
    OwnResource,
    ReasonMissing,
    RequestAnswered,
    RequestNotFound,
    RequestState,
    UseUntilPast,
)
from exchange_svc.sharing_list.errors import EntryUnknown

router = APIRouter(prefix="/v1/requests", tags=["requests"])


class RequestIn(BaseModel):
    """What a department asks for (GDSR Art. 20: basis, scenario, scope, time limit, approved by the unit's head)."""

    model_config = ConfigDict(extra="forbid")
    resource_id: UUID
    items: list[ItemCode] | None = Field(default=None, max_length=1000, description="item codes; all that are shared when absent")
    legal_basis: Reason
    scenario: Reason
    purpose: Reason
    use_until: AwareDatetime | None = Field(default=None, description="with its offset, e.g. 2027-12-31T23:59:59+08:00")
    approved_by: Name | None = Field(default=None, description="the head of the requester who approved it; without, it is kept as a draft")
    terms: Terms = Field(default=Terms(), description="which rows, in which clearness, by which ways")
    scenario_id: UUID | None = Field(
        default=None, description="the entry of the scenario list it rests on; approved, it grants what it covers"
    )
    use_purpose: UsePurpose | None = Field(default=None, description="which of the purposes; a scenario grants for its own")
    demand_id: UUID | None = Field(default=None, description="the entry of the demand list it comes from")


class ApprovalIn(BaseModel):
    """The requester's head approves the request (GDSR Art. 20)."""

    model_config = ConfigDict(extra="forbid")
    approved_by: Name


class DecisionIn(BaseModel):
    """The provider's answer (GDSR Art. 21: a refusal states its reasons); a grant may be narrower than what was asked for."""

    model_config = ConfigDict(extra="forbid")
    outcome: domain.Outcome
    reason: Reason | None = None
    approved_by: Name = Field(description="the head of the provider who approved the answer")
    items: list[ItemCode] | None = Field(default=None, max_length=1000, description="some of those asked for; all of them when absent")
    use_until: AwareDatetime | None = Field(default=None, description="not later than asked for")
    terms: Narrowing = Narrowing()
    unmasked: dict[ItemCode, Reason] = Field(
        default={}, max_length=1000, description="items of level 3 and above that leave as they are, and why"
    )


class MaterialsIn(BaseModel):
    """Everything that is missing, named at once (GDSR Art. 21)."""

    model_config = ConfigDict(extra="forbid")
    missing: list[Reason] = Field(min_length=1, max_length=100)


class SupplyIn(BaseModel):
    """What was missing."""

    model_config = ConfigDict(extra="forbid")
    supplied: Reason


class ExtensionIn(BaseModel):
    """More working days to answer, and why."""

    model_config = ConfigDict(extra="forbid")
    days: int = Field(ge=1, le=366, description="not more than the policy allows")
    reason: Reason


class ConsentIn(BaseModel):
    """The data authority's answer to an extension."""

    model_config = ConfigDict(extra="forbid")
    consents: bool
    approved_by: Name


class WithdrawalIn(BaseModel):
    """Why the requester wants it no more."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class RequestOut(BaseModel):
    """A sharing request and its answer."""

    model_config = ConfigDict(from_attributes=True)
    request_id: UUID
    resource_id: UUID
    resource_version: int
    requester: OrganizationRef
    provider: OrganizationRef
    items: list[str]
    legal_basis: str
    scenario: str
    purpose: str
    scenario_id: UUID | None
    use_purpose: UsePurpose | None
    scenario_note: str | None = Field(description="why the scenario did not grant it; it is reviewed as any other")
    demand_id: UUID | None
    use_until: datetime | None
    terms: Terms
    approved_by: str | None
    approved_at: datetime | None
    sharing_type: SharingType
    state: domain.State
    created_at: datetime
    submitted_at: datetime | None
    missing: list[str] | None
    missing_asked_at: datetime | None
    supplied: str | None
    supplied_at: datetime | None
    extension: dict[str, Any] | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    grant_id: UUID | None
    due_on: date | None = Field(default=None, description="the last day for the provider's answer, in China; null when none was owed")
    standing: Standing | None = Field(default=None, description="how that deadline stands")


async def out(tx: Tx, row: store.SharingRequest) -> RequestOut:
    """Return a request as it is shown, with how its answer's deadline stands."""
    [shown] = await _outs(tx, [row])
    return shown


async def _outs(tx: Tx, rows: Sequence[store.SharingRequest]) -> list[RequestOut]:
    found, now = await clocks.answers_of(tx, {row.request_id for row in rows}), utc_now()
    answers = {key: {"due_on": clock.due_on, "standing": clock.standing(now)} for key, clock in found.items()}
    return [RequestOut.model_validate(row).model_copy(update=answers.get(row.request_id)) for row in rows]


@router.post(
    "",
    status_code=201,
    responses=problems(
        ResourceNotFound,
        ResourceWithdrawn,
        OrganizationUnknown,
        OwnResource,
        ItemsUnknown,
        NotShared,
        UseUntilPast,
        TermsInvalid,
        EntryUnknown,
    ),
)
async def ask(body: RequestIn, who: Steward, deadlines: Deadlines, public_url: PublicUrl, tx: Tx) -> RequestOut:
    """Ask for access to a resource; with the provider's standing consent, or by an approved scenario, it is granted in the same answer."""
    asked = commands.Asked(**{name: getattr(body, name) for name in type(body).model_fields})
    return await out(tx, await answering.ask(tx, deadlines, asked, by=who, public_url=public_url, now=utc_now()))


@router.post("/{request_id}/approval", status_code=201, responses=problems(RequestNotFound, RequestState))
async def approve(request_id: UUID, body: ApprovalIn, who: Steward, tx: Tx) -> RequestOut:
    """Note that the requester's head approved a draft."""
    return await out(tx, await commands.approve(tx, request_id, approved_by=body.approved_by, by=who, now=utc_now()))


@router.post(
    "/{request_id}/submission",
    status_code=201,
    responses=problems(RequestNotFound, RequestState, ResourceWithdrawn, ItemsUnknown, NotShared, UseUntilPast, TermsInvalid),
)
async def submit(request_id: UUID, who: Steward, deadlines: Deadlines, public_url: PublicUrl, tx: Tx) -> RequestOut:
    """Hand an approved request in; with the provider's standing consent it is granted in the same answer."""
    return await out(tx, await answering.submit(tx, deadlines, request_id, by=who, public_url=public_url, now=utc_now()))


@router.post(
    "/{request_id}/materials",
    status_code=201,
    responses=problems(RequestNotFound, NotTheProvider, RequestState, MaterialsAsked),
)
async def ask_materials(request_id: UUID, body: MaterialsIn, who: Steward, tx: Tx) -> RequestOut:
    """Name everything that is missing, as the provider; once."""
    return await out(tx, await answering.ask_materials(tx, request_id, missing=body.missing, by=who, now=utc_now()))


@router.post("/{request_id}/supply", status_code=201, responses=problems(RequestNotFound, RequestState))
async def supply(request_id: UUID, body: SupplyIn, who: Steward, tx: Tx) -> RequestOut:
    """Supply what was missing, as the requester."""
    return await out(tx, await commands.supply(tx, request_id, supplied=body.supplied, by=who, now=utc_now()))


@router.post(
    "/{request_id}/extension",
    status_code=201,
    responses=problems(RequestNotFound, NotTheProvider, RequestState, ExtensionAnswered, ExtensionTooLong, ClockRefused),
)
async def ask_extension(request_id: UUID, body: ExtensionIn, who: Steward, tx: Tx) -> RequestOut:
    """Ask the data authority for more working days to answer, as the provider."""
    return await out(tx, await answering.ask_extension(tx, request_id, days=body.days, reason=body.reason, by=who, now=utc_now()))


@router.post(
    "/{request_id}/extension/decision",
    status_code=201,
    responses=problems(RequestNotFound, RequestState, ExtensionAnswered, ClockRefused),
)
async def decide_extension(request_id: UUID, body: ConsentIn, who: Authority, tx: Tx) -> RequestOut:
    """Consent to an extension, or not, as the data authority."""
    return await out(
        tx, await answering.decide_extension(tx, request_id, consents=body.consents, approved_by=body.approved_by, by=who, now=utc_now())
    )


@router.post("/{request_id}/withdrawal", status_code=201, responses=problems(RequestNotFound, NotTheRequester))
async def withdraw(request_id: UUID, body: WithdrawalIn, who: Steward, tx: Tx) -> RequestOut:
    """Take a request back that is not answered yet, as the requester."""
    return await out(tx, await commands.withdraw(tx, request_id, reason=body.reason, by=who, now=utc_now()))


@router.get("", responses=problems(CursorInvalid))
async def list_requests(
    who: Who, tx: Tx, state: domain.State | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Page[RequestOut]:
    """List the requests the caller's organization made or has to answer, newest first."""
    organization_id = whose(who)
    after = after_time(cursor)
    rows = await store.list_requests(tx, organization_id=organization_id, state=state, limit=limit + 1, after=after)
    page = cut(rows, limit, lambda row: (row.created_at, row.request_id))
    return Page(items=await _outs(tx, page.items), next_cursor=page.next_cursor)


@router.get("/{request_id}", responses=problems(RequestNotFound))
async def get_request(request_id: UUID, who: Who, tx: Tx) -> RequestOut:
    """Return a request to its requester or provider."""
    return await out(tx, await commands.get_visible(tx, request_id, who))


@router.post(
    "/{request_id}/decision",
    status_code=201,
    responses=problems(
        RequestNotFound,
        NotTheProvider,
        RequestAnswered,
        ReasonMissing,
        ResourceWithdrawn,
        ItemsUnknown,
        NotShared,
        UseUntilPast,
        TermsInvalid,
    ),
)
async def decide(request_id: UUID, body: DecisionIn, who: Steward, deadlines: Deadlines, public_url: PublicUrl, tx: Tx) -> RequestOut:
    """Answer a sharing request: grant it, or refuse it with reasons."""
    answer = answering.Answer(**{name: getattr(body, name) for name in type(body).model_fields})
    return await out(tx, await answering.decide(tx, deadlines, request_id, answer, by=who, public_url=public_url, now=utc_now()))
