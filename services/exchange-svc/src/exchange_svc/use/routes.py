"""HTTP of records of use: file, see."""

from datetime import date, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.exchange_usage import Use
from dxmesh_schemas.text import Reason
from exchange_svc.access import whose
from exchange_svc.grant.errors import GrantNotFound
from exchange_svc.use import commands, store
from exchange_svc.use.errors import UseInvalid, UseRecorded

router = APIRouter(prefix="/v1", tags=["uses"])


class UseIn(BaseModel):
    """What was done with the data on some days, and what came of it (GDSR Art. 29)."""

    model_config = ConfigDict(extra="forbid")
    first_on: date = Field(description="in China")
    last_on: date
    process: Reason = Field(description="in which business and how it was used")
    effect: Reason = Field(description="what came of it")
    storage: Reason = Field(description="where copies are kept, or that there are none")
    case_count: int | None = Field(default=None, ge=0, le=2**53, description="cases that were handled with it")


class UseOut(BaseModel):
    """A record of use, as it was filed."""

    model_config = ConfigDict(from_attributes=True)
    use_id: UUID
    grant_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider_id: UUID
    first_on: date
    last_on: date
    use: Use
    recorded_at: datetime
    recorded_by: str = Field(description="the client that the token was given to")


@router.post("/grants/{grant_id}/uses", status_code=201, responses=problems(GrantNotFound, UseInvalid, UseRecorded))
async def record(grant_id: UUID, body: UseIn, who: Steward, tx: Tx) -> UseOut:
    """Record the use of some days, as the grant's requester; records cannot be changed."""
    use = Use(**body.model_dump(exclude={"first_on", "last_on"}))
    row = await commands.record(tx, grant_id, use, first_on=body.first_on, last_on=body.last_on, by=who, now=utc_now())
    return UseOut.model_validate(row)


@router.get("/uses", responses=problems(CursorInvalid))
async def list_uses(
    who: Who, tx: Tx, grant_id: UUID | None = None, resource_id: UUID | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Page[UseOut]:
    """List what was recorded, newest first: of the caller's use and of its resources' use; the data authority sees all."""
    party, after = whose(who), after_time(cursor)
    rows = await store.list_records(tx, party=party, grant_id=grant_id, resource_id=resource_id, limit=limit + 1, after=after)
    page = cut(rows, limit, lambda row: (row.recorded_at, row.use_id))
    return Page(items=[UseOut.model_validate(row) for row in page.items], next_cursor=page.next_cursor)
