"""The pages of arbitration: cases with their steps, opened, argued, decided by the authority, objected to and taken back."""

from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.arbitration import commands, domain, routes
from catalog_svc.arbitration import store as cases
from catalog_svc.arbitration.domain import CaseState
from catalog_svc.arbitration.errors import CaseNotFound, CaseOpen, NothingToArbitrate
from catalog_svc.arbitration.routes import CaseIn, DecisionIn, ObjectionIn, StatementIn, WithdrawalIn
from catalog_svc.deadlines import Deadlines
from catalog_svc.duty import store as duties
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Sent, Viewer, own_only
from catalog_svc.pages.fields import Form, body_of, refusals
from catalog_svc.pages.resources import find_visible
from catalog_svc.resource.commands import may_edit
from catalog_svc.resource.definition import Settled
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorText, after_id, cut
from dxmesh_schemas.problem import Forbidden, Problem

router = APIRouter(include_in_schema=False, prefix="/arbitrations")
_HERE = "arbitrations"
_NOT_THERE = "没有这个仲裁事项 There is no such case"
_NOT_YOURS = "仲裁由申请方数据管理员或数据主管部门提出 Cases are opened by the claimant's steward or the data authority"


@router.get("")
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
    return view.render(request, who, "arbitrations.html", _HERE, found=found, names=names, due=due, state=state)


@router.get("/new")
async def ask(request: Request, who: Viewer, tx: Tx, resource: UUID, item: str) -> Response:
    """Show the form that brings an item before the authority."""
    return await _opening(request, tx, who, Form("case", {"/resource_id": [str(resource)], "/item": [item]}))


@router.post("/new")
async def open_case(request: Request, sent: Sent, deadlines: Deadlines, tx: Tx) -> Response:
    """Bring an item that was refused as a source before the data authority."""
    form = Form("case", sent.values)
    async with refusals(tx, form, {CaseOpen: "/item", NothingToArbitrate: "/item"}):
        body = CaseIn.model_validate(body_of(sent.values))
        row = await commands.open_case(tx, deadlines, body.resource_id, body.item, statement=body.statement, by=sent.who, now=utc_now())
        return view.done(f"/dashboard/arbitrations/{row.case_id}")
    return await _opening(request, tx, sent.who, form)


@router.get("/{case_id}")
async def show_case(request: Request, case_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show a case: both items, what was said, every step, by when a decision is owed, what to do next."""
    return await _show(request, tx, case_id, who)


@router.post("/{case_id}/statements")
async def add_statement(request: Request, case_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Add what the sender's organization says."""
    form = Form("statement", sent.values)
    async with refusals(tx, form):
        await routes.add_statement(case_id, StatementIn.model_validate(body_of(sent.values)), sent.who, tx)
        return view.done(f"/dashboard/arbitrations/{case_id}")
    return await _show(request, tx, case_id, sent.who, refused=form)


@router.post("/{case_id}/decision")
async def decide(request: Request, case_id: UUID, sent: Sent, deadlines: Deadlines, tx: Tx) -> Response:
    """Decide a case (the data authority), or enter what the people's government decided on objection."""
    form = Form("decision", sent.values)
    async with refusals(tx, form):
        await commands.get_visible(tx, case_id, by=sent.who)
        _refuse_others(sent.who)
        await routes.decide(case_id, DecisionIn.model_validate(body_of(sent.values)), sent.who, deadlines, tx)
        return view.done(f"/dashboard/arbitrations/{case_id}")
    return await _show(request, tx, case_id, sent.who, refused=form)


@router.post("/{case_id}/objection")
async def object_to(request: Request, case_id: UUID, sent: Sent, deadlines: Deadlines, tx: Tx) -> Response:
    """Object to a decision that went against the sender's organization."""
    form = Form("objection", sent.values)
    async with refusals(tx, form):
        await routes.object_to(case_id, ObjectionIn.model_validate(body_of(sent.values)), sent.who, deadlines, tx)
        return view.done(f"/dashboard/arbitrations/{case_id}")
    return await _show(request, tx, case_id, sent.who, refused=form)


@router.post("/{case_id}/withdrawal")
async def withdraw(request: Request, case_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Take back one's case before it is decided, or one's objection."""
    form = Form("withdrawal", sent.values)
    async with refusals(tx, form):
        await routes.withdraw(case_id, WithdrawalIn.model_validate(body_of(sent.values)), sent.who, tx)
        return view.done(f"/dashboard/arbitrations/{case_id}")
    return await _show(request, tx, case_id, sent.who, refused=form)


async def _show(request: Request, tx: AsyncSession, case_id: UUID, who: Principal, *, refused: Form | None = None) -> Response:
    try:
        row = await commands.get_visible(tx, case_id, by=who)
    except CaseNotFound:
        return view.missing(request, who, _HERE, _NOT_THERE)
    said = await cases.statements(tx, case_id)
    sides = [row.claimant_organization_id, row.holder_organization_id, *(one.organization_id for one in said)]
    return view.render(
        request,
        who,
        "arbitration.html",
        _HERE,
        status=refused.problem.status if refused is not None and refused.problem is not None else 200,
        row=row,
        steps=await cases.steps(tx, case_id),
        said=said,
        names=await queries.names_of(tx, organizations=sides, resources=[row.claimant_resource_id, row.holder_resource_id]),
        due=(await duties.last_of_cases(tx, [case_id])).get(case_id),
        actions=_actions(row, who),
        new_form=Form,
        refused=refused,
    )


def _refuse_others(who: Principal) -> None:
    if not who.has("authority"):
        raise Forbidden("cases are decided by the data authority (role authority)")


def _actions(row: cases.ArbitrationCase, who: Principal) -> list[str]:
    """Return what the reader may do with a case as it stands, by the rules that the commands keep."""

    def refuse_decision() -> None:
        _refuse_others(who)
        domain.refuse_unless_waiting(CaseState(row.state), row.outcome, row.closed_reason)

    ways: dict[str, Callable[[], None]] = {
        "statement": lambda: commands.refuse_statement(row, who),
        "decision": refuse_decision,
        "objection": lambda: commands.refuse_objection(row, who, now=utc_now()),
        "withdrawal": lambda: commands.refuse_withdrawal(row, who),
    }
    found = []
    for name, refuse in ways.items():
        try:
            refuse()
        except Problem:
            continue
        found.append(name)
    return found


async def _opening(request: Request, tx: AsyncSession, who: Principal, form: Form) -> Response:
    try:
        row = await find_visible(tx, UUID(form.value("/resource_id")), who)
    except ValueError:
        row = None
    if row is None:
        return view.missing(request, who, _HERE, "没有这个数据资源 There is no such resource")
    if not may_edit(who, row.organization_id):
        return view.forbidden(request, who, _HERE, _NOT_YOURS)
    entry = Settled.model_validate(row.definition) if row.definition is not None else None
    return view.render(
        request,
        who,
        "arbitration_form.html",
        _HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        items={item.code: f"{item.name} · {item.code}" for item in (entry.items if entry else ())},
    )
