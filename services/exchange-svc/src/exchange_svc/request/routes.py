"""HTTP of sharing requests: submit, see, decide."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode, OrganizationRef, SharingType
from dxmesh_schemas.text import Name, Reason
from exchange_svc.access import sees_all
from exchange_svc.catalog.errors import OrganizationUnknown, ResourceNotFound, ResourceWithdrawn
from exchange_svc.request import commands, domain, store
from exchange_svc.request.errors import (
    ItemsUnknown,
    NotShared,
    NotTheProvider,
    OwnResource,
    ReasonMissing,
    RequestAnswered,
    RequestNotFound,
    UseUntilPast,
)

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
    approved_by: Name = Field(description="the head of the requester who approved the request")


class DecisionIn(BaseModel):
    """The provider's answer (GDSR Art. 21: a refusal states its reasons)."""

    model_config = ConfigDict(extra="forbid")
    outcome: domain.Outcome
    reason: Reason | None = None
    approved_by: Name = Field(description="the head of the provider who approved the answer")


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
    use_until: datetime | None
    approved_by: str
    sharing_type: SharingType
    state: domain.State
    submitted_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    grant_id: UUID | None


@router.post(
    "",
    status_code=201,
    response_model=RequestOut,
    responses=problems(ResourceNotFound, ResourceWithdrawn, OrganizationUnknown, OwnResource, ItemsUnknown, NotShared, UseUntilPast),
)
async def submit(body: RequestIn, who: Steward, tx: Tx) -> store.SharingRequest:
    """Ask for access to a resource; with the provider's standing consent it is granted in the same answer."""
    return await commands.submit(tx, commands.Terms(**body.model_dump()), by=who, now=utc_now())


@router.get("", response_model=Page[RequestOut], responses=problems(CursorInvalid))
async def list_requests(
    who: Who, tx: Tx, state: domain.State | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Slice[store.SharingRequest]:
    """List the requests the caller's organization made or has to answer, newest first."""
    organization_id = None if sees_all(who) else who.own_organization
    after = after_time(cursor)
    rows = await store.list_requests(tx, organization_id=organization_id, state=state, limit=limit + 1, after=after)
    return cut(rows, limit, lambda row: (row.submitted_at, row.request_id))


@router.get("/{request_id}", response_model=RequestOut, responses=problems(RequestNotFound))
async def get_request(request_id: UUID, who: Who, tx: Tx) -> store.SharingRequest:
    """Return a request to its requester or provider."""
    return await commands.get_visible(tx, request_id, who)


@router.post(
    "/{request_id}/decision",
    status_code=201,
    response_model=RequestOut,
    responses=problems(
        RequestNotFound, NotTheProvider, RequestAnswered, ReasonMissing, ResourceWithdrawn, ItemsUnknown, NotShared, UseUntilPast
    ),
)
async def decide(request_id: UUID, body: DecisionIn, who: Steward, tx: Tx) -> store.SharingRequest:
    """Answer a sharing request: grant it, or refuse it with reasons."""
    return await commands.decide(
        tx, request_id, outcome=body.outcome, reason=body.reason, approved_by=body.approved_by, by=who, now=utc_now()
    )
