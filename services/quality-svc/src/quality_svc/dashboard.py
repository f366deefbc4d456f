"""The operator's page: what came in, how much of it is good, and which rules are broken most."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dxmesh_runtime import shell
from dxmesh_runtime.db import Tx
from dxmesh_runtime.shell import DashboardAccess
from dxmesh_schemas.quality import Outcome
from quality_svc.assessment import store as assessments
from quality_svc.catalog import store as catalog

router = APIRouter(include_in_schema=False)
_pages = shell.renderer("quality_svc")


@router.get("/dashboard")
async def show(request: Request, _: DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show the assessments as they are now."""
    counted = await assessments.count_by_outcome(tx)
    newest = await assessments.list_newest(tx, 20)
    received = sum(rows for _, rows, _ in counted.values())
    bad = sum(rows for _, _, rows in counted.values())
    return _pages.page(
        request,
        "dashboard.html",
        resource_count=await catalog.count_resources(tx),
        batches={outcome: counted.get(outcome.value, (0, 0, 0))[0] for outcome in Outcome},
        received_count=received,
        bad_count=bad,
        bad_ratio=bad / received if received else None,
        shares=await assessments.list_shares(tx, 10),
        most_broken=await assessments.list_most_broken(tx, 10),
        newest=newest,
        names=await catalog.list_names(tx, {row.resource_id for row in newest}),
    )
