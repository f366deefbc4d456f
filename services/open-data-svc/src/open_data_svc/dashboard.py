"""The operator page: what is open, how much of it, how often it is fetched, and what changed last."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dxmesh_runtime import shell
from dxmesh_runtime.db import Tx, utc_now
from open_data_svc.catalog import store as catalog
from open_data_svc.dataset import search, store

router = APIRouter(include_in_schema=False)
_pages = shell.renderer("open_data_svc", service="open-data-svc")
_DAYS = 14
_ROWS = 15


@router.get("/dashboard", response_class=HTMLResponse)
async def dashboard(request: Request, _: shell.DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show the numbers of the portal, the last versions, and the datasets fetched most."""
    newest = await store.list_newest(tx, limit=_ROWS)
    return _pages.page(
        request,
        "dashboard.html",
        totals=await search.totals(tx),
        known=await catalog.count_known(tx),
        per_day=await store.versions_per_day(tx, days=_DAYS, now=utc_now()),
        days=_DAYS,
        refreshes=await store.list_refreshes(tx, limit=_ROWS),
        datasets=newest,
        uses=await store.uses_of(tx, [dataset.dataset_id for dataset in newest]),
    )
