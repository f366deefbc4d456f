"""Liveness and readiness: what must hold before work is sent to this process."""

from weakref import WeakSet

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dxmesh_runtime.db import Database

_flags: "WeakSet[Flag]" = WeakSet()  # what was made and never run goes with its owner


class Flag:
    """A condition of this process that readiness waits for; it registers itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_set = False
        _flags.add(self)

    def set(self) -> None:
        """Say that the condition holds."""
        self._is_set = True

    def clear(self) -> None:
        """Say that it does not."""
        self._is_set = False

    def discard(self) -> None:
        """Forget the condition: its owner has ended."""
        _flags.discard(self)

    def __bool__(self) -> bool:
        return self._is_set


def router() -> APIRouter:
    """Return /livez, /readyz and /metrics; readiness covers the database and every flag of this process."""
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        """Answer while the event loop turns."""
        return {"status": "alive"}

    @routes.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> JSONResponse:
        """Answer 200 when database, broker and assignment are there, else 503 with what is missing."""
        missing = sorted(flag.name for flag in _flags if not flag)
        database: Database = request.state.database
        try:
            async with database.sessions() as session:
                await session.execute(text("SELECT 1"))
        except (DBAPIError, OSError, TimeoutError):
            missing.append("database")
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    @routes.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Return Prometheus metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
