"""Who calls: bearer tokens checked against the issuer's keys, and the roles they carry."""

import json
import time
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import httpx
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dxmesh_runtime.settings import AuthSettings
from dxmesh_schemas.problem import Forbidden, Unauthenticated, Unavailable

log = structlog.get_logger(__name__)
ALGORITHMS = ["EdDSA", "Ed25519", "ES256", "RS256", "PS256"]
_CLOCK_SKEW_SECONDS = 30
_KEYS_FRESH_SECONDS = 300
_KEYS_RETRY_SECONDS = 5
_MOST_VERIFIED = 1_000


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: a client of the issuer, acting for at most one organization."""

    subject: str
    organization_id: UUID | None
    roles: frozenset[str] = field(default_factory=frozenset)

    def has(self, role: str) -> bool:
        """Say whether the token carries a role."""
        return role in self.roles

    @property
    def own_organization(self) -> UUID:
        """Return the organization the caller acts for. Raises Forbidden (403) for a node-wide client."""
        if self.organization_id is None:
            raise Forbidden("this token names no organization (claim `org`); use a credential of a department")
        return self.organization_id


class Principals:
    """Turns tokens into principals; keeps the issuer's keys and goes on with them while the issuer is away."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._keys: KeySet | None = KeySet.import_key_set(json.loads(settings.jwks)) if settings.jwks else None
        self._fixed = self._keys is not None
        self._verified: dict[str, dict[str, Any]] = {}  # claims of tokens whose signature is good; most callers come again
        self._fetched_at = 0.0
        self._tried_at = 0.0

    async def of(self, authorization: str | None) -> Principal:
        """Check an Authorization header. Raises Unauthenticated (401), Unavailable (503) when no key was ever seen."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send `Authorization: Bearer <token>`; tokens come from the issuer's /oauth/token")
        token = token.strip()
        keys = await self._current_keys()
        claims = self._verified.get(token)
        if claims is None:
            claims = await self._verify(token, keys)
            if len(self._verified) >= _MOST_VERIFIED:
                self._verified.clear()
            self._verified[token] = claims
        return self._principal(claims)

    async def _verify(self, token: str, keys: KeySet) -> dict[str, Any]:
        try:
            return jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError) as wrong:
            if not await self._refreshed():
                raise Unauthenticated(f"the token does not verify: {str(wrong).rstrip(': ')}; ask for a new one") from wrong
        try:
            return jwt.decode(token, await self._current_keys(), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError) as still:
            raise Unauthenticated(f"the token does not verify: {str(still).rstrip(': ')}; ask for a new one") from still

    def _principal(self, claims: dict[str, Any]) -> Principal:
        try:
            jwt.JWTClaimsRegistry(
                leeway=_CLOCK_SKEW_SECONDS,
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": self._settings.audience},
                exp={"essential": True},
                sub={"essential": True},
            ).validate(claims)
            organization = claims.get("org")
            return Principal(str(claims["sub"]), UUID(organization) if organization else None, frozenset(claims.get("roles", ())))
        except (JoseError, ValueError, TypeError, AttributeError) as wrong:
            raise Unauthenticated(f"the token is not good here: {wrong}; ask the issuer for a new one") from wrong

    async def _current_keys(self) -> KeySet:
        if self._fixed and self._keys is not None:
            return self._keys
        if self._keys is None or time.monotonic() - self._fetched_at > _KEYS_FRESH_SECONDS:
            await self._refreshed()
        if self._keys is None:
            raise Unavailable("the issuer's keys cannot be fetched yet; try again shortly", retry_after_seconds=_KEYS_RETRY_SECONDS)
        return self._keys

    async def _refreshed(self) -> bool:
        if self._fixed or (self._keys is not None and time.monotonic() - self._tried_at < _KEYS_RETRY_SECONDS):
            return False
        self._tried_at = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                answer = await client.get(self._settings.keys_url)
                answer.raise_for_status()
                self._keys = KeySet.import_key_set(answer.json())
                self._verified.clear()  # a key may have been taken back
        except (httpx.HTTPError, ValueError, JoseError) as wrong:
            log.warning("auth.keys_not_fetched", url=self._settings.keys_url, error=str(wrong))
            return False
        self._fetched_at = time.monotonic()
        return True


_described = HTTPBearer(bearerFormat="JWT", description="An access token of the mesh's issuer.", auto_error=False)  # for /openapi.json


async def principal(request: Request, _: Annotated[object, Depends(_described)]) -> Principal:
    """Return the caller of this request. Raises Unauthenticated (401)."""
    principals: Principals = request.state.principals
    return await principals.of(request.headers.get("authorization"))


Who = Annotated[Principal, Depends(principal)]


class _Role:
    def __init__(self, *roles: str, organization: bool = False) -> None:
        self._roles, self._organization = roles, organization

    async def __call__(self, who: Who) -> Principal:
        if not any(who.has(role) for role in self._roles):
            raise Forbidden(f"this needs the role {' or '.join(self._roles)}; the token has {', '.join(sorted(who.roles)) or 'none'}")
        if self._organization:
            _ = who.own_organization
        return who


Steward = Annotated[Principal, Depends(_Role("steward", organization=True))]
Authority = Annotated[Principal, Depends(_Role("authority"))]
Overseer = Annotated[Principal, Depends(_Role("steward", "authority"))]
Auditor = Annotated[Principal, Depends(_Role("auditor", "authority"))]
