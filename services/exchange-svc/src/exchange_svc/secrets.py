"""Secrets that every process of a node has and nobody else, from the node's one key; and what is kept sealed by them."""

import hashlib
import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


def derived(key: Ed25519PrivateKey, purpose: str) -> bytes:
    """Return the 32 bytes for a purpose; they tell nothing of the key or of those for another purpose."""
    return hashlib.sha256(f"dxmesh {purpose}\n".encode() + key.private_bytes_raw()).digest()


def seal(key: bytes, owner: bytes, content: bytes) -> bytes:
    """Return content that only this key opens, and only as its owner's (AES-256-GCM, NIST SP 800-38D)."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, owner)


def unseal(key: bytes, owner: bytes, sealed: bytes) -> bytes:
    """Return what was sealed. Raises cryptography.exceptions.InvalidTag for another key or owner, or for changed bytes."""
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner)
