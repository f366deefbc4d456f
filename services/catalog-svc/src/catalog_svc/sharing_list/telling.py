"""What happens to entries enters their history and is told to the mesh, in the transaction of the change."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.sharing_list import store
from catalog_svc.sharing_list.domain import ENDED
from dxmesh_runtime import outbox
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEnded, ListEntryEntered, ListEntryEvent

_PIECE = 2_000
_ALIKE = (
    "entry_id",
    "kind",
    "name",
    "content",
    "status",
    "due_on",
    "resource_id",
    "items",
    "system_id",
    "basis",
    "forbids",
    "scenario",
    "approvals",
    "changed_at",
    "changed_by",
)
_REF = ("organization_id", "uscc", "name", "division_code")


async def keep_and_tell(tx: AsyncSession, entry_ids: Sequence[UUID], *, now: datetime) -> None:
    """Enter what these entries are now into their history and tell it, some thousands at a time; their rows are locked or new.

    Emits: catalog.list_entry.entered.v1, .changed.v1 or .ended.v1, one for each entry.
    """
    for start in range(0, len(entry_ids), _PIECE):
        piece = entry_ids[start : start + _PIECE]
        await store.keep(tx, piece)
        found = await store.list_told(tx, piece)
        # in a thread: a large file must not keep others waiting
        await outbox.write(tx, await asyncio.to_thread(_rows, found, now))


def _rows(found: Sequence[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    return [outbox.entry(event(row), now=now)[1] for row in found]


def event(row: Mapping[str, Any]) -> ListEntryEvent:
    """Return what is told of an entry as it is now: that it was entered, came to its end, or else changed."""
    if row["version"] == 1:
        kind: type[ListEntryEvent] = ListEntryEntered
    elif row["status"] in ENDED and row["status_before"] not in ENDED:
        kind = ListEntryEnded
    else:
        kind = ListEntryChanged
    return kind.model_validate(
        {name: row[name] for name in _ALIKE}
        | {
            "revision": row["version"],
            "owner": {name: row[f"owner_{name}"] for name in _REF},
            "counterpart": {name: row[f"counterpart_{name}"] for name in _REF} if row["counterpart_id"] else None,
        }
    )
