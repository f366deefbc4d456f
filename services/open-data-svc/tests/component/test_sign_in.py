"""Who sees an operator page: this machine when allowed, a bearer token, or a browser that signed in at the issuer."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from dxmesh_runtime.settings import DashboardSettings
from dxmesh_runtime.shell.access import local_path
from dxmesh_runtime.testing import listening, serving
from open_data_svc.app import create_app

SECRET = "a-secret"


@pytest.fixture
async def issuer(open_data: Any) -> AsyncIterator[str]:
    """Yield the address of an OAuth2 issuer that knows three clients: operator, auditor, and one it cannot serve."""
    app = FastAPI()

    @app.post("/oauth/token")
    async def token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if form.get("client_id") == "broken":
            return Response("<html>not JSON</html>")
        if form.get("client_secret") != SECRET or form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "invalid_client"}, 401)
        address = str(request.base_url).rstrip("/")
        return JSONResponse({"access_token": open_data.tokens.token(None, form["client_id"], iss=address), "expires_in": 900})

    async with listening(app) as url:
        yield url


def _app(open_data: Any, issuer: str, **dashboard: Any) -> FastAPI:
    auth = open_data.settings.auth.model_copy(update={"issuer": issuer})
    return create_app(open_data.settings.model_copy(update={"auth": auth, "dashboard": DashboardSettings(**dashboard)}))


async def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(open_data: Any, issuer: str) -> None:
    async with serving(_app(open_data, issuer)) as client:
        refused = await client.get("/dashboard?x=1")
        assert refused.status_code == 303
        form = await client.get(refused.headers["location"])
        assert 'value="/dashboard?x=1"' in form.text
        answer = await client.post("/dashboard/sign-in", data={"client_id": "operator", "client_secret": SECRET, "next": "/dashboard?x=1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard?x=1")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/dashboard" in cookie
        assert (await client.get("/dashboard")).status_code == 200
        out = await client.post("/dashboard/sign-out")
        assert out.status_code == 303
        assert (await client.get("/dashboard")).status_code == 303


@pytest.mark.parametrize(
    ("client_id", "secret", "status", "shown"),
    [
        ("operator", "wrong", 403, "The client id or secret is not right"),
        ("auditor", SECRET, 403, "neither the role operator nor authority"),
        ("broken", SECRET, 503, "cannot be reached"),
        ('"><script>alert(1)</script>', "wrong", 403, "not right"),
    ],
)
async def test_a_refused_sign_in_says_why_and_sets_nothing(
    open_data: Any, issuer: str, client_id: str, secret: str, status: int, shown: str
) -> None:
    async with serving(_app(open_data, issuer)) as client:
        answer = await client.post("/dashboard/sign-in", data={"client_id": client_id, "client_secret": secret})
        assert answer.status_code == status
        assert shown in answer.text
        assert "<script>alert" not in answer.text
        assert "set-cookie" not in answer.headers


async def test_an_issuer_that_is_away_is_said_to_be(open_data: Any) -> None:
    async with serving(_app(open_data, "http://127.0.0.1:1")) as client:
        answer = await client.post("/dashboard/sign-in", data={"client_id": "operator", "client_secret": SECRET})
        assert answer.status_code == 503


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"x" * 100_000, b"client_id", b"&" * 8_000])
async def test_a_form_that_is_none_is_refused(open_data: Any, issuer: str, body: bytes) -> None:
    async with serving(_app(open_data, issuer)) as client:
        assert (await client.post("/dashboard/sign-in", content=body)).status_code == 403


async def test_another_site_cannot_sign_a_browser_in(open_data: Any, issuer: str) -> None:
    async with serving(_app(open_data, issuer)) as client:
        form = {"client_id": "operator", "client_secret": SECRET}
        answer = await client.post("/dashboard/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)", "dashboard", "", "/x\r\nSet-Cookie: a=b", "/a\\b"]
)
def test_signing_in_never_leads_to_another_site(target: str) -> None:
    assert local_path(target) == "/dashboard"


def test_signing_in_leads_back_to_where_one_came_from() -> None:
    assert local_path("/dashboard?page=2") == "/dashboard?page=2"


async def test_this_machine_needs_no_sign_in_where_that_is_allowed(open_data: Any, issuer: str) -> None:
    here = {"Host": "127.0.0.1:8104"}
    async with serving(_app(open_data, issuer, loopback_open=True)) as client:
        assert (await client.get("/dashboard", headers=here)).status_code == 200
        assert (await client.get("/dashboard", headers={"Host": "[::1]:8104"})).status_code == 200
        assert (await client.get("/dashboard", headers=here | {"X-Forwarded-For": "203.0.113.9"})).status_code == 303
        assert (await client.get("/dashboard", headers={"Host": "rebound.evil.test"})).status_code == 303
    async with serving(_app(open_data, issuer)) as client:
        assert (await client.get("/dashboard", headers=here)).status_code == 303


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u00e9"])
async def test_a_token_that_is_none_leads_to_the_sign_in_page(open_data: Any, token: str) -> None:
    answer = await open_data.client.get("/dashboard", headers={"Authorization": f"Bearer {token}".encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 303
