"""HTTP of corrections: file, answer, withdraw, see."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import ItemCode, OrganizationRef
from dxmesh_schemas.text import Name, Reason
from exchange_svc.access import whose
from exchange_svc.batch.errors import RowsMissing
from exchange_svc.clock import store as clocks
from exchange_svc.clock.domain import Standing
from exchange_svc.correction import commands, store
from exchange_svc.correction.domain import Outcome, Record, State
from exchange_svc.correction.errors import CorrectionInvalid, CorrectionNotFound, CorrectionOver
from exchange_svc.deadlines import Deadlines
from exchange_svc.grant.errors import GrantNotActive, GrantNotFound

router = APIRouter(prefix="/v1", tags=["corrections"])
_Integer = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]


class RecordIn(BaseModel):
    """A record that is doubted: by its key, or by the batch it came with and its row there, as every record says."""

    model_config = ConfigDict(extra="forbid")
    key: dict[ItemCode, Name | _Integer] | None = Field(default=None, max_length=20)
    batch_id: UUID | None = None
    row: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None


class CorrectionIn(BaseModel):
    """Which records a requester doubts, and why (GDSR Art. 26)."""

    model_config = ConfigDict(extra="forbid")
    records: list[RecordIn] = Field(min_length=1, max_length=1000)
    items: list[ItemCode] = Field(default=[], max_length=1000, description="whose values are doubted; the records as a whole when absent")
    reason: Reason


class CorrectionAnswerIn(BaseModel):
    """The provider's answer: which batch brings the corrected records, or why they stay as they are."""

    model_config = ConfigDict(extra="forbid")
    outcome: Outcome
    approved_by: Name = Field(description="the head of the provider's unit who approved this answer")
    reason: Reason | None = None
    batch_id: UUID | None = None


class WithdrawalIn(BaseModel):
    """Why the requester doubts them no more."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class CorrectionOut(BaseModel):
    """A correction request and its answer."""

    correction_id: UUID
    grant_id: UUID
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider: OrganizationRef
    records: list[Record]
    items: list[str]
    reason: str
    state: State
    filed_at: datetime
    due_on: date | None = Field(description="the last day for the provider's answer, in China")
    standing: Standing | None = Field(description="how that deadline stands")
    ended_at: datetime | None
    ended_by: str | None
    answer: str | None
    batch_id: UUID | None = Field(description="what brought the corrected records")
    covered_count: int | None = Field(description="doubted records that the batch replaces or deletes; null where no key names rows")
    uncovered_count: int | None = Field(description="doubted records that the batch leaves as they are")
    other_row_count: int | None = Field(description="rows of the batch that nobody doubted here")


def _one(row: store.Correction, due: Mapping[UUID, clocks.Clock], now: datetime) -> CorrectionOut:
    clock = due.get(row.correction_id)
    own = {name: getattr(row, name) for name in CorrectionOut.model_fields if name not in ("due_on", "standing")}
    return CorrectionOut(**own, due_on=None if clock is None else clock.due_on, standing=None if clock is None else clock.standing(now))


async def _out(tx: Tx, *rows: store.Correction) -> list[CorrectionOut]:
    due = await clocks.of_corrections(tx, {row.correction_id for row in rows})
    return [_one(row, due, utc_now()) for row in rows]


@router.post("/grants/{grant_id}/corrections", status_code=201, responses=problems(GrantNotFound, GrantNotActive, CorrectionInvalid))
async def file(grant_id: UUID, body: CorrectionIn, who: Steward, deadlines: Deadlines, tx: Tx) -> CorrectionOut:
    """Doubt records that a grant reads or read, as its requester; the provider corrects them or says why not, by a day."""
    records = [Record(key=one.key, batch_id=one.batch_id, row=one.row) for one in body.records]
    doubt = commands.Doubt(records, list(dict.fromkeys(body.items)), body.reason)
    [found] = await _out(tx, await commands.file(tx, deadlines, grant_id, doubt, by=who, now=utc_now()))
    return found


@router.post(
    "/corrections/{correction_id}/answer",
    status_code=201,
    responses=problems(CorrectionNotFound, CorrectionOver, CorrectionInvalid, RowsMissing),
)
async def answer(correction_id: UUID, body: CorrectionAnswerIn, who: Steward, tx: Tx, request: Request) -> CorrectionOut:
    """Answer a correction request as its provider: corrected by a batch, or not, with reasons."""
    given = commands.Answer(body.outcome, body.reason, body.batch_id, body.approved_by)
    [found] = await _out(tx, await commands.answer(tx, request.state.objects, correction_id, given, by=who, now=utc_now()))
    return found


@router.post("/corrections/{correction_id}/withdrawal", status_code=201, responses=problems(CorrectionNotFound, CorrectionOver))
async def withdraw(correction_id: UUID, body: WithdrawalIn, who: Steward, tx: Tx) -> CorrectionOut:
    """Doubt no more, as the requester."""
    [found] = await _out(tx, await commands.withdraw(tx, correction_id, reason=body.reason, by=who, now=utc_now()))
    return found


@router.get("/corrections", responses=problems(CursorInvalid))
async def list_corrections(
    who: Who, tx: Tx, state: State | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Page[CorrectionOut]:
    """List the correction requests the caller's organization filed or has to answer, newest first; the data authority sees all."""
    rows = await store.list_corrections(tx, organization_id=whose(who), state=state, limit=limit + 1, after=after_time(cursor))
    page = cut(rows, limit, lambda row: (row.filed_at, row.correction_id))
    return Page(items=await _out(tx, *page.items), next_cursor=page.next_cursor)


@router.get("/corrections/{correction_id}", responses=problems(CorrectionNotFound))
async def get_correction(correction_id: UUID, who: Who, tx: Tx) -> CorrectionOut:
    """Return a correction request to its requester, its provider and the data authority."""
    [found] = await _out(tx, await commands.get_visible(tx, correction_id, who))
    return found
