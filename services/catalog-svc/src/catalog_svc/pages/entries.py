"""The form of a resource's entry: its fields and items entered, and changed as the next version's draft."""

import asyncio
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.pages import queries, resources, view
from catalog_svc.pages.access import Posted, Sent, Viewer
from catalog_svc.pages.fields import Form, Values, body_of, flat, refusals, removed, renumbered
from catalog_svc.resource import commands, rules, store
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.errors import RevisionPassed
from catalog_svc.resource.routes import Scheme
from catalog_svc.step import store as steps
from catalog_svc.step.domain import StepKind
from catalog_svc.taxonomy import store as taxonomies
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now

router = APIRouter(include_in_schema=False, prefix="/resources")
_MOST_CHOICES = 1_000
_HISTORY = 200
_NEW: Values = {
    "/update_cycle": ["MONTHLY"],
    "/open_type": ["CLOSED"],
    "/items/0/data_type": ["C"],
    "/items/0/sharing_type": ["UNCONDITIONAL"],
    "/items/0/open_type": ["UNCONDITIONAL"],
    "/items/0/data_level": ["1"],
}
_NOT_YOURS = "资源由提供方数据管理员或数据主管部门登记 Resources are entered by the provider's steward or the data authority"


@router.get("/new")
async def ask(request: Request, who: Viewer, tx: Tx, system: UUID | None = None) -> Response:
    """Show the form of a resource to enter."""
    values = _NEW | ({"/system_id": [str(system)]} if system is not None else {})
    return await _form(request, tx, who, Form("entry", values), None)


@router.post("/new")
async def create(request: Request, sent: Sent, scheme: Scheme, tx: Tx) -> Response:
    """Enter a resource as a draft."""
    form = _sent(sent)
    if not sent.control("row"):
        async with refusals(tx, form):
            row = await commands.create(tx, Definition.model_validate(_body(form.values)), by=sent.who, now=utc_now(), scheme=scheme)
            return view.done(f"/dashboard/resources/{row.resource_id}")
    return await _form(request, tx, sent.who, form, None)


@router.get("/{resource_id}/entry")
async def edit(request: Request, resource_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show a resource's entry to change, with the faults it was returned for at their fields."""
    row = await resources.find_visible(tx, resource_id, who)
    if row is None:
        return view.missing(request, who, resources.HERE, "没有这个数据资源 There is no such resource")
    entry = _latest(row)
    form = Form("entry", _values(entry) | {"revision": [str(row.revision)], "read": [entry.model_dump_json()]})
    returned = await steps.last(tx, resource_id, StepKind.RETURNED.value)
    if returned is not None and returned.revision == row.revision:
        form.blame((returned.detail or {}).get("faults", ()))
    return await _form(request, tx, who, form, row)


@router.post("/{resource_id}/entry")
async def replace(request: Request, resource_id: UUID, sent: Sent, scheme: Scheme, tx: Tx) -> Response:
    """Write the next version as a draft, on the revision the form was made on."""
    form = _sent(sent)
    if not sent.control("row"):
        async with refusals(tx, form):
            entry = Definition.model_validate(_body(form.values))
            await commands.replace(tx, resource_id, entry, by=sent.who, revisions=sent.revisions, now=utc_now(), scheme=scheme)
            return view.done(f"/dashboard/resources/{resource_id}")
    row = await resources.find_visible(tx, resource_id, sent.who)
    if row is None:
        return view.missing(request, sent.who, resources.HERE, "没有这个数据资源 There is no such resource")
    return await _form(request, tx, sent.who, form, row)


async def _form(request: Request, tx: AsyncSession, who: Principal, form: Form, row: store.Resource | None) -> Response:
    may = who.has("authority") or who.has("steward") if row is None else commands.may_edit(who, row.organization_id)
    if not may:
        return view.forbidden(request, who, resources.HERE, _NOT_YOURS)
    passed = None
    if row is not None and isinstance(form.problem, RevisionPassed):
        passed = resources.passed(form, row, list(await steps.list_of(tx, row.resource_id, after=None, limit=_HISTORY))[::-1])
        # what differs has been shown: the next attempt is made on what is there now
        form.values |= {"revision": [str(row.revision)], "read": [_latest(row).model_dump_json()]}
    own = None if who.has("authority") else who.organization_id
    return await asyncio.to_thread(  # a thousand items take a second and more, in which others are to be answered
        view.render,
        request,
        who,
        "entry_form.html",
        resources.HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        passed=passed,
        databases=await _databases(tx, form),
        systems=await queries.systems_taking(tx, of=row.organization_id if row is not None else own, limit=_MOST_CHOICES),
    )


async def _databases(tx: AsyncSession, form: Form) -> dict[str, str]:
    """Return the databases and warehouses a resource may belong to, and those the form names whatever became of them."""
    rows = await taxonomies.list_page(tx, kind=None, q=None, parent=None, lead=None, retired_too=False, after=None, limit=_MOST_CHOICES)
    return {code: code for code in form.chosen("/taxonomies/-")} | {row.code: row.name for row in rows}


def _latest(row: store.Resource) -> Settled:
    return Settled.model_validate(row.draft if row.draft is not None else row.definition)


def _sent(sent: Posted) -> Form:
    """Return the form that was sent, its items counted anew."""
    row = sent.control("row")
    number = removed(row)
    return Form("entry", renumbered(sent.values, "items", told_by=("code", "name"), without=number, one_more=row == "add"))


def _values(entry: Settled) -> Values:
    """Return an entry as its form's fields; items say themselves whether they belong to the key.

    What follows from the items is left open, so that it goes on following from them.
    """
    values = flat(entry.model_dump(mode="json", exclude_none=True))
    if entry.sharing_type is rules.strictest([item.sharing_type for item in entry.items]):
        del values["/sharing_type"]
    if entry.data_level == max(item.data_level for item in entry.items):
        del values["/data_level"]
    return values | {f"/items/{number}/in_key": ["true"] for number, item in enumerate(entry.items) if item.code in entry.key}


def _body(values: Values) -> dict[str, Any]:
    """Return the definition a form stands for; the key keeps its order, and what was ticked anew comes last."""
    body = body_of(values)
    items = [item for item in body.get("items", ()) if isinstance(item, dict)] if isinstance(body.get("items"), list) else []
    ticked = [str(item.get("code", "")).strip() for item in items if item.pop("in_key", None) == "true"]
    before = body.pop("key", [])
    key = [*(code for code in before if code in ticked), *(code for code in ticked if code not in before)]
    return body | {"key": key}
