"""The operator page: what is open, how much of it, how often it is fetched, and what changed last."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

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
    refreshes = (
        await tx.execute(
            select(store.DatasetVersion, store.Dataset)
            .join(store.Dataset, store.Dataset.dataset_id == store.DatasetVersion.dataset_id)
            .order_by(store.DatasetVersion.published_at.desc(), store.DatasetVersion.version.desc())
            .limit(_ROWS)
        )
    ).all()
    newest = list((await tx.scalars(select(store.Dataset).order_by(store.Dataset.refreshed_at.desc()).limit(_ROWS))).all())
    return _pages.page(
        request,
        "dashboard.html",
        totals=await search.totals(tx),
        known=await catalog.count_known(tx),
        per_day=await store.versions_per_day(tx, days=_DAYS, now=utc_now()),
        days=_DAYS,
        refreshes=[{"version": version, "dataset": dataset} for version, dataset in refreshes],
        datasets=newest,
        uses=await store.uses_of(tx, [dataset.dataset_id for dataset in newest]),
    )
