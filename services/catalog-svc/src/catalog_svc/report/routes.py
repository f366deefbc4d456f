"""The ledger and the reports over HTTP: JSON, CSV or XLSX."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from catalog_svc.formats import MEDIA_TYPES, Exports, ExportsBusy, Form, Format, frames_of
from catalog_svc.report import domain, store
from catalog_svc.report.domain import ReportName
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import Level
from dxmesh_schemas.problem import Forbidden

router = APIRouter(prefix="/v1", tags=["reports"])
_READS_ALL = ("authority", "operator", "auditor")
_exports = Exports()


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
    responses={200: {"content": {MEDIA_TYPES[form]: {} for form in (Format.CSV, Format.XLSX)}}, **problems(Forbidden, ExportsBusy)},
)
async def get_report(report: ReportName, request: Request, who: Who, form: Form) -> Response | ReportOut:
    """Return a report; a department reads its own systems and orphans, the authority, operators and auditors those of all.

    In CSV a text that a spreadsheet program would take for a formula begins with an apostrophe.
    """
    async with request.state.sessions() as tx:  # given back before a file is made, which takes longer than reading
        summary, rows = await _found(report, who, tx)
    if form is Format.JSON:
        return ReportOut(report=report, title=domain.TITLES[report], as_of=utc_now(), summary=summary, rows=[dict(row) for row in rows])
    return await _exports.answer(
        lambda: frames_of((domain.shown(row) for row in rows), domain.COLUMNS[report]), form, name=domain.TITLES[report]
    )


async def _found(report: ReportName, who: Who, tx: Tx) -> tuple[dict[str, Any], domain.Rows]:
    match report:
        case ReportName.COVERAGE:
            return domain.coverage(await store.coverage(tx, of=_of(who)))
        case ReportName.ORPHANS:
            return domain.orphans(await store.orphans(tx, of=_of(who)))
        case ReportName.NON_SHARING:
            return domain.non_sharing(await store.non_sharing(tx))
        case ReportName.NEGATIVE_LIST:
            return domain.negative_list(await store.negative_list(tx))
        case ReportName.DUPLICATES:
            return domain.duplicates(await store.duplicates(tx))
        case ReportName.TOTALS:
            return domain.totals(await store.ledger(tx))


def _of(who: Who) -> UUID | None:
    return None if any(who.has(role) for role in _READS_ALL) else who.own_organization
