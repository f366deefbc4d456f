"""A draft's way into force over HTTP: submission, approval, return, publication, and what they change."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from catalog_svc.deadlines import Deadlines
from catalog_svc.etag import IfCounted
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization.errors import PaperNotGood
from catalog_svc.resource import commands as resources
from catalog_svc.resource import shapes
from catalog_svc.resource.diff import Diff
from catalog_svc.resource.errors import IllegalTransition, ResourceInvalid, ResourceNameTaken, ResourceNotFound, RevisionPassed
from catalog_svc.resource.routes import PublicUrl
from catalog_svc.resource.shapes import ResourceOut
from catalog_svc.step import commands, store
from catalog_svc.step.domain import Policy, StepKind
from catalog_svc.step.errors import ApprovalInvalid, NoticeTooShort, ReturnInvalid
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_number, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog_events import TouchedGrant
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Paragraph, Reason

router = APIRouter(prefix="/v1/resources/{resource_id}", tags=["publication"], dependencies=[Depends(json_body)])
_MOST_NOTICE_DAYS = 3650


async def _policy(request: Request) -> Policy:
    policy: Policy = request.state.publication_policy
    return policy


PublicationPolicy = Annotated[Policy, Depends(_policy)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmissionIn(_In):
    """What the steward says of a draft that is handed in."""

    reason: Paragraph | None = None


class SecrecyIn(_In):
    """保密风险评估: whether secrets could get out."""

    outcome: Literal["passed", "failed"]
    assessed_by: Name
    assessed_on: date | None = None
    note: Paragraph | None = None


class PersonalInformationIn(_In):
    """个人信息保护影响评估 (PIPL Art. 55): `none` when there is no personal information."""

    outcome: Literal["none", "passed", "failed"]
    assessed_by: Name
    assessed_on: date | None = None
    note: Paragraph | None = None


class ApprovalIn(_In):
    """The two assessments an approval rests on (GDSR Art. 13)."""

    secrecy_risk: SecrecyIn
    personal_information: PersonalInformationIn
    reason: Paragraph | None = None


class FaultIn(_In):
    """Something to be corrected, and where: a JSON pointer into the entry."""

    pointer: Annotated[str, StringConstraints(pattern=r"^(/[^/]{1,100}){1,6}$")]
    detail: Reason


class ReturnIn(_In):
    """Why a draft goes back, with all its faults at once (GDSR Art. 21: 一次性告知)."""

    reason: Reason
    faults: Annotated[list[FaultIn], Field(max_length=200)] = []


class PublicationIn(_In):
    """The review's opinion, and a longer notice than the policy's where grants are touched."""

    reason: Paragraph | None = None
    notice_days: Annotated[int | None, Field(ge=0, le=_MOST_NOTICE_DAYS)] = None


class Fault(BaseModel):
    """A fault of a notice."""

    pointer: str
    detail: str


class StepOut(BaseModel):
    """One step of a resource: who did what, in which role, why and when; assessments and faults where it had any."""

    revision: int
    version: int
    step: StepKind
    by: str
    role: str
    reason: str | None
    at: datetime
    assessments: dict[str, dict[str, Any]] | None = None
    faults: list[Fault] | None = None
    effective_at: datetime | None = None
    grants: list[UUID] | None = None


class DraftDiff(Diff):
    """What a draft changes, the grants it touches, and for how many days it is announced before it comes in force (0: at once)."""

    grants: list[TouchedGrant]
    notice_days: int


_WAY = (ResourceNotFound, IllegalTransition, RevisionPassed, Forbidden)


@router.post("/submission", responses=problems(*BODY_PROBLEMS, *_WAY, ResourceInvalid, ResourceNameTaken, PaperNotGood))
async def submit(
    resource_id: UUID, who: Who, revisions: IfCounted, public_url: PublicUrl, tx: Tx, response: Response, body: SubmissionIn | None = None
) -> ResourceOut:
    """Hand the draft in for approval (the provider's steward)."""
    reason = body.reason if body is not None else None
    row = await commands.submit(tx, resource_id, reason=reason or None, by=who, revisions=revisions, now=utc_now())
    return await shapes.out(tx, row, who, public_url, response)


@router.post("/approval", responses=problems(*BODY_PROBLEMS, *_WAY, ApprovalInvalid))
async def approve(
    resource_id: UUID,
    body: ApprovalIn,
    who: Who,
    revisions: IfCounted,
    public_url: PublicUrl,
    deadlines: Deadlines,
    tx: Tx,
    response: Response,
) -> ResourceOut:
    """Approve what was submitted (the provider's CDO); with If-Match only the revision that was read."""
    assessments = body.model_dump(mode="json", include={"secrecy_risk", "personal_information"})
    row = await commands.approve(
        tx,
        resource_id,
        assessments=assessments,
        reason=body.reason or None,
        by=who,
        revisions=revisions,
        deadlines=deadlines,
        now=utc_now(),
    )
    return await shapes.out(tx, row, who, public_url, response)


@router.post("/return", responses=problems(*BODY_PROBLEMS, *_WAY, ReturnInvalid))
async def give_back(
    resource_id: UUID, body: ReturnIn, who: Who, revisions: IfCounted, public_url: PublicUrl, tx: Tx, response: Response
) -> ResourceOut:
    """Return the draft for correction (the provider's CDO, the data authority); an announced version is called off."""
    faults = [fault.model_dump() for fault in body.faults]
    row = await commands.give_back(tx, resource_id, reason=body.reason, faults=faults, by=who, revisions=revisions, now=utc_now())
    return await shapes.out(tx, row, who, public_url, response)


@router.post("/publish", responses=problems(*BODY_PROBLEMS, *_WAY, ResourceInvalid, ResourceNameTaken, PaperNotGood, NoticeTooShort))
async def publish(
    resource_id: UUID,
    who: Authority,
    revisions: IfCounted,
    policy: PublicationPolicy,
    public_url: PublicUrl,
    tx: Tx,
    response: Response,
    body: PublicationIn | None = None,
) -> ResourceOut:
    """Put the approved draft in force (the data authority), or announce it when it breaks what grants rely on."""
    body = body or PublicationIn()
    row = await commands.publish(
        tx,
        resource_id,
        reason=body.reason or None,
        notice_days=body.notice_days,
        by=who,
        revisions=revisions,
        policy=policy,
        public_url=public_url,
        now=utc_now(),
    )
    return await shapes.out(tx, row, who, public_url, response)


@router.get("/draft/diff", responses=problems(ResourceNotFound))
async def get_draft_diff(resource_id: UUID, who: Who, policy: PublicationPolicy, tx: Tx) -> DraftDiff:
    """Return what the draft changes of the version in force, and whom; once announced, anyone may read it."""
    coming = await commands.preview(tx, resource_id, by=who, now=utc_now())
    found = coming.diff
    return DraftDiff(
        breaking=found.breaking,
        fields=found.fields,
        items=found.items,
        grants=list(coming.touched),
        notice_days=policy.notice_days if coming.touched else 0,
    )


@router.get("/steps", responses=problems(ResourceNotFound, Forbidden, CursorInvalid))
async def list_steps(resource_id: UUID, who: Who, tx: Tx, limit: Limit = 50, cursor: CursorText = None) -> Page[StepOut]:
    """List the steps a resource has gone, oldest first (its provider and the data authority)."""
    row = await resources.get_visible(tx, resource_id, by=who)
    if not resources.reads_draft(who, row.organization_id):
        raise Forbidden("the steps of a resource are read by its provider and the data authority; its versions by all")
    page = cut(await store.list_of(tx, resource_id, after=after_number(cursor), limit=limit), limit, lambda step: step.revision)
    return Page(items=[_step(step) for step in page.items], next_cursor=page.next_cursor)


def _step(row: store.ResourceStep) -> StepOut:
    known = {name: getattr(row, name) for name in ("revision", "version", "step", "by", "role", "reason", "at")}
    return StepOut.model_validate(known | (row.detail or {}))
