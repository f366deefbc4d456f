"""HTTP of offers: what approved scenarios offer to the caller's organization, and accepting it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode, OrganizationRef
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.exchange_terms import Terms
from dxmesh_schemas.text import Name, Reason
from exchange_svc.access import whose
from exchange_svc.address import PublicUrl
from exchange_svc.catalog.errors import OrganizationUnknown, ResourceNotFound, ResourceWithdrawn
from exchange_svc.deadlines import Deadlines
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.offer import commands, store
from exchange_svc.offer.errors import OfferNotFound, OfferOver
from exchange_svc.request.errors import ItemsUnknown, NotShared, UseUntilPast
from exchange_svc.request.routes import RequestOut
from exchange_svc.request.routes import out as request_out

router = APIRouter(prefix="/v1/offers", tags=["scenarios"])


class OfferOut(BaseModel):
    """What a scenario offers of a resource to an organization that it names."""

    model_config = ConfigDict(from_attributes=True)
    offer_id: UUID
    scenario_id: UUID
    scenario: str
    resource_id: UUID
    resource: str
    requester: OrganizationRef
    provider: OrganizationRef
    items: list[str]
    purposes: list[UsePurpose]
    offered_at: datetime
    ended_at: datetime | None = Field(description="since when it is accepted, or not offered any more")
    request_id: UUID | None = Field(description="the request it was accepted by")


class AcceptanceIn(BaseModel):
    """The head of the requester who approves it (GDSR Art. 20); all else the offer says, unless it is said here."""

    model_config = ConfigDict(extra="forbid")
    approved_by: Name
    items: list[ItemCode] | None = Field(default=None, max_length=1000, description="some of those offered; all of them when absent")
    legal_basis: Reason | None = None
    purpose: Reason | None = None
    use_purpose: UsePurpose | None = Field(default=None, description="one of those offered; the first when absent")
    use_until: AwareDatetime | None = None
    terms: Terms = Terms()


@router.get("", response_model=Page[OfferOut], responses=problems(CursorInvalid))
async def list_offers(
    who: Who,
    tx: Tx,
    over: Annotated[bool, Query(description="those accepted or withdrawn")] = False,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Slice[store.Offer]:
    """List what is offered to the caller's organization, newest first; the data authority sees the offers to all."""
    rows = await store.list_offers(tx, requester_id=whose(who), is_over=over, limit=limit + 1, after=after_time(cursor))
    return cut(rows, limit, lambda row: (row.offered_at, row.offer_id))


@router.post(
    "/{offer_id}/acceptance",
    status_code=201,
    response_model=RequestOut,
    responses=problems(
        OfferNotFound,
        OfferOver,
        ResourceNotFound,
        ResourceWithdrawn,
        OrganizationUnknown,
        ItemsUnknown,
        NotShared,
        UseUntilPast,
        TermsInvalid,
    ),
)
async def accept(offer_id: UUID, body: AcceptanceIn, who: Steward, deadlines: Deadlines, public_url: PublicUrl, tx: Tx) -> RequestOut:
    """Accept an offer: the request is made of it and, as its scenario covers it, granted in the same answer."""
    said = commands.Acceptance(**{name: getattr(body, name) for name in type(body).model_fields})
    row = await commands.accept(tx, deadlines, offer_id, said, by=who, public_url=public_url, now=utc_now())
    return await request_out(tx, row)
