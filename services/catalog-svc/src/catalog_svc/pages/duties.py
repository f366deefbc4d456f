"""The pages of duties: what is owed by when, what approaches, what was missed, and what happened to each."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from catalog_svc.duty import domain, store
from catalog_svc.duty.domain import Standing
from catalog_svc.duty.errors import DutyNotFound
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Viewer, own_only
from dxmesh_clocks.policy import RuleName
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorText, after_time, cut

router = APIRouter(include_in_schema=False, prefix="/duties")
_HERE = "duties"


@router.get("")
async def list_duties(
    request: Request,
    who: Viewer,
    tx: Tx,
    state: Annotated[Literal["", "open", "approaching", "missed", "met", "cancelled"], Query()] = "open",
    cursor: CursorText = None,
) -> HTMLResponse:
    """Show the duties, those due first coming first: to a department its own."""
    rows = await store.list_page(
        tx,
        of=own_only(who),
        resource_id=None,
        rule=None,
        standing=Standing(state) if state else None,
        now=utc_now(),
        after=after_time(cursor),
        limit=queries.PAGE_ROWS,
    )
    found = cut(rows, queries.PAGE_ROWS, lambda row: (row[0].missed_at, row[0].duty_id))
    return view.render(request, who, "duties.html", _HERE, found=found, lines=[_line(row) for row in found.items], state=state)


@router.get("/{duty_id}")
async def show_duty(request: Request, duty_id: UUID, who: Viewer, tx: Tx) -> HTMLResponse:
    """Show a duty with its clock and what happened to it."""
    try:
        await store.get(tx, duty_id, of=own_only(who))
    except DutyNotFound:
        return view.missing(request, who, _HERE, "没有这个时限 There is no such duty")
    line = _line(await store.named(tx, duty_id))
    return view.render(request, who, "duty.html", _HERE, line=line, row=line["row"], steps=await store.list_steps(tx, duty_id))


def _line(named: store.Named) -> dict[str, Any]:
    """Return a duty as it stands today."""
    row, organization, resource_name = named
    clock, today = row.clock, day_of(utc_now())
    state = "cancelled" if row.cancelled_at is not None else clock.state(today).value
    return {
        "row": row,
        "organization": organization,
        "resource_name": resource_name,
        "source": clock.rule.source,
        "state": "approaching" if row.is_open and clock.is_approaching(today) else state,
        "days_left": clock.days_left(today) if row.is_open else None,
        "responsible": domain.responsible(RuleName(row.rule)),
    }
