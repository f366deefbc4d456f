"""What is wired for HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from audit_svc import dashboard
from audit_svc.checkpoint import routes as checkpoint
from audit_svc.checkpoint.domain import Signer
from audit_svc.ledger import routes as ledger
from audit_svc.log import routes as log
from audit_svc.receipt import routes as receipt
from audit_svc.settings import Settings
from dxmesh_runtime import app, signing
from dxmesh_runtime.db import Database


def create_app(settings: Settings) -> FastAPI:
    """Return the app of audit-svc; `request.state.signer` holds the log's name and key."""
    signer = Signer(settings.log.origin, signing.load_key(settings.signing.key_file))

    @asynccontextmanager
    async def state(_: Database) -> AsyncIterator[dict[str, Any]]:
        yield {"signer": signer}

    return app.build(
        settings,
        name="audit-svc",
        title="audit-svc",
        routers=[checkpoint.router, log.router, receipt.router, ledger.router, dashboard.router],
        state=state,
    )
