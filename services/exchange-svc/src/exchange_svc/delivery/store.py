"""The delivery and view_end tables: which batch is on which view's topic and where, and where the rows of each topic end."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_schemas.exchange import DeliveryCompleted
from exchange_svc.rows import Base


class Delivery(Base):
    """One batch on one view's topic; `ranges` holds [partition, first offset, last offset], `misfits` {item, row_count}."""

    __tablename__ = "delivery"
    __table_args__ = (Index("ix_delivery_view", "view_id", "sequence"),)
    batch_id: Mapped[UUID] = mapped_column(primary_key=True)
    view_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    resource_id: Mapped[UUID]
    topic: Mapped[str]
    ranges: Mapped[list[Any]]
    accepted_count: Mapped[int]
    delivered_count: Mapped[int]
    withheld_count: Mapped[int] = mapped_column(server_default="0")
    misfits: Mapped[list[Any]] = mapped_column(server_default="[]")
    filtered_count: Mapped[int] = mapped_column(server_default="0")
    vanished_count: Mapped[int] = mapped_column(server_default="0")
    sha256: Mapped[str]
    completed_at: Mapped[datetime]


class ViewEnd(Base):
    """The offset of the last row in each partition of a view's topic."""

    __tablename__ = "view_end"
    view_id: Mapped[UUID] = mapped_column(primary_key=True)
    ends: Mapped[dict[str, Any]]


_COLUMNS = [column.key for column in Delivery.__table__.columns]
_ENTRY = insert(Delivery)
_RECORD = _ENTRY.on_conflict_do_update(
    index_elements=["batch_id", "view_id"],
    set_={name: _ENTRY.excluded[name] for name in _COLUMNS if name not in ("batch_id", "view_id")},
    where=Delivery.completed_at < _ENTRY.excluded.completed_at,
)
_END = insert(ViewEnd)
_MOVE_END = _END.on_conflict_do_update(index_elements=["view_id"], set_={"ends": ViewEnd.ends.op("||")(_END.excluded.ends)})


async def record(tx: AsyncSession, events: Iterable[DeliveryCompleted]) -> None:
    """Enter deliveries; one that is done anew, after a broker lost its disk, takes the place of the first."""
    newest = {(event.batch_id, event.view_id): event for event in events}
    if not newest:
        return
    connection = await tx.connection()
    await connection.execute(_RECORD, [_values(event) for event in newest.values()])
    ends: dict[UUID, dict[str, int]] = {}
    for event in sorted(newest.values(), key=lambda one: (one.view_id, one.completed_at, one.sequence)):
        ends.setdefault(event.view_id, {}).update({str(partition): last for partition, _, last in event.ranges})
    await connection.execute(_MOVE_END, [{"view_id": view_id, "ends": told} for view_id, told in ends.items()])


def _values(event: DeliveryCompleted) -> dict[str, Any]:
    misfits = [misfit.model_dump() for misfit in event.misfits]
    return {name: getattr(event, name) for name in _COLUMNS} | {"misfits": misfits}


async def list_of_batch(tx: AsyncSession, batch_id: UUID) -> Sequence[Delivery]:
    """Return a batch's deliveries, oldest first."""
    query = select(Delivery).where(Delivery.batch_id == batch_id).order_by(Delivery.completed_at, Delivery.view_id)
    return (await tx.scalars(query)).all()
