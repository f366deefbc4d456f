"""What a scenario authorizes: written in a form, approved on its entry's page and taken back there."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.pages import lists, queries, view
from catalog_svc.pages.access import Posted, Sent, Viewer
from catalog_svc.pages.fields import Form, Values, body_of, flat, refusals
from catalog_svc.resource import store as resources
from catalog_svc.sharing_list import approving, commands, routes, store
from catalog_svc.sharing_list.domain import EntryChange, KeptKind
from catalog_svc.sharing_list.errors import ListEntryNotFound
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now

router = APIRouter(include_in_schema=False, prefix="/lists/scenario")
_Decision = Callable[..., Awaitable[store.ListEntry]]
_HERE = "lists"
_DATA, _WHO = "/scenario/data", "/scenario/requesters/organization_ids"
_BLANK_ROWS = 2
_NOT_THERE = "没有这个条目 There is no such entry"
_NOT_YOURS = "条款由责任部门数据管理员或数据主管部门填写 Terms are written by stewards of the owner and the data authority"
_NOWHERE = UUID(int=0)  # of a code that no resource has: refused at its field


@router.get("/{entry_id}/terms")
async def edit(request: Request, entry_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show the terms of a scenario to write or change."""
    row = await _find(tx, entry_id)
    if row is None:
        return view.missing(request, who, _HERE, _NOT_THERE)
    return await _form(request, tx, who, Form("terms", await _made_on(tx, row)), row)


@router.post("/{entry_id}/terms")
async def write(request: Request, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Write the terms of a scenario, on what the form was made on; others than before have to be approved anew."""
    form = Form("terms", _closed_up(sent.values))
    row = await _find(tx, entry_id)
    if row is None:
        return view.missing(request, sent.who, _HERE, _NOT_THERE)
    async with refusals(tx, form):
        known = {name: getattr(row, name) for name in EntryChange.model_fields}
        entry = EntryChange.model_validate(known | {"scenario": await _terms(tx, form.values, row)})
        await routes.change(KeptKind.SCENARIO, entry_id, entry, sent.who, sent.revisions, tx, Response())
        return view.done(f"/dashboard/lists/scenario/{entry_id}")
    return await _form(request, tx, sent.who, form, row)


@router.post("/{entry_id}/approval")
async def approve(request: Request, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Approve a scenario as the page showed it: the data authority, or the CDO of a department that provides its data."""
    return await _decide(request, tx, entry_id, sent, "approve", approving.approve)


@router.post("/{entry_id}/revocation")
async def revoke(request: Request, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Take the reader's approval back; the scenario grants nothing more from then on."""
    return await _decide(request, tx, entry_id, sent, "revoke", approving.revoke)


async def _decide(request: Request, tx: AsyncSession, entry_id: UUID, sent: Posted, name: str, decision: _Decision) -> Response:
    form = Form(name, sent.values)
    async with refusals(tx, form):
        await decision(tx, entry_id, by=sent.who, versions=sent.revisions, now=utc_now())
        return view.done(f"/dashboard/lists/scenario/{entry_id}")
    return await lists.show(request, tx, KeptKind.SCENARIO, entry_id, sent.who, refused=form)


async def _find(tx: AsyncSession, entry_id: UUID) -> store.ListEntry | None:
    try:
        return await store.get(tx, KeptKind.SCENARIO, entry_id)
    except ListEntryNotFound:
        return None


def _closed_up(values: Values) -> Values:
    """Return a form's fields with the rows that were left blank taken out, so that faults stand at the rows that were sent."""
    found = {name: said for name, said in values.items() if not name.startswith((f"{_DATA}/", f"{_WHO}/"))}
    for part in (_DATA, _WHO):
        rows: dict[str, Values] = {}
        for name, said in values.items():
            if name.startswith(f"{part}/") and said[0].strip():
                number, _, field = name.removeprefix(f"{part}/").partition("/")
                rows.setdefault(number, {})[field] = said
        for at, row in enumerate(rows.values()):
            found |= {f"{part}/{at}/{field}".rstrip("/"): said for field, said in row.items()}
    return found


async def _terms(tx: AsyncSession, values: Values, row: store.ListEntry) -> dict[str, Any]:
    """Return the terms that a form says; how they narrow what is asked for stays, as no field shows it."""
    said: dict[str, Any] = body_of(values).get("scenario", {})
    data: list[dict[str, Any]] = said.get("data", [])
    codes = await store.resources_by_code(tx, [one["resource_id"] for one in data if "resource_id" in one], [])
    for one in data:
        if "resource_id" in one:
            one["resource_id"] = codes[one["resource_id"]][0] if one["resource_id"] in codes else _NOWHERE
        one["items"] = str(one.get("items", "")).replace(",", " ").split()
    narrowed = (row.scenario or {}).get("terms")
    return {"purposes": [], "requesters": {}, **said, "data": data} | ({"terms": narrowed} if narrowed else {})


async def _made_on(tx: AsyncSession, row: store.ListEntry) -> Values:
    """Return the terms as their form's fields."""
    terms = {**row.scenario} if row.scenario is not None else {}
    terms.pop("terms", None)
    data = [dict(one) for one in terms.get("data", ())]
    for one in data:
        if one.get("resource_id"):
            one["resource_id"] = (await resources.get(tx, UUID(one["resource_id"]))).resource_code
        one["items"] = " ".join(one.get("items", ()))
    who = dict(terms.get("requesters", {}))
    chosen = {str(number): one for number, one in enumerate(who.pop("organization_ids", ()))}
    values = flat({"scenario": terms | {"data": data, "requesters": who | {"organization_ids": chosen}}})
    return values | {"revision": [str(row.version)]}


async def _form(request: Request, tx: AsyncSession, who: Principal, form: Form, row: store.ListEntry) -> Response:
    if not commands.keeps(who, row.organization_id):
        return view.forbidden(request, who, _HERE, _NOT_YOURS)
    return view.render(
        request,
        who,
        "scenario_form.html",
        _HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        refused=form if form.problem is not None else None,
        new_form=Form,
        lines=range(_count(form, _DATA) + _BLANK_ROWS),
        names=range(_count(form, _WHO) + _BLANK_ROWS),
        organizations={str(one[0]): one[1] for one in await queries.owners(tx, limit=1_000)},
    )


def _count(form: Form, part: str) -> int:
    return len({name.removeprefix(f"{part}/").partition("/")[0] for name in form.values if name.startswith(f"{part}/")})
