"""The first page of the catalogue: the ledger, what waits for whom, what came in force last; and where the other pages are."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from catalog_svc.organization import store as organizations
from catalog_svc.pages import (
    arbitrations,
    duties,
    entries,
    list_entries,
    lists,
    officers,
    queries,
    scenarios,
    sign_in,
    sources,
    view,
    words,
)
from catalog_svc.pages import code_sets as code_set_pages
from catalog_svc.pages import organizations as organization_pages
from catalog_svc.pages import resources as resource_pages
from catalog_svc.pages import steps as step_pages
from catalog_svc.pages import systems as system_pages
from catalog_svc.pages.access import Viewer, own_only
from dxmesh_runtime.db import Tx, utc_now

router = APIRouter(prefix="/dashboard", include_in_schema=False)
_NEWEST = 10
_WAITING = 30
_STATES = ("draft", "submitted", "approved", "published", "withdrawn")
_WAITS = ("approved", "submitted", "draft", "announced")


@router.get("")
async def show(request: Request, who: Viewer, tx: Tx) -> HTMLResponse:
    """Show the ledger, what waits for whom, and what came in force last; to a department its own."""
    own = own_only(who)
    ledger = await queries.by_level(tx, of=own)
    total = {name: sum(row[name] for row in ledger) for name in ledger[0] if name != "level"} if ledger else None
    by_state = await queries.states(tx, of=own)
    waits, waiting = await queries.waiting(tx, _WAITING, of=own)
    approaching, missed = await queries.owed(tx, of=own, now=utc_now())
    return view.render(
        request,
        who,
        "overview.html",
        "overview",
        refresh_seconds=5,
        organization=await organizations.find(tx, own) if own is not None else None,
        ledger_rows=[*ledger, total] if total else [],
        total=total,
        resource_count=sum(by_state.values()),
        bars=[(words.STATES[state][0], by_state.get(state, 0), words.STATES[state][1]) for state in _STATES],
        waits=[(state, *waits.get(state, (0, None))) for state in _WAITS],
        waiting=waiting,
        approaching=approaching,
        missed=missed,
        newest=await queries.newest_versions(tx, _NEWEST),
        outbox=await queries.outbox_state(tx) if own is None else None,
    )


# what is entered before what is shown by its id
for _noun in (
    sign_in,
    organization_pages,
    officers,
    system_pages,
    entries,
    resource_pages,
    step_pages,
    sources,
    arbitrations,
    duties,
    list_entries,
    scenarios,
    lists,
    code_set_pages,
):
    router.include_router(_noun.router)
