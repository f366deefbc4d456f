"""HTTP of disputes: open, take further, decide, withdraw, see."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Overseer, Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode, OrganizationRef
from dxmesh_schemas.exchange_terms import Narrowing
from dxmesh_schemas.text import Name, Reason
from exchange_svc.access import whose
from exchange_svc.address import PublicUrl
from exchange_svc.catalog.errors import ResourceWithdrawn
from exchange_svc.clock import store as clocks
from exchange_svc.clock.domain import Standing
from exchange_svc.deadlines import Deadlines
from exchange_svc.dispute import commands, store
from exchange_svc.dispute.domain import Outcome, Rung, State, Step
from exchange_svc.dispute.errors import (
    DecisionInvalid,
    DisputeEarly,
    DisputeKnown,
    DisputeLate,
    DisputeNotFound,
    DisputeOver,
    NotYourTurn,
)
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.request import answering
from exchange_svc.request.domain import Outcome as Answered
from exchange_svc.request.errors import (
    ItemsUnknown,
    NotShared,
    NotTheRequester,
    RequestAnswered,
    RequestNotFound,
    RequestState,
    UseUntilPast,
)

router = APIRouter(prefix="/v1", tags=["disputes"])


class DisputeIn(BaseModel):
    """Why the requester does not accept it."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class DisputeDecisionIn(BaseModel):
    """The answer of whom the dispute is before (GDSR Art. 28); a grant may be narrower than what was asked for."""

    model_config = ConfigDict(extra="forbid")
    outcome: Outcome
    reason: Reason
    decided_by: Name = Field(description="the head of the provider while the two negotiate, then the body that decides")
    document: Name | None = Field(default=None, description="the decision's number, of an upper authority or a government")
    items: list[ItemCode] | None = Field(default=None, max_length=1000, description="some of those asked for; all of them when absent")
    use_until: AwareDatetime | None = Field(default=None, description="not later than asked for")
    terms: Narrowing = Narrowing()
    unmasked: dict[ItemCode, Reason] = Field(
        default={}, max_length=1000, description="items of level 3 and above that leave as they are, and why"
    )


class DisputeStepOut(BaseModel):
    """What happened to a dispute."""

    model_config = ConfigDict(from_attributes=True)
    step: Step
    rung: Rung
    by: str
    reason: str
    outcome: Outcome | None
    decided_by: str | None
    document: str | None
    at: datetime


class DisputeOut(BaseModel):
    """A dispute, before whom it is, and what happened to it."""

    dispute_id: UUID
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider: OrganizationRef
    division_code: str = Field(description="of whose authority and government it comes before; empty for the nation")
    rung: Rung
    state: State
    outcome: Outcome | None
    opened_at: datetime
    due_on: date | None = Field(description="the last day for the answer, in China")
    standing: Standing | None = Field(description="how that deadline stands")
    further_until: date | None = Field(description="the last day to take a decision further, in China")
    steps: list[DisputeStepOut]


async def _out(tx: Tx, *rows: store.Dispute) -> list[DisputeOut]:
    ids = {row.dispute_id for row in rows}
    steps, due = await store.list_steps(tx, ids), await clocks.last_of_disputes(tx, ids)
    return [_one(row, steps.get(row.dispute_id, ()), due, utc_now()) for row in rows]


def _one(row: store.Dispute, steps: Sequence[store.DisputeStep], due: Mapping[UUID, clocks.Clock], now: datetime) -> DisputeOut:
    clock = due.get(row.dispute_id)
    return DisputeOut(
        dispute_id=row.dispute_id,
        request_id=row.request_id,
        resource_id=row.resource_id,
        requester=row.requester_ref,
        provider=row.provider_ref,
        division_code=row.division_code,
        rung=Rung(row.rung),
        state=State(row.state),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        opened_at=row.opened_at,
        due_on=None if clock is None else clock.due_on,
        standing=None if clock is None else clock.standing(now),
        further_until=row.further_until,
        steps=[DisputeStepOut.model_validate(step) for step in steps],
    )


@router.post(
    "/requests/{request_id}/dispute",
    status_code=201,
    responses=problems(RequestNotFound, NotTheRequester, RequestAnswered, RequestState, DisputeKnown, DisputeEarly),
)
async def open_dispute(request_id: UUID, body: DisputeIn, who: Steward, deadlines: Deadlines, tx: Tx) -> DisputeOut:
    """Dispute a refusal, or that no answer came in time, as the requester; the provider is to answer first."""
    row = await commands.open_dispute(tx, deadlines, request_id, reason=body.reason, by=who, now=utc_now())
    [found] = await _out(tx, row)
    return found


@router.post("/disputes/{dispute_id}/further", status_code=201, responses=problems(DisputeNotFound, DisputeEarly, DisputeLate, DisputeOver))
async def take_further(dispute_id: UUID, body: DisputeIn, who: Steward, deadlines: Deadlines, tx: Tx) -> DisputeOut:
    """Take a dispute to the next body, as the requester: the refusal was upheld, or no answer came in time."""
    row = await commands.take_further(tx, deadlines, dispute_id, reason=body.reason, by=who, now=utc_now())
    [found] = await _out(tx, row)
    return found


@router.post(
    "/disputes/{dispute_id}/decision",
    status_code=201,
    responses=problems(
        DisputeNotFound,
        NotYourTurn,
        DisputeOver,
        DecisionInvalid,
        ResourceWithdrawn,
        ItemsUnknown,
        NotShared,
        UseUntilPast,
        TermsInvalid,
    ),
)
async def decide(
    dispute_id: UUID, body: DisputeDecisionIn, who: Overseer, deadlines: Deadlines, public_url: PublicUrl, tx: Tx
) -> DisputeOut:
    """Answer a dispute: as the provider while the two negotiate, then as the data authority for the body it is before."""
    granted = answering.Answer(
        Answered.GRANTED,
        body.reason,
        body.decided_by,
        items=body.items,
        use_until=body.use_until,
        terms=body.terms,
        unmasked=body.unmasked,
    )
    decision = commands.Decision(body.outcome, body.reason, body.decided_by, body.document, granted)
    row = await commands.decide(tx, deadlines, dispute_id, decision, by=who, public_url=public_url, now=utc_now())
    [found] = await _out(tx, row)
    return found


@router.post("/disputes/{dispute_id}/withdrawal", status_code=201, responses=problems(DisputeNotFound, DisputeOver))
async def withdraw(dispute_id: UUID, body: DisputeIn, who: Steward, tx: Tx) -> DisputeOut:
    """Dispute no more, as the requester."""
    row = await commands.withdraw(tx, dispute_id, reason=body.reason, by=who, now=utc_now())
    [found] = await _out(tx, row)
    return found


@router.get("/disputes", responses=problems(CursorInvalid))
async def list_disputes(who: Who, tx: Tx, state: State | None = None, limit: Limit = 100, cursor: CursorText = None) -> Page[DisputeOut]:
    """List the disputes the caller's organization is a side of, newest first; the data authority sees all."""
    rows = await store.list_disputes(tx, organization_id=whose(who), state=state, limit=limit + 1, after=after_time(cursor))
    page = cut(rows, limit, lambda row: (row.opened_at, row.dispute_id))
    return Page(items=await _out(tx, *page.items), next_cursor=page.next_cursor)


@router.get("/disputes/{dispute_id}", responses=problems(DisputeNotFound))
async def get_dispute(dispute_id: UUID, who: Who, tx: Tx) -> DisputeOut:
    """Return a dispute to its sides and the data authority."""
    [found] = await _out(tx, await commands.get_visible(tx, dispute_id, who))
    return found
