"""The pages of information systems: what hangs on each, registering one, changing it, and taking it in and out of service."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.etag import EntryPassed, tag
from catalog_svc.organization import store as organizations
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Sent, Viewer, own_only
from catalog_svc.pages.fields import Form, Values, body_of, flat, passed, refusals, written
from catalog_svc.pages.view import PageNumber, Words
from catalog_svc.resource.commands import may_edit
from catalog_svc.sector import store as sectors
from catalog_svc.sector.errors import CapReached
from catalog_svc.system import domain, routes, store
from catalog_svc.system.errors import SystemNameTaken, SystemNotFound, SystemTransition
from catalog_svc.system.routes import RetirementIn, ServiceIn, SystemChange, SystemIn
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx
from dxmesh_schemas.catalog import SystemState
from dxmesh_schemas.problem import Problem

router = APIRouter(include_in_schema=False, prefix="/systems")
_HERE = "systems"
_MOST_CHOICES = 1_000
_NOT_THERE = "没有这个信息系统 There is no such system"
_NOT_YOURS = "信息系统由本部门数据管理员或数据主管部门登记 Systems are registered by their steward or the authority"
_AT: dict[type[Problem], str] = {SystemNameTaken: "/name", CapReached: "/is_main_system"}
_STEPS = {"service": SystemState.IN_SERVICE, "retirement": SystemState.RETIRED}


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
    return await _form(request, who, tx, Form("system", values), None)


@router.post("/new")
async def register(request: Request, sent: Sent, tx: Tx) -> Response:
    """Register a system of the sender's organization; the data authority names the organization."""
    form = Form("system", sent.values)
    async with refusals(tx, form, _AT):
        row = await routes.register(SystemIn.model_validate(body_of(sent.values)), sent.who, tx, Response())
        return view.done(f"/dashboard/systems?provider={row.organization_id}")
    return await _form(request, sent.who, tx, form, None)


@router.get("/{system_id}")
async def show_system(request: Request, system_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show a system: its entry, every state it came into, what to do next."""
    return await _show(request, tx, system_id, who)


@router.get("/{system_id}/entry")
async def edit(request: Request, system_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show a system's entry to change."""
    row = await _find(tx, system_id, who)
    if row is None:
        return view.missing(request, who, _HERE, _NOT_THERE)
    return await _form(request, who, tx, Form("system", _made_on(row)), row)


@router.post("/{system_id}/entry")
async def change(request: Request, system_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Change a system's entry, on what the form was made on."""
    form = Form("system", sent.values)
    offered = {"on_gov_cloud": None, "sector": None} | ({"is_main_system": False} if sent.who.has("authority") else {})
    async with refusals(tx, form, _AT):
        body = SystemChange.model_validate(offered | body_of(sent.values))  # what the form offers and is left blank is none
        await routes.change(system_id, body, sent.who, sent.tags, tx, Response())
        return view.done(f"/dashboard/systems/{system_id}")
    row = await _find(tx, system_id, sent.who)
    if row is None:
        return view.missing(request, sent.who, _HERE, _NOT_THERE)
    return await _form(request, sent.who, tx, form, row)


@router.post("/{system_id}/service")
async def enter_service(request: Request, system_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Put a system in service."""
    form = Form("service", sent.values)
    async with refusals(tx, form):
        await routes.enter_service(system_id, sent.who, tx, ServiceIn.model_validate(body_of(sent.values)))
        return view.done(f"/dashboard/systems/{system_id}")
    return await _show(request, tx, system_id, sent.who, refused=form)


@router.post("/{system_id}/retirement")
async def retire(request: Request, system_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Take a system out of service for good, with the reason."""
    form = Form("retirement", sent.values)
    async with refusals(tx, form):
        await routes.retire(system_id, RetirementIn.model_validate(body_of(sent.values)), sent.who, tx)
        return view.done(f"/dashboard/systems/{system_id}")
    return await _show(request, tx, system_id, sent.who, refused=form)


async def _show(request: Request, tx: AsyncSession, system_id: UUID, who: Principal, *, refused: Form | None = None) -> Response:
    row = await _find(tx, system_id, who)
    if row is None:
        return view.missing(request, who, _HERE, _NOT_THERE)
    return view.render(
        request,
        who,
        "system.html",
        _HERE,
        status=refused.problem.status if refused is not None and refused.problem is not None else 200,
        row=row,
        organization=await organizations.get(tx, row.organization_id),
        sector=next((one for one in await _sectors(tx) if one.sector == row.sector), None),
        steps=list(await store.list_steps(tx, system_id))[::-1],
        actions=_actions(row, who),
        new_form=Form,
        refused=refused,
    )


async def _form(request: Request, who: Principal, tx: AsyncSession, form: Form, row: store.System | None) -> Response:
    if not (who.has("authority") or who.has("steward") if row is None else may_edit(who, row.organization_id)):
        return view.forbidden(request, who, _HERE, _NOT_YOURS)
    changes: list[tuple[str, str, str]] = []
    is_late = row is not None and isinstance(form.problem, EntryPassed)
    if row is not None and is_late:
        changes = passed(form.value("read"), _values(row))
        # what differs has been shown: the next attempt is made on what is there now
        form.values |= {name: said for name, said in _made_on(row).items() if not name.startswith("/")}
    return view.render(
        request,
        who,
        "system_form.html",
        _HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        is_late=is_late,
        passed=changes,
        owners=await queries.owners(tx, limit=_MOST_CHOICES) if who.has("authority") else [],
        sectors=await _sectors(tx),
    )


async def _find(tx: AsyncSession, system_id: UUID, who: Principal) -> store.System | None:
    """Return a system the reader may know of: its organization's, or any for those who see all."""
    try:
        return await store.get(tx, system_id, of=own_only(who))
    except SystemNotFound:
        return None


def _actions(row: store.System, who: Principal) -> list[str]:
    """Return what the reader may do with a system as it stands, by the rules that the commands keep."""
    if not may_edit(who, row.organization_id):
        return []
    found = []
    for name, wanted in _STEPS.items():
        try:
            domain.advance(SystemState(row.state), wanted)
        except SystemTransition:
            continue
        found.append(name)
    try:
        domain.refuse_change(SystemState(row.state))
    except SystemTransition:
        return found
    return [*found, "entry"]


def _values(row: store.System) -> Values:
    return flat({name: getattr(row, name) for name in ("name", "kind", "on_gov_cloud", "sector", "is_main_system")})


def _made_on(row: store.System) -> Values:
    """Return an entry as its form's fields, with what the form carries unseen."""
    return _values(row) | {"revision": [tag(row.changed_at)], "read": [written(_values(row))]}


async def _sectors(tx: AsyncSession) -> list[sectors.Sector]:
    return list(await sectors.list_page(tx, after=None, limit=_MOST_CHOICES))
