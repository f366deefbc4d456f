"""Passwords of readers: made here, shown once, and kept as the verifier a broker is given, sealed.

Who has the verifier needs no password (RFC 5802 section 9 says why it must not be stolen), so the database holds it under a key of
the node: a copy of the database alone lets nobody in.
"""

import hashlib
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ITERATIONS = 8192
_SALT_BYTES = 16
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A verifier was sealed by another key, or for another user."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a broker needs of a password to check it (SCRAM-SHA-512; RFC 5802 section 3: SaltedPassword = Hi(password, salt, i))."""

    salt: bytes
    iterations: int
    salted: bytes


def new_password() -> str:
    """Return a password of 256 random bits, in letters that no configuration file has to escape."""
    return secrets.token_urlsafe(32)


def verifier_of(password: str) -> Verifier:
    """Return the verifier of a password made here (ASCII letters, which SASLprep leaves as they are)."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return Verifier(salt, ITERATIONS, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS))


def seal(key: bytes, user: str, salted: bytes) -> bytes:
    """Return a salted password that only `key` opens, for this user alone (AES-256-GCM)."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, salted, user.encode())


def unseal(key: bytes, user: str, sealed: bytes) -> bytes:
    """Return a salted password. Raises: SealBroken."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], user.encode())
    except InvalidTag as wrong:
        raise SealBroken(f"the verifier of {user} was sealed by another key of the node") from wrong
