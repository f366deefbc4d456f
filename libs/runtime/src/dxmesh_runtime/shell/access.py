"""Who may see an operator page: this machine when allowed, a bearer token, or a browser that signed in."""

import ipaddress
from collections.abc import Callable
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

import httpx
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from dxmesh_runtime.auth import Principal, Principals
from dxmesh_schemas.problem import Problem

COOKIE = "dxmesh_dashboard"
SIGN_IN = "/dashboard/sign-in"
ROLES = ("operator", "authority")
_MAX_FORM_BYTES = 8_192
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class SignInNeeded(Exception):
    """The page is for operators and the caller is not known as one; answered with a way to the sign-in page."""


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def from_this_machine(request: Request) -> bool:
    """Say whether a request comes from this machine directly.

    The Host header must name the machine too, or any web page could read the dashboard through a name of its own that resolves to
    127.0.0.1; a forwarded request comes from elsewhere.
    """
    client = request.client.host if request.client else None
    return _is_loopback(client) and _is_loopback(request.url.hostname) and not any(name in request.headers for name in _FORWARDED)


async def operator(request: Request) -> Principal | None:
    """Return who looks at an operator page; None is this machine's own user. Raises SignInNeeded."""
    if request.state.settings.dashboard.loopback_open and from_this_machine(request):
        return None
    cookie = request.cookies.get(COOKIE)
    authorization = request.headers.get("authorization") or (f"Bearer {cookie}" if cookie else None)
    principals: Principals = request.state.principals
    try:
        who = await principals.of(authorization)
    except Problem as refused:
        raise SignInNeeded from refused
    if not any(who.has(role) for role in ROLES):
        raise SignInNeeded
    return who


DashboardAccess = Annotated[Principal | None, Depends(operator)]


def local_path(target: str) -> str:
    """Return a target within this service, or the dashboard's address for anything that could lead elsewhere."""
    parts = urlsplit(target)
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if inside and target.isprintable() and "\\" not in target else "/dashboard"


async def _admit(request: Request, client_id: str, client_secret: str) -> tuple[str, int] | str:
    """Exchange a credential for a token at the issuer; a text answer names what is wrong: refused, role or unreachable."""
    principals: Principals = request.state.principals
    issuer = request.state.settings.auth.issuer.rstrip("/")
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.post(f"{issuer}/oauth/token", data=form)
        if answer.status_code >= 500:
            return "unreachable"
        if answer.status_code != 200:
            return "refused"
        token, seconds = str(answer.json()["access_token"]), int(answer.json().get("expires_in", 900))
        who = await principals.of(f"Bearer {token}")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "unreachable"
    except Problem as problem:
        return "unreachable" if problem.status >= 500 else "refused"
    return (token, seconds) if any(who.has(role) for role in ROLES) else "role"


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_FORM_BYTES:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def install(app: FastAPI, page: Callable[..., HTMLResponse]) -> None:
    """Add the sign-in page, signing out, and the answer to SignInNeeded."""

    @app.exception_handler(SignInNeeded)
    async def lead_to_sign_in(request: Request, _: Exception) -> Response:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{SIGN_IN}?next={quote(target, safe='')}", status_code=303, headers={"Cache-Control": "no-store"})

    @app.get(SIGN_IN, include_in_schema=False)
    async def show_sign_in(request: Request, next: str = "/dashboard") -> HTMLResponse:  # noqa: A002
        return page(request, "shell/sign_in.html", refresh_seconds=0, target=local_path(next), client_id="", fault=None)

    @app.post(SIGN_IN, include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        form = await _form(request)
        target, client_id = local_path(form.get("next", "/dashboard")), form.get("client_id", "").strip()
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            admitted: tuple[str, int] | str = "foreign"
        else:
            admitted = await _admit(request, client_id, form.get("client_secret", ""))
        if isinstance(admitted, str):
            status = 503 if admitted == "unreachable" else 403
            fields = {"target": target, "client_id": client_id, "fault": admitted}
            return page(request, "shell/sign_in.html", status=status, refresh_seconds=0, **fields)
        token, seconds = admitted
        response = RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, max_age=seconds, path="/dashboard", httponly=True, samesite="strict", secure=secure)
        return response

    @app.post("/dashboard/sign-out", include_in_schema=False)
    async def sign_out() -> Response:
        response = RedirectResponse(SIGN_IN, status_code=303)
        response.delete_cookie(COOKIE, path="/dashboard", httponly=True, samesite="strict")
        return response
