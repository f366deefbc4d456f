"""Reading a token request and making a token's claims (RFC 6749 sections 2.3 and 4.4, RFC 9068)."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from catalog_svc.token.errors import InvalidClient, InvalidRequest, InvalidScope, UnsupportedGrantType

MAX_BODY_BYTES = 8192
_MAX_FIELDS = 20
_MEDIA_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Who asks, and for which roles (None: all it has)."""

    client_id: str
    client_secret: str
    scope: tuple[str, ...] | None


def read_request(authorization: str | None, content_type: str | None, body: bytes) -> TokenRequest:
    """Read a client-credentials request, the client in HTTP Basic or in the form.

    Raises: InvalidRequest, InvalidClient, UnsupportedGrantType.
    """
    form = _read_form(content_type, body)
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise InvalidRequest("grant_type is missing; send grant_type=client_credentials")
    if grant_type != "client_credentials":
        raise UnsupportedGrantType("only grant_type=client_credentials is granted here")
    in_form = form.get("client_id"), form.get("client_secret")
    if authorization is not None:
        client_id, secret = _read_basic(authorization)
        if in_form[1] is not None or in_form[0] not in (None, client_id):
            raise InvalidRequest("the client is named twice; use either HTTP Basic or client_id and client_secret in the form")
    elif in_form[0] is not None and in_form[1] is not None:
        client_id, secret = in_form[0], in_form[1]
    else:
        raise InvalidClient("the client is not named; use HTTP Basic, or client_id and client_secret in the form")
    scope = form.get("scope")
    return TokenRequest(client_id, secret, None if scope is None else tuple(scope.split()))


def _read_form(content_type: str | None, body: bytes) -> dict[str, str]:
    if (content_type or "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise InvalidRequest(f"the body must be {_MEDIA_TYPE}")
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as wrong:
        raise InvalidRequest("the body is not a form of at most 20 fields in UTF-8") from wrong
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidRequest("a parameter is given more than once")
    return form


def _read_basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("the Authorization header must be HTTP Basic")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        if not colon:
            raise InvalidClient("the Basic credentials have no colon")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError) as wrong:
        raise InvalidClient("the Basic credentials cannot be decoded") from wrong


def granted_roles(held: Sequence[str], scope: tuple[str, ...] | None) -> list[str]:
    """Return the roles a token carries: all held ones, or those asked for. Raises: InvalidScope for one that is not held."""
    if not scope:
        return sorted(held)
    if not set(scope) <= set(held):
        raise InvalidScope("the client does not have every role asked for; leave scope out to get those it has")
    return sorted(set(scope))


def claims(
    *,
    issuer: str,
    audience: str,
    client_id: str,
    organization_id: UUID | None,
    roles: Sequence[str],
    token_id: str,
    now: datetime,
    lifetime_seconds: int,
) -> dict[str, Any]:
    """Return the claims of an access token (RFC 9068 section 2.2); `org` is left out for node-wide clients."""
    issued_at = int(now.timestamp())
    found: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "sub": client_id,
        "client_id": client_id,
        "roles": list(roles),
        "scope": " ".join(roles),
        "iat": issued_at,
        "exp": issued_at + lifetime_seconds,
        "jti": token_id,
    }
    if organization_id is not None:
        found["org"] = str(organization_id)
    return found
