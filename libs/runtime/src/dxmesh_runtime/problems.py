"""Problems on the wire: every error leaves as application/problem+json (RFC 9457)."""

from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from dxmesh_runtime.db import is_away, is_unstorable
from dxmesh_schemas.problem import PROBLEM_BASE, Invalid, NotFound, Problem, Unauthenticated, Unavailable, Unreadable, UnsupportedMedia

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_SCHEMA = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}}},
        },
    },
}


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may raise these; 401 and 422 belong to every route with a token and parameters."""
    responses: dict[int | str, dict[str, Any]] = {}
    every: tuple[type[Problem], ...] = (*kinds, Unauthenticated, Invalid)
    for kind in every:
        known = responses.get(kind.status)
        title = f"{known['description']}; {kind.title}" if known and kind.title not in known["description"] else kind.title
        responses[kind.status] = {"description": title, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return responses


def _trace_id() -> str | None:
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def _answer(request: Request, body: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    body["instance"] = request.url.path
    if (trace_id := _trace_id()) is not None:
        body["trace_id"] = trace_id
    return JSONResponse(body, status_code=body["status"], media_type=MEDIA_TYPE, headers=headers)


async def _on_problem(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    headers: dict[str, str] = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="dxmesh"'
    if "retry_after_seconds" in problem.members:
        headers["Retry-After"] = str(problem.members["retry_after_seconds"])
    if problem.status >= 500:
        log.warning("http.problem", slug=problem.slug, detail=problem.detail)
    return _answer(request, problem.as_dict(), headers)


def _pointer(location: tuple[Any, ...]) -> str:
    where, *path = location or ("body",)
    escaped = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    return "/" + "/".join(escaped) if where == "body" else f"{where}:{'/'.join(escaped)}"


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return _answer(request, Unreadable(f"the body is not JSON: {found[0].get('ctx', {}).get('error', found[0]['msg'])}").as_dict())
    errors = [{"pointer": _pointer(item["loc"]), "detail": item["msg"].removeprefix("Value error, ")} for item in found]
    detail = "; ".join(f"{item['pointer']}: {item['detail']}" for item in errors[:5])
    return _answer(request, Invalid(detail, errors=errors).as_dict())


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):  # as it was raised while the body was read
        return await _on_problem(request, error.__cause__)
    if isinstance(error.__cause__, RecursionError):
        return _answer(request, Unreadable("the body nests deeper than JSON is read here; send it flatter").as_dict())
    kinds: dict[int, type[Problem]] = {404: NotFound, 415: UnsupportedMedia, 401: Unauthenticated, 400: Unreadable}
    kind = kinds.get(error.status_code)
    detail = str(error.detail)
    if error.status_code in (404, 405) and detail in ("Not Found", "Method Not Allowed"):  # as the router says it, without a reason
        detail = f"{request.method} {request.url.path} is nothing this service answers; /openapi.json lists what is"
    body = {
        "type": kind.type_url() if kind else PROBLEM_BASE + "http",
        "title": kind.title if kind else str(error.detail),
        "status": error.status_code,
        "detail": detail,
    }
    return _answer(request, body, dict(error.headers or {}))


async def _on_database(request: Request, error: Exception) -> JSONResponse:
    if is_unstorable(error):  # a field that lets such a value through is told in the log; the caller is told what to change
        log.warning("http.unstorable", path=request.url.path, error=type(error.__cause__ or error).__name__)
        detail = "a value is beyond what is kept: times lie in the years 1 to 9999 in UTC, numbers within 64 bits, and text has no U+0000"
        return await _on_problem(request, Invalid(f"{detail}; correct it and send it again"))
    if not is_away(error):
        return await _on_unknown(request, error)
    log.warning("http.database_away", path=request.url.path, error=repr(error))
    detail = "the service's database is away for the moment: nothing was changed unless an earlier answer said so; send the same again"
    return await _on_problem(request, Unavailable(detail, retry_after_seconds=1))


async def _on_unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("http.failed", path=request.url.path, exc_info=error)
    return _answer(request, Problem("The fault is on our side and was logged; quote the trace_id.").as_dict())


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem, and describe its form once; unknown exceptions become a 500 with a fixed text."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        document = describe()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _SCHEMA
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend it
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    for database_error in (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError):
        app.add_exception_handler(database_error, _on_database)
    app.add_exception_handler(Exception, _on_unknown)
