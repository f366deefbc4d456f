"""Arbitration cases over HTTP."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.arbitration import commands, store
from catalog_svc.arbitration.domain import CaseState, Outcome, Step
from catalog_svc.arbitration.errors import (
    CaseClosed,
    CaseDecided,
    CaseNotFound,
    CaseOpen,
    DecisionImpossible,
    DecisionInvalid,
    NotDecided,
    NothingToArbitrate,
    ObjectionLate,
)
from catalog_svc.claim.errors import ClaimInvalid
from catalog_svc.deadlines import Deadlines
from catalog_svc.duty import store as duties
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Reason

router = APIRouter(prefix="/v1/arbitrations", tags=["sources"], dependencies=[Depends(json_body)])


class CaseIn(BaseModel):
    """An item that was refused as a source, and why it should be it."""

    model_config = ConfigDict(extra="forbid")
    resource_id: UUID
    item: ItemCode
    statement: Reason


class StatementIn(BaseModel):
    """What one side says."""

    model_config = ConfigDict(extra="forbid")
    text: Reason


class DecisionIn(BaseModel):
    """What is decided, and why."""

    model_config = ConfigDict(extra="forbid")
    outcome: Outcome
    reason: Reason
    document: Annotated[Name | None, Field(description="the people's government's decision by number, where that decided")] = None


class ObjectionIn(BaseModel):
    """Why a side does not agree."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class WithdrawalIn(BaseModel):
    """Why a case, or an objection, is taken back."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class StatementOut(BaseModel):
    """What one side said."""

    statement_id: UUID
    organization_id: UUID
    text: str
    made_by: str
    made_at: datetime


class StepOut(BaseModel):
    """What happened to a case."""

    model_config = ConfigDict(from_attributes=True)
    step: Step
    by: str
    organization_id: UUID | None
    reason: str
    at: datetime
    details: dict[str, Any]


class CaseHead(BaseModel):
    """A case without what was said and done in it."""

    model_config = ConfigDict(from_attributes=True)
    case_id: UUID
    division_code: str
    state: CaseState
    claimant_organization_id: UUID
    claimant_resource_id: UUID
    claimant_item: str
    claimant_item_name: str
    holder_claim_id: UUID
    holder_organization_id: UUID
    holder_resource_id: UUID
    holder_item: str
    holder_item_name: str
    similarity: float
    reasons: list[str]
    opened_by: str
    opened_at: datetime
    outcome: Outcome | None
    decision_reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    document: str | None
    objection_until: Annotated[date | None, Field(description="the last day to object to the decision, in China")]
    objecting_organization_id: UUID | None
    closed_at: Annotated[datetime | None, Field(description="when it ended without another decision")]
    closed_reason: str | None
    duty_id: Annotated[UUID | None, Field(description="the deadline of the decision, the last one if there were two")] = None
    due_on: Annotated[date | None, Field(description="its last day in time, in China")] = None


class CaseOut(CaseHead):
    """A case with what was said and done in it."""

    statements: list[StatementOut]
    steps: list[StepOut]


def _statement(row: store.ArbitrationStatement) -> StatementOut:
    return StatementOut(
        statement_id=row.statement_id, organization_id=row.organization_id, text=row.body, made_by=row.made_by, made_at=row.made_at
    )


async def _heads(tx: Tx, rows: Sequence[store.ArbitrationCase]) -> list[CaseHead]:
    clocks = await duties.last_of_cases(tx, [row.case_id for row in rows])
    heads = []
    for row in rows:
        clock = clocks.get(row.case_id)
        told = {} if clock is None else {"duty_id": clock.duty_id, "due_on": clock.due_on}
        heads.append(CaseHead.model_validate(row).model_copy(update=told))
    return heads


async def _out(tx: Tx, row: store.ArbitrationCase) -> CaseOut:
    await tx.flush()
    [head] = await _heads(tx, [row])
    said = [_statement(one) for one in await store.statements(tx, row.case_id)]
    done = [StepOut.model_validate(step) for step in await store.steps(tx, row.case_id)]
    return CaseOut(**head.model_dump(), statements=said, steps=done)


@router.post(
    "",
    status_code=201,
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, IllegalTransition, ClaimInvalid, NothingToArbitrate, CaseOpen, Forbidden),
)
async def open_case(body: CaseIn, who: Who, deadlines: Deadlines, tx: Tx, response: Response) -> CaseOut:
    """Bring an item that was refused as a source before the data authority, who is to decide within the policy's working days."""
    row = await commands.open_case(tx, deadlines, body.resource_id, body.item, statement=body.statement, by=who, now=utc_now())
    response.headers["Location"] = f"/v1/arbitrations/{row.case_id}"
    return await _out(tx, row)


@router.get("", responses=problems(CursorInvalid, Forbidden))
async def list_cases(
    who: Who, tx: Tx, state: Annotated[CaseState | None, Query()] = None, limit: Limit = 50, cursor: CursorText = None
) -> Page[CaseHead]:
    """List the cases of the caller's organization; the authority, operators and auditors see all."""
    of = None if commands.sees_all(who) else who.own_organization
    rows = await store.list_page(tx, of=of, state=state, after=after_id(cursor), limit=limit)
    page = cut(rows, limit, lambda row: row.case_id)
    return Page(items=await _heads(tx, page.items), next_cursor=page.next_cursor)


@router.get("/{case_id}", responses=problems(CaseNotFound))
async def get_case(case_id: UUID, who: Who, tx: Tx) -> CaseOut:
    """Return a case with what was said and done in it."""
    return await _out(tx, await commands.get_visible(tx, case_id, by=who))


@router.post("/{case_id}/statements", status_code=201, responses=problems(*BODY_PROBLEMS, CaseNotFound, CaseDecided, CaseClosed, Forbidden))
async def add_statement(case_id: UUID, body: StatementIn, who: Who, tx: Tx) -> StatementOut:
    """Add what the caller's organization says."""
    return _statement(await commands.add_statement(tx, case_id, text=body.text, by=who, now=utc_now()))


@router.post(
    "/{case_id}/decision",
    responses=problems(*BODY_PROBLEMS, CaseNotFound, CaseDecided, CaseClosed, DecisionInvalid, DecisionImpossible, Forbidden),
)
async def decide(case_id: UUID, body: DecisionIn, who: Authority, deadlines: Deadlines, tx: Tx) -> CaseOut:
    """Decide a case (the data authority), or enter what the people's government decided on objection."""
    row = await commands.decide(
        tx, deadlines, case_id, outcome=body.outcome, reason=body.reason, document=body.document, by=who, now=utc_now()
    )
    return await _out(tx, row)


@router.post(
    "/{case_id}/objection",
    responses=problems(*BODY_PROBLEMS, CaseNotFound, NotDecided, CaseDecided, CaseClosed, ObjectionLate, Forbidden),
)
async def object_to(case_id: UUID, body: ObjectionIn, who: Who, deadlines: Deadlines, tx: Tx) -> CaseOut:
    """Object to a decision that went against one's organization; its people's government decides, the decision stands meanwhile."""
    return await _out(tx, await commands.object_to(tx, deadlines, case_id, reason=body.reason, by=who, now=utc_now()))


@router.post("/{case_id}/withdrawal", responses=problems(*BODY_PROBLEMS, CaseNotFound, CaseDecided, CaseClosed, Forbidden))
async def withdraw(case_id: UUID, body: WithdrawalIn, who: Who, tx: Tx) -> CaseOut:
    """Take one's case back before it is decided, or one's objection; then the decision stands for good."""
    return await _out(tx, await commands.withdraw(tx, case_id, reason=body.reason, by=who, now=utc_now()))
