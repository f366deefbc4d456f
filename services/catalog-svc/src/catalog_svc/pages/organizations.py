"""The pages of organizations: what each holds, and registering one."""

from fastapi import APIRouter, Request, Response

from catalog_svc.organization import commands
from catalog_svc.organization.errors import UsccTaken
from catalog_svc.organization.routes import OrganizationIn
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Sent, Viewer, own_only
from catalog_svc.pages.fields import Form, body_of, refusals
from catalog_svc.pages.view import PageNumber, Words
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx, utc_now

router = APIRouter(include_in_schema=False, prefix="/organizations")
_HERE = "organizations"
_FOR_AUTHORITY = "机构由数据主管部门登记 Organizations are registered by the data authority"


@router.get("")
async def list_organizations(request: Request, who: Viewer, tx: Tx, q: Words = "", page: PageNumber = 1) -> Response:
    """Show the organizations with what they hold."""
    text = view.plain(q)
    found = await queries.organizations(tx, of=own_only(who), q=text, page=page)
    return view.render(request, who, "organizations.html", _HERE, found=found, q=text)


@router.get("/new")
async def ask(request: Request, who: Viewer) -> Response:
    """Show the form of an organization to register."""
    if not who.has("authority"):
        return view.forbidden(request, who, _HERE, _FOR_AUTHORITY)
    return _form(request, who, Form("organization", {"/level": ["city"], "/kind": ["department"]}))


@router.post("/new")
async def register(request: Request, sent: Sent, tx: Tx) -> Response:
    """Register an organization (the data authority)."""
    if not sent.who.has("authority"):
        return view.forbidden(request, sent.who, _HERE, _FOR_AUTHORITY)
    form = Form("organization", sent.values)
    async with refusals(tx, form, {UsccTaken: "/uscc"}):
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
    return _form(request, sent.who, form)


def _form(request: Request, who: Principal, form: Form) -> Response:
    status = form.problem.status if form.problem is not None else 200
    return view.render(request, who, "organization_form.html", _HERE, status=status, form=form)
