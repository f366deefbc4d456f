"""Secrets that every process of a node has and nobody else, from the node's one key."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def derived(key: Ed25519PrivateKey, purpose: str) -> bytes:
    """Return the 32 bytes for a purpose; they tell nothing of the key or of those for another purpose."""
    return hashlib.sha256(f"dxmesh {purpose}\n".encode() + key.private_bytes_raw()).digest()
