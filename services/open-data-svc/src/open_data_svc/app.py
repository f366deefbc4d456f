"""What is wired for HTTP: the portal, downloads, the CKAN face, the operator page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from dxmesh_runtime import app as http
from dxmesh_runtime.db import Database
from dxmesh_tabular.store import ObjectStore
from open_data_svc import dashboard
from open_data_svc.ckan import routes as ckan
from open_data_svc.download import routes as download
from open_data_svc.portal import routes as portal
from open_data_svc.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Return the app of open-data-svc."""

    @asynccontextmanager
    async def state(_: Database) -> AsyncIterator[dict[str, Any]]:
        yield {"objects": ObjectStore.open(settings.object_store.url), "portal": settings.portal}

    routers = [portal.router, download.router, ckan.router, dashboard.router]
    app = http.build(settings, name="open-data-svc", title="open-data-svc", routers=routers, state=state)
    app.mount("/assets", StaticFiles(directory=Path(__file__).parent / "static"), name="assets")
    return app
