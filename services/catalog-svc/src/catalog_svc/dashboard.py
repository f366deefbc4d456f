"""The operator page of the catalogue: totals, the newest resources, what waits to be published on Kafka."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import func, select

from catalog_svc.organization import store as organizations
from catalog_svc.resource import store as resources
from catalog_svc.system import store as systems
from dxmesh_runtime import shell
from dxmesh_runtime.db import Tx
from dxmesh_runtime.outbox import outbox
from dxmesh_runtime.shell import DashboardAccess

router = APIRouter(include_in_schema=False)
_pages = shell.renderer("catalog_svc")
_NEWEST = 20
_STATES = (("draft", "草稿 Draft", "busy"), ("published", "已发布 Published", "good"), ("withdrawn", "已撤回 Withdrawn", "idle"))


@router.get("/dashboard")
async def show(request: Request, _: DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show the state of the catalogue."""
    by_state = await resources.totals(tx)
    published = by_state.get("published", (0, 0, 0))
    pending = outbox.c.published_at.is_(None)
    waiting, oldest, last = (
        await tx.execute(
            select(func.count().filter(pending), func.min(outbox.c.created_at).filter(pending), func.max(outbox.c.published_at))
        )
    ).one()
    return _pages.page(
        request,
        "dashboard.html",
        organization_count=await organizations.count(tx),
        system_count=await systems.count(tx),
        resource_count=sum(count for count, _, _ in by_state.values()),
        item_count=published[1],
        shareable_item_count=published[2],
        states=[(label, by_state.get(state, (0, 0, 0))[0], kind) for state, label, kind in _STATES],
        state_labels={state: (label, kind) for state, label, kind in _STATES},
        newest=await resources.newest(tx, _NEWEST),
        outbox_waiting=waiting,
        outbox_oldest=oldest,
        outbox_last=last,
    )
