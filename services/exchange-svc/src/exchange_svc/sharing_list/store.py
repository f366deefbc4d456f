"""The list_entry table: demands and scenarios as their newest event told them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEvent
from exchange_svc.rows import Base

KINDS = ("demand", "scenario")
"""The lists that requests may rest on or come from."""
_ENDED = ("done", "cancelled")


class Entry(Base):
    """An entry of a list; snapshot: the event of its greatest revision. entered_at: when it was entered, as far as is known here."""

    __tablename__ = "list_entry"
    __table_args__ = (
        Index("ix_list_entry_kind", "kind", "entered_at", "entry_id"),
        Index("ix_list_entry_owner", "owner_id", "kind"),
    )
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    revision: Mapped[int]
    owner_id: Mapped[UUID]
    is_over: Mapped[bool]
    snapshot: Mapped[dict[str, Any]]
    entered_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    def read(self) -> ListEntryEvent:
        """Return the entry as it was told last."""
        return ListEntryChanged.model_validate(self.snapshot)


_ENTRY = insert(Entry)
_PUT = _ENTRY.on_conflict_do_update(
    index_elements=["entry_id"],
    set_={name: _ENTRY.excluded[name] for name in ("revision", "owner_id", "is_over", "snapshot", "changed_at")}
    | {"entered_at": func.least(Entry.entered_at, _ENTRY.excluded.entered_at)},
    where=Entry.revision < _ENTRY.excluded.revision,
)


async def put(tx: AsyncSession, entries: Sequence[ListEntryEvent]) -> None:
    """Enter entries, or their newer state; an older revision changes nothing."""
    rows = [
        {
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "revision": entry.revision,
            "owner_id": entry.owner.organization_id,
            "is_over": is_over(entry),
            "snapshot": entry.model_dump(mode="json"),
            "entered_at": entry.changed_at,
            "changed_at": entry.changed_at,
        }
        for entry in entries
    ]
    await (await tx.connection()).execute(_PUT, rows)


def is_over(entry: ListEntryEvent) -> bool:
    """Say whether an entry came to its end."""
    return entry.status in _ENDED


async def find(tx: AsyncSession, entry_id: UUID, kind: str, *, share: bool = False) -> Entry | None:
    """Return an entry of a list; with `share`, nobody changes it until the transaction ends."""
    query = select(Entry).where(Entry.entry_id == entry_id, Entry.kind == kind).execution_options(populate_existing=True)
    return (await tx.scalars(locked(query, share=True) if share else query)).one_or_none()


async def list_by_id(tx: AsyncSession, entry_ids: Collection[UUID], kind: str) -> Sequence[Entry]:
    """Return those of these entries that are of a list, as they are now in the database."""
    query = select(Entry).where(Entry.entry_id.in_(entry_ids), Entry.kind == kind).order_by(Entry.entry_id)
    return (await tx.scalars(query.execution_options(populate_existing=True))).all()


async def find_demand(tx: AsyncSession, owner_id: UUID, resource_id: UUID) -> Entry | None:
    """Return an organization's open demand for a resource, the first entered."""
    query = select(Entry).where(Entry.owner_id == owner_id, Entry.kind == "demand", Entry.is_over.is_(False))
    query = query.where(Entry.snapshot["resource_id"].astext == str(resource_id)).order_by(Entry.entered_at, Entry.entry_id)
    return (await tx.scalars(query.limit(1))).one_or_none()
