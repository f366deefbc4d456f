"""What every service's HTTP side has in common: state, problems, health, metrics, traces, access log."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dxmesh_runtime import health, problems, shell, telemetry
from dxmesh_runtime.auth import Principals
from dxmesh_runtime.body import LimitJson
from dxmesh_runtime.db import Database, connect
from dxmesh_runtime.settings import ServiceSettings

log = structlog.get_logger("http")
_QUIET = ("/livez", "/readyz", "/metrics", "/static/")
State = Callable[[Database], AbstractAsyncContextManager[dict[str, Any]]]


class Observe:
    """Put each request in a span, count its time by route and status, and log it in one line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"}
        begun = time.perf_counter()
        with telemetry.tracer.start_as_current_span(f"HTTP {scope['method']}", context=extract(carrier), kind=SpanKind.SERVER) as span:
            try:
                await self._app(scope, receive, observed)
            finally:
                seconds = time.perf_counter() - begun
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(trace.StatusCode.ERROR)
                telemetry.http_seconds.labels(scope["method"], route, status).observe(seconds)
                log.info(
                    "http.answered", method=scope["method"], path=scope["path"], route=route, status=status, ms=round(seconds * 1000, 1)
                )


def _noun(route: APIRoute) -> str:
    return route.endpoint.__module__.split(".")[1]


def build(settings: ServiceSettings, *, name: str, title: str, routers: Sequence[APIRouter], state: State | None = None) -> FastAPI:
    """Return the service's app.

    `request.state` holds `settings`, `database`, `sessions`, `principals`, and what `state(database)` yields.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        database = connect(settings.database)
        common = {
            "settings": settings,
            "database": database,
            "sessions": database.sessions,
            "principals": Principals(settings.auth),
        }
        try:
            if state is None:
                yield common
            else:
                async with state(database) as own:
                    yield common | own
        finally:
            await database.close()

    app = FastAPI(
        title=title,
        version="1",
        lifespan=lifespan,
        openapi_url=None,  # the shell serves it from bytes it keeps, and a page that needs no other host
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},  # Observe does it once
        generate_unique_id_function=lambda route: f"{name}-{_noun(route)}-{route.name}",
    )
    problems.install(app)
    shell.mount(app)
    app.include_router(health.router())
    for router in routers:
        app.include_router(router)

    @app.get("/", include_in_schema=False)
    async def front() -> RedirectResponse:  # of a service that has no page of its own there
        return RedirectResponse("/dashboard")

    app.add_middleware(LimitJson, max_bytes=settings.server.json_max_bytes)
    app.add_middleware(Observe)
    return app
