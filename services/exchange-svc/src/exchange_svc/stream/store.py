"""The stream table: how far each stream is, and over which of its connections it may go on."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from exchange_svc.rows import Base


class Stream(Base):
    """A provider's stream of rows; `epoch` counts its connections, and only the newest may add to it."""

    __tablename__ = "stream"
    provider_id: Mapped[UUID] = mapped_column(primary_key=True)
    stream_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID]
    epoch: Mapped[int]
    last_number: Mapped[int]
    row_count: Mapped[int]
    last_batch_id: Mapped[UUID | None]
    opened_at: Mapped[datetime]
    advanced_at: Mapped[datetime | None]


async def find(tx: AsyncSession, provider_id: UUID, stream_id: UUID) -> Stream | None:
    """Return a stream, if there is one."""
    return await tx.get(Stream, (provider_id, stream_id))


async def open_next(tx: AsyncSession, provider_id: UUID, stream_id: UUID, resource_id: UUID, *, now: datetime) -> Stream:
    """Begin the next connection of a stream: when this is committed, no earlier one adds to it any more."""
    values = {"provider_id": provider_id, "stream_id": stream_id, "resource_id": resource_id, "opened_at": now}
    entry = insert(Stream).values(**values, epoch=1, last_number=0, row_count=0)
    statement = entry.on_conflict_do_update(
        index_elements=["provider_id", "stream_id"], set_={"epoch": Stream.epoch + 1, "opened_at": entry.excluded.opened_at}
    )
    found: Stream = (await tx.scalars(statement.returning(Stream), execution_options={"populate_existing": True})).one()
    return found


async def advance(connection: AsyncConnection, stream: Stream, batch_id: UUID, row_count: int, *, now: datetime) -> bool:
    """Enter a stream's next batch; False when the stream goes on over another connection by now."""
    statement = update(Stream).where(Stream.provider_id == stream.provider_id, Stream.stream_id == stream.stream_id)
    statement = statement.where(Stream.epoch == stream.epoch, Stream.last_number == stream.last_number)
    advanced = await connection.execute(
        statement.values(
            last_number=Stream.last_number + 1, row_count=Stream.row_count + row_count, last_batch_id=batch_id, advanced_at=now
        ).returning(Stream.epoch)
    )
    return advanced.first() is not None
