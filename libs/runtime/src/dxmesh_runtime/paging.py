"""Lists page by page: an opaque cursor names the last row given out, so pages hold while rows are added."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel
from sqlalchemy import Select, tuple_

from dxmesh_schemas.problem import Invalid

RowT = TypeVar("RowT")
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")
QueryT = TypeVar("QueryT", bound=Select[*tuple[Any, ...]])

Limit = Annotated[int, Query(ge=1, le=1000, description="at most this many")]
CursorText = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[ItemT]):
    """One page; `next_cursor` is null on the last."""

    items: list[ItemT]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Slice(Generic[RowT]):
    """The rows of one page and the cursor of the next; a route may return it as its Page."""

    items: Sequence[RowT]
    next_cursor: str | None


class CursorInvalid(Invalid):
    """The cursor is not one that this list gave out."""

    slug, title = "cursor-invalid", "The cursor is not valid"

    def __init__(self) -> None:
        detail = "the cursor was not given out by this list: pass `next_cursor` as it came, or leave it out to begin again"
        super().__init__(detail, errors=[{"pointer": "query:cursor", "detail": detail}])


def encode(content: bytes) -> str:
    """Return bytes as a cursor, in letters that need no escape in a URL (RFC 4648 section 5, unpadded)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(cursor: str) -> bytes:
    """Return the bytes of a cursor. Raises: CursorInvalid (422)."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise CursorInvalid from wrong


def cut(rows: Sequence[RowT], limit: int, key: Callable[[RowT], object]) -> Slice[RowT]:
    """Make a page of up to `limit` rows from limit + 1 fetched ones.

    `key` gives what the list is ordered by: one value, or a tuple of a time and an id.
    """
    if len(rows) <= limit:
        return Slice(rows, None)
    last = key(rows[limit - 1])
    text = f"{last[0].isoformat()}|{last[1]}" if isinstance(last, tuple) else str(last)
    return Slice(rows[:limit], encode(text.encode()))


def newest_first(query: QueryT, at: Any, row_id: Any, *, limit: int, after: tuple[datetime, UUID] | None) -> QueryT:
    """Return the query of a page ordered by a time and an id, newest first; after: as `after_time` gives it."""
    if after is not None:
        query = query.where(tuple_(at, row_id) < after)
    return query.order_by(at.desc(), row_id.desc()).limit(limit)


def after_text(cursor: str | None) -> str | None:
    """Return the text a list goes on behind. Raises: CursorInvalid (422)."""
    return _key(cursor, str)


def after_id(cursor: str | None) -> UUID | None:
    """Return the id a list goes on behind. Raises: CursorInvalid (422)."""
    return _key(cursor, UUID)


def after_number(cursor: str | None) -> int | None:
    """Return the number a list goes on behind. Raises: CursorInvalid (422)."""
    return _key(cursor, _number)


def after_time(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the time and the id a list ordered by both goes on behind. Raises: CursorInvalid (422)."""
    return _key(cursor, _time_and_id)


def _key(cursor: str | None, read: Callable[[str], KeyT]) -> KeyT | None:
    if cursor is None:
        return None
    try:
        text = decode(cursor).decode()
        if not text or not text.isprintable():
            raise CursorInvalid
        return read(text)
    except (ValueError, OverflowError) as wrong:
        raise CursorInvalid from wrong


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:  # what a 32-bit column holds
        raise ValueError
    return int(text)


def _time_and_id(text: str) -> tuple[datetime, UUID]:
    at, row_id = text.split("|")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC), UUID(row_id)
