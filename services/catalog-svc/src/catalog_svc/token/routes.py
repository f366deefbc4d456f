"""The token endpoint and what clients need to find and check it (RFC 6749 section 4.4, RFC 7517, RFC 8414)."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from catalog_svc.credential.errors import TooManyChecks
from catalog_svc.token import commands, domain
from catalog_svc.token.errors import InvalidRequest, TokenRefused
from catalog_svc.token.issuer import Issuer
from dxmesh_runtime.db import utc_now

router = APIRouter(tags=["tokens"])
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_PUBLIC = {"Cache-Control": "public, max-age=300"}


class TokenOut(BaseModel):
    """A granted token (RFC 6749 section 5.1)."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class TokenError(BaseModel):
    """A refused request (RFC 6749 section 5.2)."""

    error: str
    error_description: str


_FORM = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": {"type": "string", "enum": ["client_credentials"]},
                    "client_id": {"type": "string"},
                    "client_secret": {"type": "string"},
                    "scope": {"type": "string", "description": "roles, separated by blanks; all the client has when left out"},
                },
            }
        }
    },
}


@router.post(
    "/oauth/token",
    response_model=TokenOut,
    responses={400: {"model": TokenError}, 401: {"model": TokenError}, 503: {"model": TokenError}},
    openapi_extra={"requestBody": _FORM},
)
async def token(request: Request) -> JSONResponse:
    """Give a client a token for its credential (HTTP Basic, or client_id and client_secret in the form)."""
    issuer: Issuer = request.state.issuer
    try:
        body = await _read(request)
        asked = domain.read_request(request.headers.get("authorization"), request.headers.get("content-type"), body)
        granted = await commands.grant_token(request.state.sessions, request.state.secret_checks, issuer, asked, now=utc_now())
    except TokenRefused as refused:
        headers = {**_NOT_KEPT, "WWW-Authenticate": 'Basic realm="dxmesh"'} if refused.status == 401 else _NOT_KEPT
        return _error(refused.status, refused.error, refused.description, headers)
    except TooManyChecks as busy:
        headers = {**_NOT_KEPT, "Retry-After": str(busy.members["retry_after_seconds"])}
        return _error(busy.status, "temporarily_unavailable", busy.detail, headers)
    answer = TokenOut(access_token=granted.token, token_type="Bearer", expires_in=issuer.lifetime_seconds, scope=" ".join(granted.roles))
    return JSONResponse(answer.model_dump(), headers=_NOT_KEPT)


@router.get("/.well-known/jwks.json")
async def keys(request: Request) -> JSONResponse:
    """Return the keys tokens are checked with."""
    return JSONResponse(_issuer(request).key_set(), headers=_PUBLIC)


@router.get("/.well-known/oauth-authorization-server")
async def metadata(request: Request) -> JSONResponse:
    """Say where tokens come from and how (RFC 8414)."""
    return JSONResponse(_issuer(request).metadata(), headers=_PUBLIC)


def _issuer(request: Request) -> Issuer:
    issuer: Issuer = request.state.issuer
    return issuer


def _error(status: int, error: str, description: str, headers: dict[str, Any]) -> JSONResponse:
    return JSONResponse(TokenError(error=error, error_description=description).model_dump(), status_code=status, headers=headers)


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > domain.MAX_BODY_BYTES:
            raise InvalidRequest(f"the form has more than {domain.MAX_BODY_BYTES} bytes")
    return bytes(body)
