"""Duties over HTTP."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.deadlines import Deadlines
from catalog_svc.duty import commands, domain, store
from catalog_svc.duty.domain import Change, Extension, Standing, Step
from catalog_svc.duty.errors import (
    DutyClosed,
    DutyInvalid,
    DutyKnown,
    DutyNotFound,
    DutyOfCase,
    ExtensionAsked,
    ExtensionNotAsked,
    ReviewOfSubmission,
)
from catalog_svc.media import BODY_PROBLEMS, json_body
from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.resource.errors import ResourceNotFound
from dxmesh_clocks.clock import State
from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import RuleName
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Reason

router = APIRouter(prefix="/v1/duties", tags=["duties"], dependencies=[Depends(json_body)])
Version = Annotated[int, Field(ge=1, le=2_147_483_647)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DutyIn(_In):
    """A change of law or of the department's duties; it is about one resource, or about an organization's catalogue."""

    resource_id: UUID | None = None
    organization_id: UUID | None = None
    change: Literal["law", "duties"]
    basis: Annotated[Name | None, Field(description="what was changed, with its number; needed for a change of law")] = None
    reason: Annotated[Reason, Field(description="what has to change in the catalogue")]
    changed_on: Annotated[date, Field(description="the day the change takes effect, from which the working days run")]


class ExtensionIn(_In):
    """Why more time is needed."""

    days: Annotated[int | None, Field(description="working days; all that the rule allows when left out")] = None
    reason: Reason


class DecisionIn(_In):
    """The data authority's answer."""

    outcome: Literal["granted", "refused"]
    reason: Reason


class AnswerIn(_In):
    """Which published version answers the change."""

    resource_id: UUID
    version: Version
    reason: Reason


class CancellationIn(_In):
    """Why the duty is taken back."""

    reason: Reason


class StepOut(BaseModel):
    """What happened to a duty."""

    model_config = ConfigDict(from_attributes=True)
    step: Step
    by: str
    reason: str
    at: datetime
    details: dict[str, Any]


class DutyHead(BaseModel):
    """A duty, as it stands today."""

    duty_id: UUID
    rule: RuleName
    source: str
    responsible: Literal["provider", "authority"]
    organization_id: UUID
    organization_name: str
    resource_id: UUID | None
    resource_name: str | None
    case_id: Annotated[UUID | None, Field(description="the arbitration case it is the deadline of")]
    change: Change
    basis: str | None
    reason: str
    registered_at: datetime
    registered_by: str
    state: Annotated[State | Literal["cancelled"], Field(description="`missed` stays, also when it is done later")]
    is_approaching: bool
    started_on: Annotated[date, Field(description="not counted")]
    days: int
    extension: Extension | None
    extension_asked_days: int | None
    extension_days: int
    due_on: Annotated[date, Field(description="the last day in time, in China")]
    days_left: Annotated[int | None, Field(description="working days; negative when overdue, null when closed")]
    assumed_years: Annotated[list[int], Field(description="years counted Monday to Friday, as their holidays are not announced")]
    met_at: datetime | None
    met_by: str | None
    met_resource_id: UUID | None
    met_version: int | None
    cancelled_at: datetime | None


class DutyOut(DutyHead):
    """A duty with what happened to it."""

    steps: list[StepOut]


def _head(row: store.Named, now: datetime) -> dict[str, Any]:
    duty, organization, resource_name = row
    clock, today = duty.clock, day_of(now)
    own = {name: getattr(duty, name) for name in DutyHead.model_fields if name in store.Duty.__table__.columns}
    return own | {
        "source": clock.rule.source,
        "responsible": domain.responsible(RuleName(duty.rule)),
        "organization_name": organization.name,
        "resource_name": resource_name,
        "state": "cancelled" if duty.cancelled_at is not None else clock.state(today),
        "is_approaching": duty.is_open and clock.is_approaching(today),
        "days": clock.rule.days,
        "days_left": clock.days_left(today) if duty.is_open else None,
    }


async def _out(tx: Tx, duty_id: UUID, now: datetime) -> DutyOut:
    await tx.flush()
    steps: Sequence[store.DutyStep] = await store.list_steps(tx, duty_id)
    return DutyOut(**_head(await store.named(tx, duty_id), now), steps=[StepOut.model_validate(step) for step in steps])


