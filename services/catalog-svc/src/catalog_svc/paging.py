"""Lists page by page: an opaque cursor that names the last key given out, so pages hold while rows are added."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from dxmesh_schemas.problem import Invalid

RowT = TypeVar("RowT")
ItemT = TypeVar("ItemT")

Limit = Annotated[int, Query(ge=1, le=200, description="at most this many")]
CursorText = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[ItemT]):
    """One page; `next_cursor` is null on the last."""

    items: list[ItemT]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Slice(Generic[RowT]):
    """The rows of one page and the cursor of the next."""

    items: Sequence[RowT]
    next_cursor: str | None


class CursorUnknown(Invalid):
    """The cursor was not given out by this list."""

    slug, title = "cursor-unknown", "The cursor is not one of this list"


def _fault() -> CursorUnknown:
    detail = "was not given out here; use `next_cursor` as it came, or leave it out for the first page"
    return CursorUnknown(f"cursor {detail}", errors=[{"pointer": "query:cursor", "detail": detail}])


def after_text(cursor: str | None) -> str | None:
    """Return the key a cursor stands for. Raises: CursorUnknown (422)."""
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as wrong:
        raise _fault() from wrong
    if not key.isprintable() or not key:
        raise _fault()
    return key


def after_id(cursor: str | None) -> UUID | None:
    """Return the id a cursor stands for. Raises: CursorUnknown (422)."""
    key = after_text(cursor)
    try:
        return None if key is None else UUID(key)
    except ValueError as wrong:
        raise _fault() from wrong


def cut(rows: Sequence[RowT], limit: int, key: Callable[[RowT], object]) -> Slice[RowT]:
    """Make a page of up to `limit` rows from limit + 1 fetched ones."""
    if len(rows) <= limit:
        return Slice(rows, None)
    kept = rows[:limit]
    return Slice(kept, base64.urlsafe_b64encode(str(key(kept[-1])).encode()).rstrip(b"=").decode())
