"""The forms of offices on an organization's page: filling one, and ending a term."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.officer import commands, routes, store
from catalog_svc.officer.errors import CdoPresent, OfficeHeld, OfficerNotFound
from catalog_svc.officer.routes import EndIn, OfficerIn
from catalog_svc.organization import store as organizations
from catalog_svc.pages import organizations as pages
from catalog_svc.pages import view
from catalog_svc.pages.access import Sent, Viewer
from catalog_svc.pages.fields import Form, body_of, refusals
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx
from dxmesh_schemas.catalog import OfficerRole
from dxmesh_schemas.problem import Forbidden

router = APIRouter(include_in_schema=False, prefix="/organizations/{organization_id}/officers")
_NOT_THERE = "没有这个任期 There is no such term of office"
_NOT_YOURS = (
    "任职由数据主管部门办理；数据管理员和共享工作机构也可由本部门首席数据官办理 Offices are filled by the data authority, or the own CDO"
)


@router.post("")
async def appoint(request: Request, organization_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Fill an office: the data authority; stewards and sharing units also the organization's chief data officer."""
    form = Form("office", sent.values)
    async with refusals(tx, form, {CdoPresent: "/holder", OfficeHeld: "/holder"}):
        await routes.appoint(organization_id, OfficerIn.model_validate(body_of(sent.values)), sent.who, tx)
        return view.done(f"/dashboard/organizations/{organization_id}")
    if isinstance(form.problem, Forbidden):
        return view.forbidden(request, sent.who, pages.HERE, _NOT_YOURS)
    return await pages.show(request, tx, organization_id, sent.who, refused=form)


@router.get("/{officer_id}/end")
async def ask(request: Request, organization_id: UUID, officer_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show the form that ends a term."""
    return await _form(request, tx, organization_id, officer_id, who, Form("office"))


@router.post("/{officer_id}/end")
async def end(request: Request, organization_id: UUID, officer_id: UUID, sent: Sent, tx: Tx) -> Response:
    """End a term of office, with the reason."""
    form = Form("office", sent.values)
    async with refusals(tx, form):
        await routes.end(organization_id, officer_id, EndIn.model_validate(body_of(sent.values)), sent.who, tx)
        return view.done(f"/dashboard/organizations/{organization_id}")
    return await _form(request, tx, organization_id, officer_id, sent.who, form)


async def _form(request: Request, tx: AsyncSession, organization_id: UUID, officer_id: UUID, who: Principal, form: Form) -> Response:
    organization = await organizations.find(tx, organization_id)
    try:
        row = await store.get_of(tx, organization_id, officer_id)
    except OfficerNotFound:
        return view.missing(request, who, pages.HERE, _NOT_THERE)
    try:
        commands.refuse_unfit(who, organization_id, OfficerRole(row.role))
    except Forbidden:
        return view.forbidden(request, who, pages.HERE, _NOT_YOURS)
    status = form.problem.status if form.problem is not None else 200
    return view.render(request, who, "office_end.html", pages.HERE, status=status, form=form, row=row, organization=organization)
