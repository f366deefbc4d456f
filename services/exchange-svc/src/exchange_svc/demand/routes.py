"""HTTP of demands: which there are, what may meet them, and asking for it."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef, SharingType
from dxmesh_schemas.text import Reason
from exchange_svc.address import PublicUrl
from exchange_svc.catalog.errors import OrganizationUnknown, ResourceNotFound, ResourceWithdrawn
from exchange_svc.deadlines import Deadlines
from exchange_svc.demand import commands, store
from exchange_svc.demand.errors import DemandNotFound, DemandOver, NotYourDemand
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.request.commands import Asked
from exchange_svc.request.errors import ItemsUnknown, NotShared, OwnResource, UseUntilPast
from exchange_svc.request.routes import RequestIn, RequestOut
from exchange_svc.request.routes import out as request_out
from exchange_svc.sharing_list.errors import EntryUnknown
from exchange_svc.sharing_list.store import Entry

router = APIRouter(prefix="/v1/demands", tags=["demands"])


class DemandOut(BaseModel):
    """A demand as the demand list has it."""

    demand_id: UUID
    owner: OrganizationRef
    name: str
    content: str
    status: str
    due_on: date | None
    counterpart: OrganizationRef | None = Field(description="the department that is asked, if one is")
    resource_id: UUID | None
    items: list[str]
    entered_at: datetime
    changed_at: datetime


class DemandWithRequests(DemandOut):
    """A demand, and the requests that came from it."""

    request_ids: list[UUID]


class CandidateOut(BaseModel):
    """A published resource that may meet the demand; score: 0 to 1; items: those the demand speaks of."""

    resource_id: UUID
    name: str
    provider: OrganizationRef
    sharing_type: SharingType
    score: float
    items: list[str]
    reasons: list[str]


class MatchesOut(BaseModel):
    """Candidates, best first; none is what nobody publishes here."""

    items: list[CandidateOut]


class AskIn(RequestIn):
    """A request that comes from a demand: scenario and purpose are the demand's when they are left out."""

    scenario: Reason | None = None  # type: ignore[assignment]  # the demand says it
    purpose: Reason | None = None  # type: ignore[assignment]  # the demand says it


@router.get("", response_model=Page[DemandOut], responses=problems(CursorInvalid))
async def list_demands(
    _: Who,
    tx: Tx,
    owner: UUID | None = None,
    counterpart: Annotated[UUID | None, Query(description="the department that is asked")] = None,
    over: Annotated[bool | None, Query(description="done and cancelled ones, or the open ones")] = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Slice[dict[str, Any]]:
    """List the demands known here, newest first; everyone with a token reads them."""
    after = after_time(cursor)
    rows = await store.list_demands(tx, owner_id=owner, asked_id=counterpart, is_over=over, limit=limit + 1, after=after)
    page = cut(rows, limit, lambda row: (row.entered_at, row.entry_id))
    return Slice([_shown(row) for row in page.items], page.next_cursor)


@router.get("/{demand_id}", response_model=DemandWithRequests, responses=problems(DemandNotFound))
async def get_demand(demand_id: UUID, _: Who, tx: Tx) -> dict[str, Any]:
    """Return a demand with the requests that came from it."""
    return _shown(await store.get(tx, demand_id)) | {"request_ids": await store.list_requests(tx, demand_id)}


@router.get("/{demand_id}/matches", responses=problems(DemandNotFound))
async def list_matches(demand_id: UUID, _: Who, tx: Tx, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> MatchesOut:
    """Find what may meet a demand among the resources published here: by reference, by name, by the items it speaks of."""
    found = await commands.match(tx, demand_id, most=limit)
    return MatchesOut(
        items=[
            CandidateOut(
                resource_id=one.resource.resource_id,
                name=one.resource.name,
                provider=one.resource.provider,
                sharing_type=SharingType(one.resource.sharing_type),
                score=one.score,
                items=list(one.items),
                reasons=list(one.reasons),
            )
            for one in found
        ]
    )


@router.post(
    "/{demand_id}/requests",
    status_code=201,
    responses=problems(
        DemandNotFound,
        NotYourDemand,
        DemandOver,
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
async def ask(demand_id: UUID, body: AskIn, who: Steward, deadlines: Deadlines, public_url: PublicUrl, tx: Tx) -> RequestOut:
    """Ask for a resource by a demand; it is answered as any other request, and its time counts from the demand."""
    if body.demand_id not in (None, demand_id):
        raise EntryUnknown.at("/demand_id", f"{body.demand_id} is another demand than the one asked by; leave it out")
    said = {name: getattr(body, name) for name in type(body).model_fields if name != "demand_id"}
    asked = Asked(**said | {"scenario": body.scenario or "", "purpose": body.purpose or ""})
    row = await commands.ask(tx, deadlines, demand_id, asked, by=who, public_url=public_url, now=utc_now())
    return await request_out(tx, row)


def _shown(row: Entry) -> dict[str, Any]:
    entry = row.read()
    own = {name: getattr(entry, name) for name in DemandOut.model_fields if name not in ("demand_id", "entered_at")}
    return own | {"demand_id": row.entry_id, "entered_at": row.entered_at}
