"""What readers do with a resource on its page: submit, approve, return, publish, withdraw; a refusal is shown on that page."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from catalog_svc.deadlines import Deadlines
from catalog_svc.pages import resources, view
from catalog_svc.pages.access import Sent
from catalog_svc.pages.fields import Form, body_of, refusals, removed, renumbered
from catalog_svc.resource import commands as resource_commands
from catalog_svc.resource.routes import PublicUrl, WithdrawalIn
from catalog_svc.step import commands
from catalog_svc.step.errors import NoticeTooShort
from catalog_svc.step.routes import ApprovalIn, PublicationIn, PublicationPolicy, ReturnIn, SubmissionIn
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_schemas.problem import Forbidden

router = APIRouter(include_in_schema=False, prefix="/resources/{resource_id}")


@router.post("/submission")
async def submit(request: Request, resource_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Hand the draft in for approval (the provider's steward)."""
    form = Form("submission", sent.values)
    async with refusals(tx, form):
        body = SubmissionIn.model_validate(body_of(sent.values))
        await commands.submit(tx, resource_id, reason=body.reason, by=sent.who, revisions=sent.revisions, now=utc_now())
        return view.done(f"/dashboard/resources/{resource_id}")
    return await resources.show(request, tx, resource_id, sent.who, refused=form)


@router.post("/approval")
async def approve(request: Request, resource_id: UUID, sent: Sent, deadlines: Deadlines, tx: Tx) -> Response:
    """Approve what was submitted, with the two assessments (the provider's CDO)."""
    form = Form("approval", sent.values)
    async with refusals(tx, form):
        # a part of which nothing was said is there, so that its fields are named and not the part
        parts: dict[str, Any] = {"secrecy_risk": {}, "personal_information": {}}
        body = ApprovalIn.model_validate(parts | body_of(sent.values))
        await commands.approve(
            tx,
            resource_id,
            assessments=body.model_dump(mode="json", include={"secrecy_risk", "personal_information"}),
            reason=body.reason,
            by=sent.who,
            revisions=sent.revisions,
            deadlines=deadlines,
            now=utc_now(),
        )
        return view.done(f"/dashboard/resources/{resource_id}")
    return await resources.show(request, tx, resource_id, sent.who, refused=form)


@router.post("/return")
async def give_back(request: Request, resource_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Return the draft with its faults (the provider's CDO, the data authority)."""
    row = sent.control("row")
    number = removed(row)
    values = renumbered(sent.values, "faults", told_by=("detail", "pointer"), without=number, one_more=row == "add")
    form = Form("return", values)
    if row:  # a browser without scripts asks for one more line, or one less
        return await resources.show(request, tx, resource_id, sent.who, refused=form)
    async with refusals(tx, form):
        body = ReturnIn.model_validate(body_of(values))
        faults = [fault.model_dump() for fault in body.faults]
        await commands.give_back(tx, resource_id, reason=body.reason, faults=faults, by=sent.who, revisions=sent.revisions, now=utc_now())
        return view.done(f"/dashboard/resources/{resource_id}")
    return await resources.show(request, tx, resource_id, sent.who, refused=form)


@router.post("/publish")
async def publish(request: Request, resource_id: UUID, sent: Sent, policy: PublicationPolicy, public_url: PublicUrl, tx: Tx) -> Response:
    """Put the approved draft in force, or announce it where it breaks what grants rely on (the data authority)."""
    form = Form("publish", sent.values)
    async with refusals(tx, form, {NoticeTooShort: "/notice_days"}):
        if not sent.who.has("authority"):
            raise Forbidden("resources are published by the data authority (role authority)")
        body = PublicationIn.model_validate(body_of(sent.values))
        await commands.publish(
            tx,
            resource_id,
            reason=body.reason,
            notice_days=body.notice_days,
            by=sent.who,
            revisions=sent.revisions,
            policy=policy,
            public_url=public_url,
            now=utc_now(),
        )
        return view.done(f"/dashboard/resources/{resource_id}")
    return await resources.show(request, tx, resource_id, sent.who, refused=form)


@router.post("/withdrawal")
async def withdraw(request: Request, resource_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Take a resource out of force for good, with the reason (its steward, the data authority)."""
    form = Form("withdrawal", sent.values)
    async with refusals(tx, form):
        body = WithdrawalIn.model_validate(body_of(sent.values))
        await resource_commands.withdraw(tx, resource_id, reason=body.reason, by=sent.who, revisions=sent.revisions, now=utc_now())
        return view.done(f"/dashboard/resources/{resource_id}")
    return await resources.show(request, tx, resource_id, sent.who, refused=form)
