"""Cursors: where a list goes on; opaque to the caller."""

import base64
import binascii
from datetime import datetime
from uuid import UUID

from quality_svc.assessment.errors import CursorInvalid


def after(at: datetime, row_id: UUID) -> str:
    """Return the cursor behind a row of a list ordered by time and id, newest first."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{row_id}".encode()).decode().rstrip("=")


def read_after(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the time and id a list goes on behind. Raises CursorInvalid (422)."""
    if cursor is None:
        return None
    try:
        at, row_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode().split("|")
        moment, identity = datetime.fromisoformat(at), UUID(row_id)
    except (binascii.Error, ValueError) as wrong:
        raise _wrong() from wrong
    if moment.tzinfo is None:
        raise _wrong()
    return moment, identity


def _wrong() -> CursorInvalid:
    detail = "cursor is not one this list gave out: pass next_cursor unchanged, or leave it away to begin again"
    return CursorInvalid(detail, errors=[{"pointer": "/query/cursor", "detail": detail}])
