"""The pages of the catalogue: totals, what waits for whom, resources with their history, organizations, systems, code sets."""

from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from catalog_svc.code_set import explain
from catalog_svc.code_set import store as code_sets
from catalog_svc.code_set.entry import Standing, day_of, decided
from catalog_svc.code_set.errors import CodeNotFound, CodeSetNotFound
from catalog_svc.organization import store as organizations
from catalog_svc.pages import queries, words
from catalog_svc.resource import diff
from catalog_svc.resource import store as resources
from catalog_svc.resource.definition import Settled
from catalog_svc.resource.errors import ResourceNotFound
from catalog_svc.step import store as steps
from catalog_svc.system import store as systems
from dxmesh_runtime import shell
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.shell import DashboardAccess
from dxmesh_schemas.catalog import ResourceSnapshot

router = APIRouter(prefix="/dashboard", include_in_schema=False)
_pages = shell.renderer("catalog_svc")
_NEWEST = 10
_WAITING = 30
_HISTORY = 200
_STATES = ("draft", "submitted", "approved", "published", "withdrawn")
_WAITS = ("approved", "submitted", "draft", "announced")
Words = Annotated[str, Query(alias="q", max_length=200)]
PageNumber = Annotated[int, Query(alias="page", ge=1, le=1_000_000)]


def _render(request: Request, template: str, here: str, *, status: int = 200, refresh_seconds: int = 0, **context: Any) -> HTMLResponse:
    """Render a page of the catalogue; `here` is the part of it that the navigation marks."""

    def page_link(page: int) -> str:
        query = {name: value for name, value in request.query_params.items() if name != "page"} | {"page": page}
        return f"{request.url.path}?{urlencode(query)}"

    return _pages.page(
        request,
        f"catalog/{template}",
        status=status,
        refresh_seconds=refresh_seconds,
        here=here,
        page_link=page_link,
        w=words.vocabulary(),
        **context,
    )


def _plain(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())


def _missing(request: Request, here: str, what: str) -> HTMLResponse:
    return _render(request, "missing.html", here, status=404, what=what)


