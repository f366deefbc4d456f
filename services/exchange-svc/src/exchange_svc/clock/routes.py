"""HTTP of clocks: what is owed by which day."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from dxmesh_clocks.policy import RuleName
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef
from exchange_svc.access import whose
from exchange_svc.clock import store
from exchange_svc.clock.domain import Responsible, Standing

router = APIRouter(prefix="/v1/clocks", tags=["clocks"])


class ClockOut(BaseModel):
    """A deadline, as it stands now."""

    clock_id: UUID
    rule: RuleName
    source: str = Field(description="the article that sets the deadline")
    responsible: Responsible
    organization: OrganizationRef = Field(description="who owes it; where the data authority does, the provider it is about")
    resource_id: UUID
    resource_name: str
    request_id: UUID
    grant_id: UUID | None
    dispute_id: UUID | None
    correction_id: UUID | None
    reason: str
    standing: Standing
    started_on: date = Field(description="not counted")
    days: int = Field(description="working days, without extension and pauses")
    extension_days: int
    paused_days: int
    due_on: date = Field(description="the last day in time, in China; while paused, that of before the pause")
    days_left: int | None = Field(description="working days; negative when overdue, null when nothing is owed any more")
    assumed_years: list[int] = Field(description="years counted Monday to Friday, as their holidays are not announced")
    approaching_told_at: datetime | None
    missed_told_at: datetime | None = Field(description="when the chief data officer of who owes it heard of it")
    escalated_told_at: datetime | None = Field(description="when the data authority heard of it")
    met_at: datetime | None
    met_by: str | None
    stopped_at: datetime | None
    stopped_reason: str | None


def _out(found: store.Named, now: datetime) -> ClockOut:
    row, resource_name = found
    deadline = row.deadline
    own = {name: getattr(row, name) for name in ClockOut.model_fields if name in store.Clock.__table__.columns}
    is_owed = row.met_at is None and row.stopped_at is None
    return ClockOut(
        **own,
        source=deadline.rule.source,
        resource_name=resource_name,
        standing=row.standing(now),
        days=deadline.rule.days,
        days_left=deadline.days_left(day_of(now)) if is_owed else None,
    )


@router.get("", responses=problems(CursorInvalid))
async def list_clocks(
    who: Who,
    tx: Tx,
    standing: Annotated[Standing | None, Query(description="`missed`: overdue, or done late; `met`: done in time")] = None,
    owed: Annotated[bool | None, Query(description="true: what is still to be done; false: what is over")] = None,
    request: Annotated[UUID | None, Query(description="request id")] = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Page[ClockOut]:
    """List what the caller's organization owes, those due first coming first; the data authority sees everybody's."""
    now = utc_now()
    rows = await store.list_clocks(
        tx,
        organization_id=whose(who),
        standing=standing,
        request_id=request,
        is_owed=owed,
        now=now,
        limit=limit + 1,
        after=after_time(cursor),
    )
    page = cut(rows, limit, lambda found: (found[0].missed_at, found[0].clock_id))
    return Page(items=[_out(found, now) for found in page.items], next_cursor=page.next_cursor)
