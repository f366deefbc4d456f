"""Changes are made on what was read: entity tags and If-Match of entries that are not counted in revisions."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated
from uuid import UUID

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


def counted(changes: int) -> str:
    """Return the entity tag of what is known by how often it was changed."""
    return f'"{changes}"'


def made_of(ids: Iterable[UUID]) -> str:
    """Return the entity tag of what is made anew, with new ids, by every change."""
    return f'"{sha256(b"".join(one.bytes for one in ids)).hexdigest()[:32]}"'


def show(response: Response, changed_at: datetime) -> None:
    """Put the entity tag of an entry on the answer that carries it."""
    response.headers["ETag"] = tag(changed_at)


def refuse_passed(tags: Tags, changed_at: datetime) -> None:
    """Refuse a change of what is no longer as it was read; the row is locked by then. Raises: EntryPassed (412)."""
    refuse_other(tags, tag(changed_at))


def refuse_other(tags: Tags, in_force: str) -> None:
    """Refuse a change of what has another entity tag by now; the row is locked by then. Raises: EntryPassed (412)."""
    if tags is not None and in_force not in tags:
        raise EntryPassed("read the entry again and repeat the change on what it is now", etag=in_force)


async def _if_match(if_match: Annotated[str | None, Header(max_length=1000)] = None) -> list[str] | None:
    """Return the tags If-Match admits, None for any; weak ones admit nothing (RFC 9110 section 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return None
    return [f'"{found}"' for weak, found in _ENTITY_TAG.findall(if_match) if not weak]


IfMatch = Annotated[list[str] | None, Depends(_if_match)]


async def _if_counted(tags: IfMatch) -> list[int] | None:
    """Return the counts If-Match admits, None for any; foreign tags admit none."""
    said = None if tags is None else [tag[1:-1] for tag in tags]
    return None if said is None else [int(tag) for tag in said if tag.isascii() and tag.isdigit()]


IfCounted = Annotated[list[int] | None, Depends(_if_counted)]
"""Of what has a number for each change: the revisions or versions a change may be made on."""
