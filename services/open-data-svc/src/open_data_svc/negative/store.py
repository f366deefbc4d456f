"""The replica's table: the entries of the negative list, each as its newest event told it."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_schemas.catalog_lists import ListEntryEvent
from open_data_svc.negative import domain
from open_data_svc.rows import Base

_LOCK = 0x6E656761  # advisory lock: nothing is opened while an entry takes effect, which would otherwise miss what is being opened


class NegativeEntry(Base):
    """An entry of a department's negative list."""

    __tablename__ = "negative_entry"
    __table_args__ = (Index("ix_negative_entry_provider", "provider_id", postgresql_where=text("is_in_force")),)
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int]
    provider_id: Mapped[UUID]
    is_in_force: Mapped[bool]
    snapshot: Mapped[dict[str, Any]]


async def hold(tx: AsyncSession, *, alone: bool) -> None:
    """Let nobody else (`alone`), or no entry, decide what is open until the transaction ends; taken before any row."""
    lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
    await tx.execute(select(lock(_LOCK)))


_ENTRY = insert(NegativeEntry)
_PUT = _ENTRY.on_conflict_do_update(
    index_elements=["entry_id"],
    set_={name: _ENTRY.excluded[name] for name in ("revision", "provider_id", "is_in_force", "snapshot")},
    where=NegativeEntry.revision < _ENTRY.excluded.revision,
)


async def put(tx: AsyncSession, entries: Collection[ListEntryEvent]) -> None:
    """Keep the newest revision of each entry; an older one changes nothing."""
    rows = [
        {
            "entry_id": entry.entry_id,
            "revision": entry.revision,
            "provider_id": entry.owner.organization_id,
            "is_in_force": domain.is_in_force(entry),
            "snapshot": entry.model_dump(mode="json"),
        }
        for entry in entries
    ]
    await (await tx.connection()).execute(_PUT, rows)


async def list_entries(tx: AsyncSession, entry_ids: Collection[UUID]) -> Sequence[ListEntryEvent]:
    """Return these entries as they are kept, in force or lifted."""
    snapshots = await tx.scalars(select(NegativeEntry.snapshot).where(NegativeEntry.entry_id.in_(entry_ids)))
    return [ListEntryEvent.model_validate(snapshot) for snapshot in snapshots]


async def list_in_force(tx: AsyncSession, provider_id: UUID) -> Sequence[ListEntryEvent]:
    """Return a department's entries in force, oldest first."""
    query = select(NegativeEntry.snapshot).where(NegativeEntry.provider_id == provider_id, NegativeEntry.is_in_force)
    return [ListEntryEvent.model_validate(snapshot) for snapshot in await tx.scalars(query.order_by(NegativeEntry.entry_id))]
