"""Arbitration cases over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict

from catalog_svc.arbitration import commands, store
from catalog_svc.arbitration.domain import CaseState, Outcome
from catalog_svc.arbitration.errors import CaseDecided, CaseNotFound, CaseOpen, DecisionImpossible, NothingToArbitrate
from catalog_svc.claim.errors import ClaimInvalid
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_id, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Reason

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
    """What the authority decides, and why."""

    model_config = ConfigDict(extra="forbid")
    outcome: Outcome
    reason: Reason


class StatementOut(BaseModel):
    """What one side said."""

    statement_id: UUID
    organization_id: UUID
    text: str
    made_by: str
    made_at: datetime


class CaseHead(BaseModel):
    """A case without its statements."""

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


class CaseOut(CaseHead):
    """A case with what was said in it."""

    statements: list[StatementOut]


def _statement(row: store.ArbitrationStatement) -> StatementOut:
    return StatementOut(
        statement_id=row.statement_id, organization_id=row.organization_id, text=row.body, made_by=row.made_by, made_at=row.made_at
    )


async def _out(tx: Tx, row: store.ArbitrationCase) -> CaseOut:
    said = [_statement(one) for one in await store.statements(tx, row.case_id)]
    return CaseOut(**CaseHead.model_validate(row).model_dump(), statements=said)


@router.post(
    "",
    status_code=201,
    responses=problems(*BODY_PROBLEMS, ResourceNotFound, IllegalTransition, ClaimInvalid, NothingToArbitrate, CaseOpen, Forbidden),
)
async def open_case(body: CaseIn, who: Who, tx: Tx, response: Response) -> CaseOut:
    """Bring an item that was refused as a source before the data authority."""
    row = await commands.open_case(tx, body.resource_id, body.item, statement=body.statement, by=who, now=utc_now())
    response.headers["Location"] = f"/v1/arbitrations/{row.case_id}"
    return await _out(tx, row)


@router.get("", response_model=Page[CaseHead], responses=problems(CursorInvalid, Forbidden))
async def list_cases(
    who: Who, tx: Tx, state: Annotated[CaseState | None, Query()] = None, limit: Limit = 50, cursor: CursorText = None
) -> Slice[store.ArbitrationCase]:
    """List the cases of the caller's organization; the authority, operators and auditors see all."""
    of = None if commands.sees_all(who) else who.own_organization
    return cut(await store.list_page(tx, of=of, state=state, after=after_id(cursor), limit=limit), limit, lambda row: row.case_id)


@router.get("/{case_id}", responses=problems(CaseNotFound))
async def get_case(case_id: UUID, who: Who, tx: Tx) -> CaseOut:
    """Return a case with what was said in it."""
    return await _out(tx, await commands.get_visible(tx, case_id, by=who))


@router.post("/{case_id}/statements", status_code=201, responses=problems(*BODY_PROBLEMS, CaseNotFound, CaseDecided, Forbidden))
async def add_statement(case_id: UUID, body: StatementIn, who: Who, tx: Tx) -> StatementOut:
    """Add what the caller's organization says."""
    return _statement(await commands.add_statement(tx, case_id, text=body.text, by=who, now=utc_now()))


@router.post("/{case_id}/decision", responses=problems(*BODY_PROBLEMS, CaseNotFound, CaseDecided, DecisionImpossible, Forbidden))
async def decide(case_id: UUID, body: DecisionIn, who: Authority, tx: Tx) -> CaseOut:
    """Decide a case (the data authority): name the source, or find the items to be different data elements."""
    row = await commands.decide(tx, case_id, outcome=body.outcome, reason=body.reason, by=who, now=utc_now())
    return await _out(tx, row)
