"""The ledger and the reports over HTTP: JSON, CSV or XLSX."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from catalog_svc.formats import MEDIA_TYPES, Exports, ExportsBusy, Form, Format, as_file, frames_of
from catalog_svc.report import databases, domain, flows, store
from catalog_svc.report.domain import ReportName
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import Level
from dxmesh_schemas.problem import Forbidden, Invalid

router = APIRouter(prefix="/v1", tags=["reports"])
_READS_ALL = ("authority", "operator", "auditor")
_exports = Exports()
Days = Annotated[
    int | None, Query(ge=1, le=3650, description="of idle-systems: how long nothing came or went; as the node is set up when left out")
]


class Counts(BaseModel):
    """What is registered; resources are those in force, items theirs."""

    system_count: int
    resource_count: int
    shareable_resource_count: int
    item_count: int
    shareable_item_count: int


class DepartmentLine(Counts):
    """What an organization has registered."""

    organization_id: UUID
    name: str
    uscc: str
    level: Level


class LevelLine(Counts):
    """What a level has registered."""

    level: Level
    organization_count: int


class TotalLine(Counts):
    """What all have registered."""

    organization_count: int


class LedgerOut(BaseModel):
    """The one ledger (一本账): all, by level, by department."""

    as_of: datetime
    total: TotalLine
    levels: list[LevelLine]
    departments: list[DepartmentLine]


class ReportOut(BaseModel):
    """A report: its summary, and its rows."""

    report: ReportName
    title: str
    as_of: datetime
    summary: dict[str, Any]
    rows: list[dict[str, Any]]


@router.get("/ledger")
async def get_ledger(_: Who, tx: Tx) -> LedgerOut:
    """Return the ledger: systems, resources in force, items and shareable items by department and level, from one query."""
    lines = await store.ledger(tx)
    return LedgerOut(
        as_of=utc_now(),
        total=TotalLine(**next(line for line in lines if line["level"] is None)),
        levels=[LevelLine(**line) for line in lines if line["organization_id"] is None and line["level"] is not None],
        departments=[DepartmentLine(**line) for line in lines if line["organization_id"] is not None],
    )


@router.get(
    "/reports/{report}",
    response_model=ReportOut,
    responses={
        200: {"content": {MEDIA_TYPES[form]: {} for form in (Format.CSV, Format.XLSX)}},
        **problems(Forbidden, Invalid, ExportsBusy),
    },
)
async def get_report(report: ReportName, request: Request, who: Who, form: Form, days: Days = None) -> Response | ReportOut:
    """Return a report; a department reads of its own systems, duties and orphans, the authority, operators and auditors of all.

    In CSV a text that a spreadsheet program would take for a formula begins with an apostrophe.
    """
    if days is not None and report is not ReportName.IDLE_SYSTEMS:
        raise Invalid.of([("/days", f"belongs to {ReportName.IDLE_SYSTEMS}; leave it out of {report}")])
    now, days = utc_now(), days or request.state.idle_days
    if form is Format.JSON:
        async with request.state.sessions() as tx:
            summary, rows = await _found(report, who, tx, days=days, now=now)
        return ReportOut(report=report, title=domain.TITLES[report], as_of=now, summary=summary, rows=[dict(row) for row in rows])
    async with _exports.place():
        async with request.state.sessions() as tx:  # given back before the file is made, which takes longer than reading
            _, rows = await _found(report, who, tx, days=days, now=now)
        return await as_file(
            lambda: frames_of((domain.shown(row) for row in rows), domain.COLUMNS[report]), form, name=domain.TITLES[report]
        )


async def _found(report: ReportName, who: Who, tx: Tx, *, days: int, now: datetime) -> tuple[dict[str, Any], domain.Rows]:
    match report:
        case ReportName.COVERAGE:
            return domain.coverage(await store.coverage(tx, of=_of(who)))
        case ReportName.ORPHANS:
            return domain.orphans(await store.orphans(tx, of=_of(who)))
        case ReportName.NON_SHARING:
            return domain.non_sharing(await store.non_sharing(tx))
        case ReportName.NEGATIVE_LIST:
            return domain.negative_list(await store.negative_list(tx))
        case ReportName.DUTIES:
            return domain.duties(await flows.duties(tx, of=_of(who), today=day_of(now)))
        case ReportName.DUTY_TOTALS:
            return domain.duty_totals(await flows.duties(tx, of=_of(who), today=day_of(now)))
        case ReportName.IDLE_SYSTEMS:
            return domain.idle_systems(await flows.idle_systems(tx, of=_of(who), since=now - timedelta(days=days), now=now), days=days)
        case ReportName.OFF_CLOUD:
            return domain.off_cloud(await store.off_cloud(tx, of=_of(who)))
        case ReportName.LAPSED_PAPERS:
            return domain.lapsed_papers(await store.lapsed_papers(tx, of=_of(who), today=day_of(now)))
        case ReportName.DUPLICATES:
            return domain.duplicates(await store.duplicates(tx))
        case ReportName.TOTALS:
            return domain.totals(await store.ledger(tx))
        case ReportName.TAXONOMIES:
            return domain.taxonomies(await databases.taxonomies(tx))
        case ReportName.LINEAGE:
            return domain.lineage(await databases.lineage(tx))


def _of(who: Who) -> UUID | None:
    return None if any(who.has(role) for role in _READS_ALL) else who.own_organization
