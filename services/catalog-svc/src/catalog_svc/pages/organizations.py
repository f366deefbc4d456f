"""The pages of organizations: what each is and holds, registering one and changing its entry."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import EntryPassed, tag
from catalog_svc.officer import commands as officer_commands
from catalog_svc.officer import store as officers
from catalog_svc.organization import commands, routes, store
from catalog_svc.organization.domain import day_of
from catalog_svc.organization.errors import OrganizationNotFound, UsccTaken
from catalog_svc.organization.routes import OrganizationChange, OrganizationIn
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Sent, Viewer, own_only
from catalog_svc.pages.fields import Form, Values, body_of, flat, passed, refusals, written
from catalog_svc.pages.view import PageNumber, Words
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_schemas.catalog import OfficerRole
from dxmesh_schemas.problem import Forbidden

router = APIRouter(include_in_schema=False, prefix="/organizations")
HERE = "organizations"
NOT_THERE = "没有这个机构 There is no such organization"
_FOR_AUTHORITY = "机构由数据主管部门登记 Organizations are registered by the data authority"
_MOST_CHOICES = 1_000
_MOST_TERMS = 500
_LEFT_OUT = {"parent_id": None, "licence": None, "contract": None}  # the form offers them: left blank they are none


@router.get("")
async def list_organizations(request: Request, who: Viewer, tx: Tx, q: Words = "", page: PageNumber = 1) -> Response:
    """Show the organizations with what they hold."""
    text = view.plain(q)
    found = await queries.organizations(tx, of=own_only(who), q=text, page=page)
    return view.render(request, who, "organizations.html", HERE, found=found, q=text)


@router.get("/new")
async def ask(request: Request, who: Viewer, tx: Tx) -> Response:
    """Show the form of an organization to register."""
    return await _form(request, tx, who, Form("organization", {"/level": ["city"], "/kind": ["department"]}), None)


@router.post("/new")
async def register(request: Request, sent: Sent, tx: Tx) -> Response:
    """Register an organization (the data authority)."""
    form = Form("organization", sent.values)
    async with refusals(tx, form, {UsccTaken: "/uscc"}):
        _refuse_others(sent.who)
        body = OrganizationIn.model_validate(body_of(sent.values))
        await commands.register(
            tx,
            uscc=body.uscc,
            name=body.name,
            level=body.level,
            division_code=body.division_code,
            kind=body.kind,
            now=utc_now(),
            **body.extras(),
        )
        return view.done(f"/dashboard/organizations?q={body.uscc}")
    return await _form(request, tx, sent.who, form, None)


@router.get("/{organization_id}")
async def show_organization(request: Request, organization_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show an organization: its entry, and who held its offices."""
    return await show(request, tx, organization_id, who)


async def show(request: Request, tx: AsyncSession, organization_id: UUID, who: Principal, *, refused: Form | None = None) -> Response:
    """Render an organization's page; `refused` is the form of an appointment that was not made."""
    row = await store.find(tx, organization_id)
    if row is None:
        return view.missing(request, who, HERE, NOT_THERE)
    terms = await officers.list_page(tx, organization_id=organization_id, role=None, holder=None, on=None, after=None, limit=_MOST_TERMS)
    fillable = [role.value for role in OfficerRole if _fills(who, organization_id, role)]
    today = day_of(utc_now())
    return view.render(
        request,
        who,
        "organization.html",
        HERE,
        status=refused.problem.status if refused is not None and refused.problem is not None else 200,
        row=row,
        above=await store.find(tx, row.parent_id) if row.parent_id is not None else None,
        officers=terms[::-1],
        fillable=fillable,
        ended_by_reader={
            one.officer_id for one in terms if one.role in fillable and one.ended_at is None and (one.until is None or one.until > today)
        },
        new_form=Form,
        refused=refused,
    )


@router.get("/{organization_id}/entry")
async def edit(request: Request, organization_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show an organization's entry to change."""
    row = await store.find(tx, organization_id)
    if row is None:
        return view.missing(request, who, HERE, NOT_THERE)
    return await _form(request, tx, who, Form("organization", _made_on(row)), row)


@router.post("/{organization_id}/entry")
async def change(request: Request, organization_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Change an organization's entry (the data authority), on what the form was made on."""
    form = Form("organization", sent.values)
    async with refusals(tx, form):
        _refuse_others(sent.who)
        body = OrganizationChange.model_validate(_LEFT_OUT | body_of(sent.values))
        await routes.change(organization_id, body, sent.who, sent.tags, tx, Response())
        return view.done(f"/dashboard/organizations/{organization_id}")
    row = await store.find(tx, organization_id)
    if row is None or isinstance(form.problem, OrganizationNotFound):
        return view.missing(request, sent.who, HERE, NOT_THERE)
    return await _form(request, tx, sent.who, form, row)


async def _form(request: Request, tx: AsyncSession, who: Principal, form: Form, row: store.Organization | None) -> Response:
    if not who.has("authority"):
        return view.forbidden(request, who, HERE, _FOR_AUTHORITY)
    changes: list[tuple[str, str, str]] = []
    is_late = row is not None and isinstance(form.problem, EntryPassed)
    if row is not None and is_late:
        changes = passed(form.value("read"), _values(row))
        # what differs has been shown: the next attempt is made on what is there now
        form.values |= {name: said for name, said in _made_on(row).items() if not name.startswith("/")}
    return view.render(
        request,
        who,
        "organization_form.html",
        HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        is_late=is_late,
        passed=changes,
        owners=await queries.owners(tx, limit=_MOST_CHOICES),
    )


def _values(row: store.Organization) -> Values:
    names = ("name", "level", "division_code", "kind", "parent_id", "licence", "contract")
    entry: dict[str, Any] = {name: getattr(row, name) for name in names}
    return flat(entry)


def _made_on(row: store.Organization) -> Values:
    """Return an entry as its form's fields, with what the form carries unseen."""
    return _values(row) | {"revision": [tag(row.changed_at)], "read": [written(_values(row))]}


def _refuse_others(who: Principal) -> None:
    if not who.has("authority"):
        raise Forbidden(_FOR_AUTHORITY)


def _fills(who: Principal, organization_id: UUID, role: OfficerRole) -> bool:
    try:
        officer_commands.refuse_unfit(who, organization_id, role)
    except Forbidden:
        return False
    return True