@router.post(
    "",
    status_code=201,
    responses=problems(*BODY_PROBLEMS, DutyInvalid, DutyKnown, OrganizationNotFound, ResourceNotFound, Forbidden),
)
async def register(body: DutyIn, who: Who, deadlines: Deadlines, tx: Tx, response: Response) -> DutyOut:
    """Register a change of law or duties: the provider's catalogue is due within the policy's working days."""
    now = utc_now()
    row = await commands.register(
        tx,
        deadlines,
        organization_id=body.organization_id,
        resource_id=body.resource_id,
        change=Change(body.change),
        basis=body.basis,
        reason=body.reason,
        changed_on=body.changed_on,
        by=who,
        now=now,
    )
    response.headers["Location"] = f"/v1/duties/{row.duty_id}"
    return await _out(tx, row.duty_id, now)


@router.get("", responses=problems(CursorInvalid, Forbidden))
async def list_duties(
    who: Who,
    tx: Tx,
    state: Annotated[Standing | None, Query(description="`missed`: overdue, or done late; `met`: done in time")] = None,
    organization: Annotated[UUID | None, Query(description="organization id")] = None,
    resource: Annotated[UUID | None, Query(description="resource id")] = None,
    rule: Annotated[Literal["catalogue_update", "catalogue_review", "arbitration"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[DutyHead]:
    """List duties, those due first coming first; the authority, operators and auditors see those of all organizations."""
    now, own = utc_now(), commands.reads_of(who)
    if own is not None and organization not in (None, own):
        return Page(items=[], next_cursor=None)
    rows = await store.list_page(
        tx,
        of=own or organization,
        resource_id=resource,
        rule=rule,
        standing=state,
        now=now,
        after=after_time(cursor),
        limit=limit,
    )
    page = cut(rows, limit, lambda row: (row[0].missed_at, row[0].duty_id))
    return Page(items=[DutyHead(**_head(row, now)) for row in page.items], next_cursor=page.next_cursor)


@router.get("/{duty_id}", responses=problems(DutyNotFound, Forbidden))
async def get_duty(duty_id: UUID, who: Who, tx: Tx) -> DutyOut:
    """Return a duty with what happened to it."""
    await store.get(tx, duty_id, of=commands.reads_of(who))
    return await _out(tx, duty_id, utc_now())


@router.post(
    "/{duty_id}/extension",
    responses=problems(*BODY_PROBLEMS, DutyNotFound, DutyClosed, ClockRefused, ExtensionAsked, DutyInvalid, Forbidden),
)
async def ask_extension(duty_id: UUID, body: ExtensionIn, who: Who, tx: Tx) -> DutyOut:
    """Ask the data authority for the one extension the regulation allows."""
    now = utc_now()
    await commands.ask_extension(tx, duty_id, days=body.days, reason=body.reason, by=who, now=now)
    return await _out(tx, duty_id, now)


@router.post(
    "/{duty_id}/extension/decision",
    responses=problems(*BODY_PROBLEMS, DutyNotFound, DutyClosed, ClockRefused, ExtensionNotAsked, Forbidden),
)
async def decide_extension(duty_id: UUID, body: DecisionIn, who: Authority, tx: Tx) -> DutyOut:
    """Consent to an extension, or refuse it (the data authority)."""
    now = utc_now()
    await commands.decide_extension(tx, duty_id, outcome=Extension(body.outcome), reason=body.reason, by=who, now=now)
    return await _out(tx, duty_id, now)


@router.post(
    "/{duty_id}/answer",
    responses=problems(*BODY_PROBLEMS, DutyNotFound, DutyClosed, ReviewOfSubmission, DutyOfCase, DutyInvalid, Forbidden),
)
async def answer(duty_id: UUID, body: AnswerIn, who: Who, tx: Tx) -> DutyOut:
    """Say which published version answers the change; a later version of the duty's own resource does so by itself."""
    now = utc_now()
    await commands.answer(tx, duty_id, resource_id=body.resource_id, version=body.version, reason=body.reason, by=who, now=now)
    return await _out(tx, duty_id, now)


@router.post(
    "/{duty_id}/cancellation", responses=problems(*BODY_PROBLEMS, DutyNotFound, DutyClosed, ReviewOfSubmission, DutyOfCase, Forbidden)
)
async def cancel(duty_id: UUID, body: CancellationIn, who: Authority, tx: Tx) -> DutyOut:
    """Take back a duty registered by mistake (the data authority)."""
    now = utc_now()
    await commands.cancel(tx, duty_id, reason=body.reason, by=who, now=now)
    return await _out(tx, duty_id, now)
