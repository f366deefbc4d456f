"""Ed25519 keys: made, loaded, published as JWK, and signing JWS (RFC 8037, RFC 7515)."""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key


def create_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and keep it at path, readable by its owner only; an existing file is never replaced (FileExistsError)."""
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Load a PKCS8 PEM key. Raises ValueError when the file holds another kind of key."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds a {type(key).__name__}, not an Ed25519 key")
    return key


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(public: Ed25519PublicKey) -> dict[str, str]:
    """Return the public key as a JWK; `kid` is its thumbprint (RFC 7638)."""
    x = base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": base64url(thumbprint), "use": "sig", "alg": "EdDSA"}


def jwks(*public: Ed25519PublicKey) -> dict[str, list[dict[str, str]]]:
    """Return a JWK set."""
    return {"keys": [jwk(key) for key in public]}


def sign_jws(key: Ed25519PrivateKey, payload: Mapping[str, Any], *, typ: str = "JWT") -> str:
    """Return the compact JWS of a JSON payload."""
    header = {"alg": "EdDSA", "typ": typ, "kid": jwk(key.public_key())["kid"]}
    signed = f"{base64url(orjson.dumps(header))}.{base64url(orjson.dumps(dict(payload)))}"
    return f"{signed}.{base64url(key.sign(signed.encode()))}"
