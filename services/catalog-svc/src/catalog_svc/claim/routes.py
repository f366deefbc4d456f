"""Sources of data elements over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict

from catalog_svc.claim import commands, store
from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.errors import ClaimInvalid, ClaimNotFound, ClaimReleased, SourceHeld
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import DivisionCode, ItemCode
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Reason, Search

router = APIRouter(prefix="/v1/source-claims", tags=["sources"], dependencies=[Depends(json_body)])


class ClaimIn(BaseModel):
    """An item that is to be its division's source of a data element."""

    model_config = ConfigDict(extra="forbid")
    resource_id: UUID
    item: ItemCode


class ReleaseIn(BaseModel):
    """Why a source is given up."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class ClaimOut(BaseModel):
    """A source of a data element."""

    model_config = ConfigDict(from_attributes=True)
    claim_id: UUID
    division_code: str
    organization_id: UUID
    resource_id: UUID
    item: str
    item_name: str
    state: ClaimState
    case_id: UUID | None
    claimed_by: str
    claimed_at: datetime
    released_at: datetime | None
    release_reason: str | None


class MadeClaim(ClaimOut):
    """A source, and the division's other sources that may be the same data element: somebody should look."""

    doubtful: list[dict[str, Any]]


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": MadeClaim, "description": "The item is the source already"},
        **problems(*BODY_PROBLEMS, ResourceNotFound, IllegalTransition, SourceHeld, ClaimInvalid, Forbidden),
    },
)
async def claim(body: ClaimIn, who: Who, tx: Tx, response: Response) -> MadeClaim:
    """Claim a data element for an item: it becomes the division's source when no other item holds a matching one."""
    row, is_new, doubtful = await commands.claim(tx, body.resource_id, body.item, by=who, now=utc_now())
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/source-claims/{row.claim_id}"
    return MadeClaim(**ClaimOut.model_validate(row).model_dump(), doubtful=[rival.as_dict() for rival in doubtful])


@router.get("", response_model=Page[ClaimOut], responses=problems(CursorInvalid))
async def list_claims(
    _: Who,
    tx: Tx,
    division: Annotated[DivisionCode | None, Query()] = None,
    organization: Annotated[UUID | None, Query()] = None,
    resource: Annotated[UUID | None, Query()] = None,
    state: Annotated[ClaimState | None, Query()] = None,
    q: Annotated[Search | None, Query(description="finds by the item's name")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Slice[store.SourceClaim]:
    """List sources as they were claimed, the released ones too unless a state is asked for."""
    rows = await store.list_page(
        tx,
        division=division,
        organization=organization,
        resource=resource,
        state=state,
        q=q,
        after=after_id(cursor),
        limit=limit,
    )
    return cut(rows, limit, lambda row: row.claim_id)


@router.get("/{claim_id}", response_model=ClaimOut, responses=problems(ClaimNotFound))
async def get_claim(claim_id: UUID, _: Who, tx: Tx) -> store.SourceClaim:
    """Return a source."""
    return await store.get(tx, claim_id)


@router.post("/{claim_id}/release", response_model=ClaimOut, responses=problems(*BODY_PROBLEMS, ClaimNotFound, ClaimReleased, Forbidden))
async def release(claim_id: UUID, body: ReleaseIn, who: Who, tx: Tx) -> store.SourceClaim:
    """Give a source up, with the reason."""
    return await commands.release(tx, claim_id, reason=body.reason, by=who, now=utc_now())
