"""The pages of code sets: their codes on a day, what became of each, and where sources differ."""

from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from catalog_svc.code_set import explain, store
from catalog_svc.code_set.entry import Standing, day_of, decided
from catalog_svc.code_set.errors import CodeNotFound, CodeSetNotFound
from catalog_svc.pages import view
from catalog_svc.pages.access import Viewer
from catalog_svc.pages.view import Words, plain
from dxmesh_runtime.db import Tx, utc_now

router = APIRouter(include_in_schema=False, prefix="/code-sets")
_HERE = "code-sets"
_HISTORY = 200


@router.get("")
async def list_code_sets(request: Request, who: Viewer, tx: Tx, q: Words = "") -> HTMLResponse:
    """Show the code sets."""
    text = plain(q)
    rows = await store.list_page(tx, q=text or None, kind=None, after=None, limit=_HISTORY)
    return view.render(request, who, "code_sets.html", _HERE, rows=rows[:_HISTORY], q=text)


@router.get("/{name}")
async def show_code_set(request: Request, name: str, who: Viewer, tx: Tx, q: Words = "", on: str = "", code: str = "") -> HTMLResponse:
    """Show the codes of a set on a day, what became of one, and where its sources differ."""
    try:
        row = await store.get_version(tx, plain(name))
    except CodeSetNotFound:
        return view.missing(request, who, _HERE, "没有这个代码集 There is no such code set")
    today = day_of(utc_now())
    day, day_is_good = _day(on, today)
    text = plain(q)
    codes = await store.page_of_codes(tx, row, on=day if on and day_is_good else None, q=text or None, parent=None, after=None, limit=100)
    said = await store.entries_of(tx, row.name, row.version, codes[:100])
    sources = await store.sources(tx, row.name, row.version)
    listed = []
    for one in codes[:100]:
        standing, entry = decided(said[one], day, known_on=row.codes_on, leading_source=row.leading_source)
        listed.append((one, standing, entry or said[one][0]))
    explained = None
    if code:
        try:
            explained = await explain.explain(tx, row, plain(code), on=day)
        except CodeNotFound:
            explained = None
    conflicts = await store.page_of_conflicts(tx, row, len(sources), on=day, after=None, limit=20) if len(sources) > 1 else []
    return view.render(
        request,
        who,
        "code_set.html",
        _HERE,
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
        versions=list(await store.list_versions(tx, row.name, after=None, limit=_HISTORY))[::-1],
        valid=Standing.VALID,
    )


def _day(text: str, today: date) -> tuple[date, bool]:
    try:
        return (date.fromisoformat(text), True) if text else (today, True)
    except ValueError:
        return today, False
