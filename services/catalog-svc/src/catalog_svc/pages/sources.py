"""The pages of sources: which item a division relies on, cases about them with their steps, and forms with what need not be collected."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from catalog_svc.arbitration import commands as arbitrations
from catalog_svc.arbitration import store as cases
from catalog_svc.arbitration.domain import CaseState
from catalog_svc.arbitration.errors import CaseNotFound
from catalog_svc.claim import store as claims
from catalog_svc.claim.domain import ClaimState
from catalog_svc.duty import store as duties
from catalog_svc.form import store as forms
from catalog_svc.form.errors import FormNotFound
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Viewer, own_only
from catalog_svc.pages.view import Words, plain
from dxmesh_runtime.db import Tx
from dxmesh_runtime.paging import CursorText, after_id, cut

router = APIRouter(include_in_schema=False)


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


@router.get("/arbitrations")
async def list_cases(
    request: Request,
    who: Viewer,
    tx: Tx,
    state: Annotated[Literal["", "open", "decided", "referred", "settled", "withdrawn", "lapsed"], Query()] = "",
    cursor: CursorText = None,
) -> HTMLResponse:
    """Show the arbitration cases: to a department those it is a side of."""
    rows = await cases.list_page(
        tx, of=own_only(who), state=CaseState(state) if state else None, after=after_id(cursor), limit=queries.PAGE_ROWS
    )
    found = cut(rows, queries.PAGE_ROWS, lambda row: row.case_id)
    sides = [side for row in found.items for side in (row.claimant_organization_id, row.holder_organization_id)]
    names = await queries.names_of(tx, organizations=sides, resources=[])
    due = await duties.last_of_cases(tx, [row.case_id for row in found.items])
    return view.render(request, who, "arbitrations.html", "arbitrations", found=found, names=names, due=due, state=state)


@router.get("/arbitrations/{case_id}")
async def show_case(request: Request, case_id: UUID, who: Viewer, tx: Tx) -> HTMLResponse:
    """Show a case: both items, what was said, every step, and by when a decision is owed."""
    try:
        row = await arbitrations.get_visible(tx, case_id, by=who)
    except CaseNotFound:
        return view.missing(request, who, "arbitrations", "没有这个仲裁事项 There is no such case")
    went, said = await cases.steps(tx, case_id), await cases.statements(tx, case_id)
    sides = [row.claimant_organization_id, row.holder_organization_id, *(one.organization_id for one in said)]
    names = await queries.names_of(tx, organizations=sides, resources=[row.claimant_resource_id, row.holder_resource_id])
    due = (await duties.last_of_cases(tx, [case_id])).get(case_id)
    return view.render(request, who, "arbitration.html", "arbitrations", row=row, steps=went, said=said, names=names, due=due)


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
