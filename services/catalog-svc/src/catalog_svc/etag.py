"""Changes are made on what was read: entity tags and If-Match of entries that say when they were changed."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Header, Response

from dxmesh_schemas.problem import Problem

_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Tags = Sequence[str] | None
"""What a change may be made on; None for anything."""


class EntryPassed(Problem):
    """Someone changed the entry since it was read; `etag` is the one in force."""

    status, slug, title = 412, "entry-passed", "The entry was changed meanwhile"


def tag(changed_at: datetime) -> str:
    """Return the entity tag of an entry: its last change, in microseconds since 1970."""
    return f'"{(changed_at - _EPOCH) // timedelta(microseconds=1)}"'


def show(response: Response, changed_at: datetime) -> None:
    """Put the entity tag of an entry on the answer that carries it."""
    response.headers["ETag"] = tag(changed_at)


def refuse_passed(tags: Tags, changed_at: datetime) -> None:
    """Refuse a change of what is no longer as it was read; the row is locked by then. Raises: EntryPassed (412)."""
    if tags is not None and tag(changed_at) not in tags:
        raise EntryPassed("read the entry again and repeat the change on what it is now", etag=tag(changed_at))


async def _if_match(if_match: Annotated[str | None, Header(max_length=1000)] = None) -> list[str] | None:
    """Return the tags If-Match admits, None for any; weak ones admit nothing (RFC 9110 section 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    return [f'"{found}"' for weak, found in _ENTITY_TAG.findall(if_match) if not weak]


IfMatch = Annotated[list[str] | None, Depends(_if_match)]