@router.get("")
async def show(request: Request, _: DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show the ledger, what waits for whom, and what came in force last."""
    ledger = await queries.by_level(tx)
    total = {name: sum(row[name] for row in ledger) for name in ledger[0] if name != "level"} if ledger else None
    by_state = await queries.states(tx)
    waits, waiting = await queries.waiting(tx, _WAITING)
    outbox_waiting, outbox_oldest, outbox_last = await queries.outbox_state(tx)
    return _render(
        request,
        "overview.html",
        "overview",
        refresh_seconds=5,
        ledger_rows=[*ledger, total] if total else [],
        total=total,
        organization_count=await organizations.count(tx),
        system_count=await systems.count(tx),
        resource_count=sum(by_state.values()),
        bars=[(words.STATES[state][0], by_state.get(state, 0), words.STATES[state][1]) for state in _STATES],
        waits=[(state, *waits.get(state, (0, None))) for state in _WAITS],
        waiting=waiting,
        newest=await queries.newest_versions(tx, _NEWEST),
        outbox_waiting=outbox_waiting,
        outbox_oldest=outbox_oldest,
        outbox_last=outbox_last,
    )


@router.get("/resources")
async def list_resources(
    request: Request,
    _: DashboardAccess,
    tx: Tx,
    q: Words = "",
    state: Literal["", "draft", "submitted", "approved", "announced", "published", "withdrawn"] = "",
    provider: UUID | None = None,
    system: UUID | None = None,
    page: PageNumber = 1,
) -> HTMLResponse:
    """Show the resources, searched and filtered."""
    text = _plain(q)
    found = await queries.resources(tx, q=text, state=state or None, provider=provider, system=system, page=page)
    return _render(request, "resources.html", "resources", found=found, q=text, state=state, provider=provider, system=system)


@router.get("/resources/{resource_id}")
async def show_resource(
    request: Request, resource_id: str, _: DashboardAccess, tx: Tx, version: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
) -> HTMLResponse:
    """Show a resource: its entry and items, the draft that waits, versions and what changed between them, and every step it went."""
    try:
        row = await resources.get(tx, UUID(resource_id))
    except (ValueError, ResourceNotFound):
        return _missing(request, "resources", "没有这个数据资源 There is no such resource")
    versions = await resources.list_versions(tx, row.resource_id, after=None, limit=_HISTORY)
    draft = Settled.model_validate(row.draft) if row.draft is not None else None
    held = Settled.model_validate(row.definition) if row.definition is not None else None
    system = await systems.find(tx, row.system_id)
    return _render(
        request,
        "resource.html",
        "resources",
        row=row,
        provider=await organizations.get(tx, row.organization_id),
        system=system,
        entry=held or draft,
        draft=draft,
        draft_changes=diff.of(held, draft) if held is not None and draft is not None else None,
        versions=list(versions)[::-1],
        shown_version=version,
        version_changes=_changes(versions, version),
        steps=list(await steps.list_of(tx, row.resource_id, after=None, limit=_HISTORY))[::-1],
    )


def _changes(versions: Any, number: int) -> diff.Diff | None:
    """Return what a version changed, None for the first and for one that is not there."""
    snapshots = {one.version: one.snapshot for one in versions if one.version in (number, number - 1)}
    if len(snapshots) < 2:
        return None
    return diff.of(*(ResourceSnapshot.model_validate(snapshots[one]) for one in (number - 1, number)))


@router.get("/organizations")
async def list_organizations(request: Request, _: DashboardAccess, tx: Tx, q: Words = "", page: PageNumber = 1) -> HTMLResponse:
    """Show the organizations with what they hold."""
    text = _plain(q)
    return _render(request, "organizations.html", "organizations", found=await queries.organizations(tx, q=text, page=page), q=text)


@router.get("/systems")
async def list_systems(
    request: Request, _: DashboardAccess, tx: Tx, q: Words = "", provider: UUID | None = None, page: PageNumber = 1
) -> HTMLResponse:
    """Show the information systems with what hangs on them."""
    text = _plain(q)
    found = await queries.systems(tx, q=text, provider=provider, page=page)
    return _render(request, "systems.html", "systems", found=found, q=text, provider=provider)


@router.get("/code-sets")
async def list_code_sets(request: Request, _: DashboardAccess, tx: Tx, q: Words = "") -> HTMLResponse:
    """Show the code sets."""
    text = _plain(q)
    rows = await code_sets.list_page(tx, q=text or None, kind=None, after=None, limit=_HISTORY)
    return _render(request, "code_sets.html", "code-sets", rows=rows[:_HISTORY], q=text)


@router.get("/code-sets/{name}")
async def show_code_set(
    request: Request, name: str, _: DashboardAccess, tx: Tx, q: Words = "", on: str = "", code: str = ""
) -> HTMLResponse:
    """Show the codes of a set on a day, what became of one, and where its sources differ."""
    try:
        row = await code_sets.get_version(tx, _plain(name))
    except CodeSetNotFound:
        return _missing(request, "code-sets", "没有这个代码集 There is no such code set")
    today = day_of(utc_now())
    day, day_is_good = _day(on, today)
    text = _plain(q)
    codes = await code_sets.page_of_codes(
        tx, row, on=day if on and day_is_good else None, q=text or None, parent=None, after=None, limit=100
    )
    said = await code_sets.entries_of(tx, row.name, row.version, codes[:100])
    sources = await code_sets.sources(tx, row.name, row.version)
    listed = []
    for one in codes[:100]:
        standing, entry = decided(said[one], day, known_on=row.codes_on, leading_source=row.leading_source)
        listed.append((one, standing, entry or said[one][0]))
    explained = None
    if code:
        try:
            explained = await explain.explain(tx, row, _plain(code), on=day)
        except CodeNotFound:
            explained = None
    conflicts = await code_sets.page_of_conflicts(tx, row, len(sources), on=day, after=None, limit=20) if len(sources) > 1 else []
    return _render(
        request,
        "code_set.html",
        "code-sets",
        row=row,
        day=day,
        on=on if day_is_good else "",
        q=text,
        code=code,
        listed=listed,
        has_more=len(codes) > 100,
        sources=sources,
        explained=explained,
        conflicts=conflicts[:20],
        versions=list(await code_sets.list_versions(tx, row.name, after=None, limit=_HISTORY))[::-1],
        valid=Standing.VALID,
    )


def _day(text: str, today: date) -> tuple[date, bool]:
    try:
        return (date.fromisoformat(text), True) if text else (today, True)
    except ValueError:
        return today, False
