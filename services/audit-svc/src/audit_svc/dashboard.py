"""The operator's page: the log, its newest entries, and whether the ledger adds up."""

from base64 import b64encode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from audit_svc.checkpoint import store as checkpoints
from audit_svc.ledger import domain as ledger_rules
from audit_svc.ledger import store as ledger
from audit_svc.log import store as log
from dxmesh_runtime import shell
from dxmesh_runtime.db import Tx
from dxmesh_runtime.shell import DashboardAccess

router = APIRouter(include_in_schema=False)
_pages = shell.renderer("audit_svc")


@router.get("/dashboard")
async def show(request: Request, _: DashboardAccess, tx: Tx) -> HTMLResponse:
    """Show the log and the ledger as they are now."""
    newest = await checkpoints.find_newest(tx)
    tree = await log.get_tree(tx)
    batches = await ledger.list_newest(tx, 10)
    return _pages.page(
        request,
        "dashboard.html",
        tree=tree,
        checkpoint=newest,
        root=b64encode(newest.root_hash).decode() if newest else None,
        log_key=request.state.signer.log_key,
        types=await log.list_event_types(tx),
        entries=await log.list_newest(tx, 15),
        totals=await ledger.get_totals(tx),
        batches=[(batch, ledger_rules.is_balanced(batch, await ledger.list_deliveries(tx, batch.batch_id))) for batch in batches],
    )
