"""The pages of lists and reports: what each holds, and the same as files a spreadsheet program opens."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.formats import FileFormat, Format
from catalog_svc.pages import queries, view
from catalog_svc.pages.access import Viewer
from catalog_svc.pages.fields import Form
from catalog_svc.pages.view import Words, plain
from catalog_svc.report import domain as reports
from catalog_svc.report import routes as report_routes
from catalog_svc.report.domain import ReportName
from catalog_svc.report.routes import ReportOut
from catalog_svc.sharing_list import commands, file_routes, shown, store
from catalog_svc.sharing_list.domain import ENDED, STATUS_TITLES, STATUSES, TITLES, KeptKind, ListKind, Status
from catalog_svc.sharing_list.errors import ListEntryNotFound
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx
from dxmesh_runtime.paging import CursorText, after_id, cut
from dxmesh_schemas.catalog_lists import ScenarioApproval, ScenarioTerms

router = APIRouter(include_in_schema=False)
_MOST_ROWS = 200
_HISTORY = 200
Statuses = Literal["", "pending", "in_progress", "done", "cancelled", "in_force", "lifted"]


@router.get("/lists")
async def list_lists(request: Request, who: Viewer, tx: Tx) -> HTMLResponse:
    """Show which lists there are, with their files."""
    counts = await shown.counts(tx)
    lines = [(kind.value, title, counts[kind.value]) for kind, title in TITLES.items()]
    return view.render(request, who, "lists.html", "lists", lines=lines, may_enter=who.has("authority") or who.has("steward"))


@router.get("/lists/{kind}/file")
async def list_file(request: Request, kind: ListKind, who: Viewer, format: FileFormat = FileFormat.XLSX) -> Response:  # noqa: A002
    """Return a list as a file, as over the API."""
    return await file_routes.export(kind, request, who, None, format)


@router.get("/lists/{kind}/template")
async def template(kind: ListKind, who: Viewer, format: FileFormat = FileFormat.XLSX) -> Response:  # noqa: A002
    """Return a list's columns as a file to fill in, as over the API."""
    return await file_routes.get_template(kind, who, format)


@router.get("/lists/{kind}")
async def show_list(
    request: Request, kind: KeptKind, who: Viewer, tx: Tx, q: Words = "", status: Statuses = "", cursor: CursorText = None
) -> HTMLResponse:
    """Show the entries of a kept list."""
    text = plain(q)
    asked = store.Asked(None, Status(status) if status else None, None, None, None, text or None)
    found = cut(
        await store.list_page(tx, kind, asked, after=after_id(cursor), limit=queries.PAGE_ROWS), queries.PAGE_ROWS, lambda row: row.entry_id
    )
    owners = [one for row in found.items for one in (row.organization_id, row.counterpart_id) if one is not None]
    resources = [row.resource_id for row in found.items if row.resource_id is not None]
    return view.render(
        request,
        who,
        "list.html",
        "lists",
        kind=kind.value,
        title=TITLES[ListKind(kind.value)],
        may_enter=who.has("authority") or who.has("steward"),
        found=found,
        names=await queries.names_of(tx, organizations=owners, resources=resources),
        statuses={one.value: title for one, title in STATUS_TITLES.items()},
        status_now=status,
        q=text,
    )


@router.get("/lists/{kind}/{entry_id}")
async def show_entry(request: Request, kind: KeptKind, entry_id: UUID, who: Viewer, tx: Tx) -> HTMLResponse:
    """Show an entry of a kept list with what it was before."""
    return await show(request, tx, kind, entry_id, who)


async def show(
    request: Request, tx: AsyncSession, kind: KeptKind, entry_id: UUID, who: Principal, *, refused: Form | None = None
) -> HTMLResponse:
    """Render an entry's page; `refused` is the form that should have ended it."""
    try:
        row = await store.get(tx, kind, entry_id)
    except ListEntryNotFound:
        return view.missing(request, who, "lists", "没有这个条目 There is no such entry")
    owners = [one for one in (row.organization_id, row.counterpart_id) if one is not None]
    said = await authorized(tx, row, who) if kind is KeptKind.SCENARIO else {}
    return view.render(
        request,
        who,
        "list_entry.html",
        "lists",
        status=refused.problem.status if refused is not None and refused.problem is not None else 200,
        keeps=commands.keeps(who, row.organization_id),
        ends={one.value: STATUS_TITLES[one] for one in STATUSES[kind] if one in ENDED} if row.status not in ENDED else {},
        new_form=Form,
        refused=refused,
        row=row,
        title=TITLES[ListKind(kind.value)],
        names=await queries.names_of(tx, organizations=owners, resources=[row.resource_id] if row.resource_id else []),
        statuses={one.value: title for one, title in STATUS_TITLES.items()},
        versions=list(await store.list_versions(tx, entry_id, after=None, limit=_HISTORY))[::-1],
        **said,
    )


async def authorized(tx: AsyncSession, row: store.ListEntry, who: Principal) -> dict[str, Any]:
    """Return what a scenario authorizes with the names of what it names, who approved it, and what the reader may do about that."""
    terms = None if row.scenario is None else ScenarioTerms.model_validate(row.scenario)
    approvals = [ScenarioApproval.model_validate(one) for one in row.approvals]
    organizations = [one.organization_id for one in approvals if one.organization_id is not None]
    resources: list[UUID] = []
    if terms is not None:
        organizations += terms.requesters.organization_ids
        resources = [data.resource_id for data in terms.data if data.resource_id is not None]
    own = None if who.has("authority") else who.organization_id
    return {
        "terms": terms,
        "approvals": approvals,
        "named": await queries.names_of(tx, organizations=organizations, resources=resources),
        "approves": who.has("authority") or who.has("cdo"),
        "has_approved": any(one.organization_id == own for one in approvals),
    }


@router.get("/reports")
async def list_reports(request: Request, who: Viewer) -> HTMLResponse:
    """Show which reports there are, with their files."""
    return view.render(request, who, "reports.html", "reports", lines=[(name.value, title) for name, title in reports.TITLES.items()])


@router.get("/reports/{report}")
async def show_report(
    request: Request,
    report: ReportName,
    who: Viewer,
    format: Annotated[FileFormat | None, Query()] = None,  # noqa: A002
) -> Response:
    """Show a report, or return it as a file, as over the API."""
    if format is not None:
        made = await report_routes.get_report(report, request, who, Format(format.value))
        assert isinstance(made, Response), "a report in a form of files is a file"
        return made
    found = await report_routes.get_report(report, request, who, Format.JSON)
    assert isinstance(found, ReportOut), "a report in JSON is no file"
    return view.render(
        request,
        who,
        "report.html",
        "reports",
        found=found,
        columns=reports.COLUMNS[report],
        rows=[reports.shown(row) for row in found.rows[:_MOST_ROWS]],
        most_rows=_MOST_ROWS,
    )
