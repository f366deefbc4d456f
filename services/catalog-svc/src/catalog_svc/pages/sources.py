"""The pages of sources, claimed and given up: which item a division relies on, and forms with what need not be collected."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.claim import commands
from catalog_svc.claim import store as claims
from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.errors import ClaimNotFound, SourceHeld
from catalog_svc.claim.routes import ClaimIn, ReleaseIn
from catalog_svc.form import store as forms
from catalog_svc.form.errors import FormNotFound
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Sent, Viewer, own_only
from catalog_svc.pages.fields import Form, body_of, refusals
from catalog_svc.pages.resources import find_visible
from catalog_svc.pages.view import Words, plain
from catalog_svc.resource.commands import may_edit
from catalog_svc.resource.definition import Settled
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorText, after_id, cut

router = APIRouter(include_in_schema=False)
_NOT_THERE = "没有这个数源 There is no such source"
_NOT_YOURS = "数源由提供方数据管理员或数据主管部门申报 Sources are claimed by the provider's steward or the data authority"


@router.get("/sources")
async def list_claims(
    request: Request, who: Viewer, tx: Tx, q: Words = "", state: Literal["", "held", "released"] = "held", cursor: CursorText = None
) -> HTMLResponse:
    """Show which item of which department is the source a division relies on."""
    text = plain(q)
    rows = await claims.list_page(
        tx,
        division=None,
        organization=None,
        resource=None,
        state=ClaimState(state) if state else None,
        q=text or None,
        after=after_id(cursor),
        limit=queries.PAGE_ROWS,
    )
    found = cut(rows, queries.PAGE_ROWS, lambda row: row.claim_id)
    names = await queries.names_of(
        tx, organizations=[row.organization_id for row in found.items], resources=[row.resource_id for row in found.items]
    )
    return view.render(request, who, "sources.html", "sources", found=found, names=names, q=text, state=state)


@router.get("/sources/new")
async def ask(request: Request, who: Viewer, tx: Tx, resource: UUID, item: str = "") -> Response:
    """Show the form that claims a data element for an item of a resource."""
    return await _claiming(request, tx, who, Form("claim", {"/resource_id": [str(resource)], "/item": [item]}))


@router.post("/sources/new")
async def claim(request: Request, sent: Sent, tx: Tx) -> Response:
    """Claim a data element for an item; sources that may be the same are shown, as somebody should look."""
    form = Form("claim", sent.values)
    async with refusals(tx, form, {SourceHeld: "/item"}):
        body = ClaimIn.model_validate(body_of(sent.values))
        row, _, doubtful = await commands.claim(tx, body.resource_id, body.item, by=sent.who, now=utc_now())
        if not doubtful:
            return view.done(f"/dashboard/sources/{row.claim_id}")
        return await _show(request, tx, row, sent.who, doubtful=[rival.as_dict() for rival in doubtful])
    return await _claiming(request, tx, sent.who, form)


@router.get("/sources/{claim_id}")
async def show_claim(request: Request, claim_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show a source: whose item it is, since when, and what ended it."""
    try:
        return await _show(request, tx, await claims.get(tx, claim_id), who)
    except ClaimNotFound:
        return view.missing(request, who, "sources", _NOT_THERE)


@router.post("/sources/{claim_id}/release")
async def release(request: Request, claim_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Give a source up, with the reason."""
    form = Form("release", sent.values)
    async with refusals(tx, form):
        body = ReleaseIn.model_validate(body_of(sent.values))
        await commands.release(tx, claim_id, reason=body.reason, by=sent.who, now=utc_now())
        return view.done(f"/dashboard/sources/{claim_id}")
    try:
        return await _show(request, tx, await claims.get(tx, claim_id), sent.who, refused=form)
    except ClaimNotFound:
        return view.missing(request, sent.who, "sources", _NOT_THERE)


async def _show(
    request: Request,
    tx: AsyncSession,
    row: claims.SourceClaim,
    who: Principal,
    *,
    refused: Form | None = None,
    doubtful: Sequence[dict[str, Any]] = (),
) -> Response:
    return view.render(
        request,
        who,
        "source.html",
        "sources",
        status=refused.problem.status if refused is not None and refused.problem is not None else 200,
        row=row,
        names=await queries.names_of(tx, organizations=[row.organization_id], resources=[row.resource_id]),
        doubtful=doubtful,
        may_release=row.state == ClaimState.HELD.value and may_edit(who, row.organization_id),
        new_form=Form,
        refused=refused,
    )


async def _claiming(request: Request, tx: AsyncSession, who: Principal, form: Form) -> Response:
    try:
        row = await find_visible(tx, UUID(form.value("/resource_id")), who)
    except ValueError:
        row = None
    if row is None:
        return view.missing(request, who, "sources", "没有这个数据资源 There is no such resource")
    if not may_edit(who, row.organization_id):
        return view.forbidden(request, who, "sources", _NOT_YOURS)
    entry = Settled.model_validate(row.definition) if row.definition is not None else None
    held = {claim.item for claim in await claims.held_of_resource(tx, row.resource_id)}
    return view.render(
        request,
        who,
        "source_form.html",
        "sources",
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        items={
            item.code: f"{item.name} · {item.code}" + (" · 已是数源" if item.code in held else "")
            for item in (entry.items if entry else ())
        },
    )


@router.get("/forms")
async def list_forms(request: Request, who: Viewer, tx: Tx, cursor: CursorText = None) -> HTMLResponse:
    """Show the forms that were compared with the catalogue: to a department its own."""
    rows = await forms.list_page(tx, of=own_only(who), after=after_id(cursor), limit=queries.PAGE_ROWS)
    found = cut(rows, queries.PAGE_ROWS, lambda row: row.form_id)
    names = await queries.names_of(tx, organizations=[row.organization_id for row in found.items], resources=[])
    return view.render(request, who, "forms.html", "forms", found=found, names=names)


@router.get("/forms/{form_id}")
async def show_form(request: Request, form_id: UUID, who: Viewer, tx: Tx) -> HTMLResponse:
    """Show a form with what the catalogue has of each of its items."""
    try:
        row = await forms.get(tx, form_id, of=own_only(who))
    except FormNotFound:
        return view.missing(request, who, "forms", "没有这个表单 There is no such form")
    names = await queries.names_of(tx, organizations=[row.organization_id], resources=[])
    return view.render(request, who, "form.html", "forms", row=row, names=names)
