"""The pages of information systems: what hangs on each, and registering one."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Sent, Viewer, own_only
from catalog_svc.pages.fields import Form, body_of, refusals
from catalog_svc.pages.view import PageNumber, Words
from catalog_svc.sector import store as sectors
from catalog_svc.sector.errors import CapReached
from catalog_svc.system import routes
from catalog_svc.system.errors import SystemNameTaken
from catalog_svc.system.routes import SystemIn
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx

router = APIRouter(include_in_schema=False, prefix="/systems")
_HERE = "systems"
_MOST_CHOICES = 1_000


@router.get("")
async def list_systems(
    request: Request, who: Viewer, tx: Tx, q: Words = "", provider: UUID | None = None, page: PageNumber = 1
) -> Response:
    """Show the information systems with what hangs on them."""
    text, own = view.plain(q), own_only(who)
    found = await queries.systems(tx, of=own, q=text, provider=provider, page=page)
    return view.render(request, who, "systems.html", _HERE, found=found, q=text, provider=provider)


@router.get("/new")
async def ask(request: Request, who: Viewer, tx: Tx, provider: UUID | None = None) -> Response:
    """Show the form of a system to register."""
    values = {"/kind": ["own"]} | ({"/organization_id": [str(provider)]} if provider is not None else {})
    return await _form(request, who, tx, Form("system", values))


@router.post("/new")
async def register(request: Request, sent: Sent, tx: Tx) -> Response:
    """Register a system of the sender's organization; the data authority names the organization."""
    form = Form("system", sent.values)
    async with refusals(tx, form, {SystemNameTaken: "/name", CapReached: "/is_main_system"}):
        row = await routes.register(SystemIn.model_validate(body_of(sent.values)), sent.who, tx, Response())
        return view.done(f"/dashboard/systems?provider={row.organization_id}")
    return await _form(request, sent.who, tx, form)


async def _form(request: Request, who: Principal, tx: Tx, form: Form) -> Response:
    if not (who.has("authority") or who.has("steward")):
        return view.forbidden(
            request, who, _HERE, "信息系统由本部门数据管理员或数据主管部门登记 Systems are registered by their steward or the authority"
        )
    return view.render(
        request,
        who,
        "system_form.html",
        _HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        owners=await queries.owners(tx, limit=_MOST_CHOICES) if who.has("authority") else [],
        sectors=await sectors.list_page(tx, after=None, limit=_MOST_CHOICES),
    )
