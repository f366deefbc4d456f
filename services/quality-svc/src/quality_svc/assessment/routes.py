"""HTTP of assessments: what the rules said of a batch."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.quality import Outcome, RuleResult
from quality_svc.assessment import commands, store
from quality_svc.assessment.errors import AssessmentNotFound

router = APIRouter(prefix="/v1", tags=["assessments"])


class AssessmentOut(BaseModel):
    """What the rules said of one batch; quarantined_count are the rows that broke at least one."""

    model_config = ConfigDict(from_attributes=True)
    assessment_id: UUID
    batch_id: UUID
    resource_id: UUID
    resource_version: int
    kind: BatchKind
    outcome: Outcome
    reason: str
    received_count: int
    quarantined_count: int
    results: list[RuleResult]
    completed_at: datetime


@router.get("/assessments", response_model=Page[AssessmentOut], responses=problems(CursorInvalid))
async def list_assessments(
    who: Who, tx: Tx, resource_id: UUID | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Slice[store.Assessment]:
    """List the assessments of the caller's batches, newest first; authority and auditors see everyone's."""
    provider_id = None if commands.sees_all(who) else who.own_organization
    after = after_time(cursor)
    rows = await store.list_newest(tx, limit + 1, provider_id=provider_id, resource_id=resource_id, after=after)
    return cut(rows, limit, lambda row: (row.completed_at, row.assessment_id))


@router.get("/assessments/{assessment_id}", response_model=AssessmentOut, responses=problems(AssessmentNotFound))
async def get_assessment(assessment_id: UUID, who: Who, tx: Tx) -> store.Assessment:
    """Return an assessment to the batch's provider."""
    return await commands.get_visible(tx, assessment_id, who)


@router.get("/batches/{batch_id}/assessment", response_model=AssessmentOut, responses=problems(AssessmentNotFound))
async def get_assessment_of_batch(batch_id: UUID, who: Who, tx: Tx) -> store.Assessment:
    """Return a batch's assessment to its provider; 404 until there is one."""
    return await commands.get_visible_by_batch(tx, batch_id, who)
