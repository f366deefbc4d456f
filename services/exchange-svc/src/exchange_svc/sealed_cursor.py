"""Cursors that only the node which gave them out can open, for pages of files: a forged one would name another object."""

import hashlib
import hmac
import json
from typing import Any

from dxmesh_runtime.paging import CursorInvalid, decode, encode

_TAG_BYTES = 16


def seal(key: bytes, scope: str, *position: Any) -> str:
    """Return a cursor for `position` that only this `scope` opens (HMAC-SHA-256, RFC 2104, cut to 128 bits)."""
    body = json.dumps(position, separators=(",", ":")).encode()
    return encode(_tag(key, scope, body) + body)


def unseal(key: bytes, scope: str, cursor: str) -> list[Any]:
    """Return the position of a cursor. Raises CursorInvalid (422) for one that was changed or belongs to another scope."""
    raw = decode(cursor)
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, scope, body)):
        raise CursorInvalid
    position: list[Any] = json.loads(body)
    return position


def _tag(key: bytes, scope: str, body: bytes) -> bytes:
    return hmac.new(key, scope.encode() + b"\n" + body, hashlib.sha256).digest()[:_TAG_BYTES]
