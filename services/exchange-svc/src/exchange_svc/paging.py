"""Cursors: where a list or a pull goes on; opaque to the caller, and sealed where a forged one could do harm."""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any
from uuid import UUID

from dxmesh_schemas.problem import Invalid

_TAG_BYTES = 16


class CursorInvalid(Invalid):
    """The cursor is not one that this list gave out."""

    slug, title = "cursor-invalid", "The cursor is not valid"


def _wrong() -> CursorInvalid:
    detail = "cursor is not one this list gave out: pass next_cursor unchanged, or leave it away to begin again"
    return CursorInvalid(detail, errors=[{"pointer": "/query/cursor", "detail": detail}])


def seal(key: bytes, scope: str, *position: Any) -> str:
    """Return a cursor for `position` that only this `scope` opens (HMAC-SHA-256, RFC 2104, cut to 128 bits)."""
    body = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(key, scope, body) + body).decode().rstrip("=")


def unseal(key: bytes, scope: str, cursor: str) -> list[Any]:
    """Return the position of a cursor. Raises CursorInvalid (422) for one that was changed or belongs to another scope."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise _wrong() from wrong
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, scope, body)):
        raise _wrong()
    position: list[Any] = json.loads(body)
    return position


def _tag(key: bytes, scope: str, body: bytes) -> bytes:
    return hmac.new(key, scope.encode() + b"\n" + body, hashlib.sha256).digest()[:_TAG_BYTES]


def after(at: datetime, row_id: UUID) -> str:
    """Return the cursor behind a row of a list ordered by time and id, newest first."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{row_id}".encode()).decode().rstrip("=")


def read_after(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the time and id a list goes on behind. Raises CursorInvalid (422)."""
    if cursor is None:
        return None
    try:
        at, row_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode().split("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise _wrong()
        return moment, UUID(row_id)
    except (binascii.Error, ValueError) as wrong:
        raise _wrong() from wrong
