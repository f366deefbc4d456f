"""Results that departments recognise from each other: signed by their issuer, verified by who has them without asking anyone."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from pydantic import ValidationError

from dxmesh_schemas.exchange_results import ATTESTATION_TYPE, KEY_TYPE, RESULT_TYPE, ResultStatement

_ALGORITHMS = ["EdDSA"]


class ResultInvalid(ValueError):
    """A result that proves nothing; `step` names the check that failed: form, attestation, result, state or term."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifiedResult:
    """What a proof shows: this department signed this statement, and the node said so as of a moment."""

    statement: ResultStatement
    issuer: Mapping[str, Any]
    key_id: str
    node: str
    as_of: str


def create_key(path: Path) -> OKPKey:
    """Make an issuer's key and keep it at path, readable by its owner only; an existing file is never replaced (FileExistsError)."""
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)
    return OKPKey.import_key(content)


def load_key(path: Path) -> OKPKey:
    """Load an issuer's key. Raises: ResultInvalid when the file holds another kind of key."""
    try:
        key = OKPKey.import_key(path.read_bytes())
    except (JoseError, ValueError) as wrong:
        raise ResultInvalid("form", f"{path} holds no Ed25519 key in PEM ({wrong})") from wrong
    if key.curve_name != "Ed25519" or not key.is_private:
        raise ResultInvalid("form", f"{path} holds no private Ed25519 key")
    return key


def public_jwk(key: OKPKey) -> dict[str, str]:
    """Return the public part, as it is registered."""
    return {"kty": "OKP", "crv": "Ed25519", "x": str(key.as_dict(private=False)["x"])}


def prove_possession(key: OKPKey, organization_id: UUID) -> str:
    """Return what shows a node that an organization has this key."""
    return _sign(key, KEY_TYPE, {"organization_id": str(organization_id)})


def sign(key: OKPKey, statement: ResultStatement) -> str:
    """Return the result as it is issued: a compact JWS of the statement (RFC 7515, RFC 8037)."""
    return _sign(key, RESULT_TYPE, statement.model_dump(mode="json"))


def _sign(key: OKPKey, typ: str, payload: Mapping[str, Any]) -> str:
    header = {"alg": "EdDSA", "typ": typ, "kid": key.thumbprint()}
    return jws.serialize_compact(header, json.dumps(payload, ensure_ascii=False).encode(), key, algorithms=_ALGORITHMS)


def verify(proof: bytes, node_keys: bytes, *, today: date) -> VerifiedResult:
    """Check a result with nothing but the node's public keys.

    proof: what /v1/results/{id}/proof answered. node_keys: what the node's /.well-known/jwks.json answered, kept from before.
    A result that was revoked later cannot be told from its proof: `as_of` says until when it was good for certain.
    Raises: ResultInvalid saying which step failed and why.
    """
    try:
        given = json.loads(proof)
        result, attestation = str(given["result"]), str(given["attestation"])
        trusted = KeySet.import_key_set(json.loads(node_keys))
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise ResultInvalid("form", f"the proof or the keys are not what a node answers ({wrong!r})") from wrong
    said = _read("attestation", attestation, trusted, ATTESTATION_TYPE)
    if said.get("result_sha256") != hashlib.sha256(result.encode()).hexdigest():
        raise ResultInvalid("attestation", "it is about another result")
    try:
        issuer, key = said["issuer"], OKPKey.import_key(said["jwk"])
        statement = ResultStatement.model_validate(_read("result", result, key, RESULT_TYPE))
    except (JoseError, ValidationError, KeyError, TypeError) as wrong:
        raise ResultInvalid("result", f"what was signed is no result ({wrong})") from wrong
    if str(statement.issuer) != issuer.get("organization_id"):
        raise ResultInvalid("result", f"it names {statement.issuer} as its issuer, the key is {issuer.get('organization_id')}'s")
    if said.get("state") != "valid":
        raise ResultInvalid("state", f"it was revoked at {said.get('revoked_at')}")
    if statement.valid_until is not None and statement.valid_until < today:
        raise ResultInvalid("term", f"it was good until {statement.valid_until}")
    return VerifiedResult(statement, issuer, key.thumbprint(), str(said.get("node")), str(said.get("as_of")))


def _read(step: str, signed: str, key: KeySet | OKPKey, typ: str) -> dict[str, Any]:
    try:
        found = jws.deserialize_compact(signed, key, algorithms=_ALGORITHMS)
        payload: Any = json.loads(found.payload)
    except (JoseError, ValueError) as wrong:
        raise ResultInvalid(step, f"none of the keys signed it ({wrong})") from wrong
    if found.headers().get("typ") != typ or not isinstance(payload, dict):
        raise ResultInvalid(step, f"it was signed as {found.headers().get('typ')!r}, not as {typ!r}")
    return payload
