"""The resource_table table: how far each resource's Delta table is."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from exchange_svc.batch.store import Batch
from exchange_svc.rows import Base


class ResourceTable(Base):
    """The newest version of a resource's Delta table; it holds every accepted batch up to `sequence`.

    `told_version` is the one that others were told of last: joining files makes a newer one with the same rows, and tells nobody.
    `tended_version` is the one that upkeep saw last, at `tended_at`.
    """

    __tablename__ = "resource_table"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    table_key: Mapped[str]
    version: Mapped[int]
    sequence: Mapped[int]
    row_count: Mapped[int]
    advanced_at: Mapped[datetime]
    told_version: Mapped[int]
    tended_version: Mapped[int]
    tended_at: Mapped[datetime]


# made once: every batch asks them
_LOCK = locked(select(ResourceTable).where(ResourceTable.resource_id == bindparam("resource_id")))
_WAITING = (
    select(Batch)
    .where(Batch.resource_id == bindparam("resource_id"), Batch.sequence > bindparam("after"), Batch.sequence <= bindparam("up_to"))
    .order_by(Batch.sequence)
)


async def find(tx: AsyncSession, resource_id: UUID) -> ResourceTable | None:
    """Return a resource's table, if a batch was ever folded."""
    return await tx.get(ResourceTable, resource_id)


async def lock(tx: AsyncSession, resource_id: UUID, *, table_key: str, now: datetime) -> ResourceTable:
    """Return a resource's table locked, at sequence 0 when it is new; until the transaction ends nobody else folds into it."""
    if (row := (await tx.scalars(_LOCK, {"resource_id": resource_id})).one_or_none()) is not None:
        return row
    numbers = {"version": -1, "sequence": 0, "row_count": 0, "told_version": -1, "tended_version": -1}
    fresh = {"table_key": table_key, "advanced_at": now, "tended_at": now, **numbers}
    await tx.execute(insert(ResourceTable).values(resource_id=resource_id, **fresh).on_conflict_do_nothing())
    return (await tx.scalars(_LOCK, {"resource_id": resource_id})).one()


async def list_waiting(tx: AsyncSession, resource_id: UUID, *, after: int, up_to: int) -> Sequence[Batch]:
    """Return the accepted batches with a sequence above `after` and at most `up_to`, in the order of their acceptance."""
    return (await tx.scalars(_WAITING, {"resource_id": resource_id, "after": after, "up_to": up_to})).all()


async def list_due(tx: AsyncSession, *, commits: int, tended_before: datetime) -> Sequence[ResourceTable]:
    """Return the tables that moved on by so many versions since they were tended, or were tended before a time; longest untended first."""
    moved_on = ResourceTable.version - ResourceTable.tended_version >= commits
    query = select(ResourceTable).where(ResourceTable.version >= 0, moved_on | (ResourceTable.tended_at <= tended_before))
    return (await tx.scalars(query.order_by(ResourceTable.tended_at, ResourceTable.resource_id))).all()
