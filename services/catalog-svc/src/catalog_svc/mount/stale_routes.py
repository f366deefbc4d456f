"""The resources that are not kept current over HTTP: page by page as JSON, whole as CSV or XLSX."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from catalog_svc.formats import MEDIA_TYPES, Exports, ExportsBusy, Form, Format, as_file, frames_of
from catalog_svc.mount import commands, store
from catalog_svc.sharing_list.template import CYCLE_TITLES
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.problem import Forbidden

router = APIRouter(prefix="/v1/reports", tags=["reports"])
_exports = Exports()
_TITLE = "未按更新周期更新的资源"
_COLUMNS = {
    "resource_code": "信息资源代码",
    "name": "信息资源名称",
    "organization_name": "部门",
    "steward": "数据管理员",
    "update_cycle": "更新周期",
    "evidence": "计算依据",
    "newest_at": "最新数据时间",
    "fresh_through": "有效至",
    "overdue_days": "超期天数",
}
_EVIDENCE_TITLES = {"batch": "接收批次", "version": "目录版本"}


class StaleOut(BaseModel):
    """A resource whose data are older than its update cycle allows."""

    resource_id: UUID
    resource_code: str
    name: str
    organization_id: UUID
    organization_name: str
    steward: Annotated[str | None, Field(description="the post that keeps the entry current")]
    update_cycle: UpdateCycle
    evidence: Annotated[Literal["batch", "version"], Field(description="what the age is counted from")]
    newest_at: datetime
    fresh_through: Annotated[date, Field(description="the last day, in China, on which the newest data were current")]
    overdue_days: Annotated[int, Field(description="calendar days since then")]


class StaleReport(Page[StaleOut]):
    """Resources that are not kept current."""

    as_of: datetime


@router.get(
    "/stale",
    response_model=StaleReport,
    responses={
        200: {"content": {MEDIA_TYPES[form]: {} for form in (Format.CSV, Format.XLSX)}},
        **problems(CursorInvalid, Forbidden, ExportsBusy),
    },
)
async def stale(
    request: Request,
    who: Who,
    form: Form,
    organization: Annotated[UUID | None, Query(description="organization id")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response | StaleReport:
    """List the resources whose newest accepted batch, or version where none came, is older than their update cycle allows.

    A file holds them all: `limit` and `cursor` are of JSON.
    """
    of, now = commands.reads_of(who), utc_now()
    today = day_of(now)
    may_read = of is None or organization in (None, of)

    async def read(**page: Any) -> list[store.Stale]:
        async with request.state.sessions() as tx:  # given back before a file is made, which takes longer than reading
            return [*await store.list_stale(tx, of=of or organization, today=today, **page)] if may_read else []

    if form is Format.JSON:
        rows = await read(after=after_time(cursor), limit=limit)
        page = cut(rows, limit, lambda row: (row[3], row[0].resource_id))
        items = [StaleOut.model_validate(_stale(row, today)) for row in page.items]
        return StaleReport(as_of=now, items=items, next_cursor=page.next_cursor)
    async with _exports.place():
        rows = await read(after=None, limit=None)
        return await as_file(lambda: frames_of((_shown(_stale(row, today)) for row in rows), _COLUMNS), form, name=_TITLE)


def _stale(row: store.Stale, today: date) -> dict[str, Any]:
    resource, owner, arrival, newest_at, fresh_through, steward = row
    return {
        "resource_id": resource.resource_id,
        "resource_code": resource.resource_code,
        "name": resource.name,
        "organization_id": owner.organization_id,
        "organization_name": owner.name,
        "steward": steward,
        "update_cycle": resource.update_cycle,
        "evidence": "version" if arrival is None else "batch",
        "newest_at": newest_at,
        "fresh_through": fresh_through,
        "overdue_days": (today - fresh_through).days,
    }


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    return found | {
        "update_cycle": CYCLE_TITLES[UpdateCycle(found["update_cycle"])],
        "evidence": _EVIDENCE_TITLES[found["evidence"]],
        "newest_at": found["newest_at"].isoformat(timespec="seconds"),
    }
