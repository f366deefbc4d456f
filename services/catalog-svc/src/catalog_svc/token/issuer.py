"""The node's own token issuer: its key, and access tokens signed with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OKPKey

from catalog_svc.token import domain
from dxmesh_runtime import signing
from dxmesh_runtime.db import uuid7


@dataclass(frozen=True, slots=True)
class Issuer:
    """Signs access tokens as `url`, good for `lifetime_seconds`."""

    key: OKPKey
    public_jwk: dict[str, str]
    url: str
    audience: str
    lifetime_seconds: int

    def sign(self, *, client_id: str, organization_id: UUID | None, roles: Sequence[str], now: datetime) -> str:
        """Return an access token (RFC 9068, EdDSA by RFC 8037)."""
        payload = domain.claims(
            issuer=self.url,
            audience=self.audience,
            client_id=client_id,
            organization_id=organization_id,
            roles=roles,
            token_id=str(uuid7()),
            now=now,
            lifetime_seconds=self.lifetime_seconds,
        )
        header = {"alg": "EdDSA", "typ": "at+jwt", "kid": self.public_jwk["kid"]}
        return jwt.encode(header, payload, self.key, algorithms=["EdDSA"])

    def key_set(self) -> dict[str, Any]:
        """Return the public key as a JWK set (RFC 7517)."""
        return {"keys": [self.public_jwk]}

    def metadata(self) -> dict[str, Any]:
        """Return the authorization server's metadata (RFC 8414 section 2)."""
        base = self.url.rstrip("/")
        return {
            "issuer": self.url,
            "token_endpoint": f"{base}/oauth/token",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": ["auditor", "authority", "cdo", "operator", "steward"],
        }


def make(key: Ed25519PrivateKey, *, url: str, audience: str, lifetime_seconds: int) -> Issuer:
    """Make the issuer of a key."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issuer(OKPKey.import_key(pem), signing.jwk(key.public_key()), url, audience, lifetime_seconds)
