"""The webhook_message and webhook_attempt tables."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, and_, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.paging import newest_first
from exchange_svc.rows import Base


class Message(Base):
    """What was or is to be posted; its rows lie at `ranges` [partition, first, behind the last] of the topic and are read again there.

    sha256: of the body. A repeat has the same id and body. abandoned_at: a replay or other terms came first, or the topic was
    made anew.
    """

    __tablename__ = "webhook_message"
    __table_args__ = (
        Index("ix_webhook_message_subscription", "subscription_id", "created_at", "message_id"),
        Index(
            "uq_webhook_message_waiting",
            "subscription_id",
            unique=True,
            postgresql_where=text("delivered_at IS NULL AND abandoned_at IS NULL"),
        ),
    )
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscription.subscription_id"))
    epoch: Mapped[int]
    topic: Mapped[str]
    ranges: Mapped[list[Any]]
    row_count: Mapped[int]
    byte_count: Mapped[int]
    sha256: Mapped[str]
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]
    abandoned_at: Mapped[datetime | None]


class Attempt(Base):
    """One try to post a message; status: of the answer, if one came."""

    __tablename__ = "webhook_attempt"
    message_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_message.message_id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    attempted_at: Mapped[datetime]
    status: Mapped[int | None]
    failure: Mapped[str | None]
    elapsed_ms: Mapped[int]


_WAITING = and_(Message.delivered_at.is_(None), Message.abandoned_at.is_(None))


async def find_waiting(tx: AsyncSession, subscription_id: UUID) -> Message | None:
    """Return the message that is to be delivered next."""
    return (await tx.scalars(select(Message).where(Message.subscription_id == subscription_id, _WAITING))).one_or_none()


async def abandon_waiting(tx: AsyncSession, subscription_id: UUID, *, now: datetime) -> None:
    """Give up the message that waits; its rows come by another."""
    await tx.execute(update(Message).where(Message.subscription_id == subscription_id, _WAITING).values(abandoned_at=now))


async def note_attempt(
    tx: AsyncSession, message_id: UUID, *, now: datetime, status: int | None, failure: str | None, elapsed_ms: int
) -> None:
    """Enter an attempt."""
    count = await tx.scalar(select(func.coalesce(func.max(Attempt.number), 0)).where(Attempt.message_id == message_id)) or 0
    tx.add(Attempt(message_id=message_id, number=count + 1, attempted_at=now, status=status, failure=failure, elapsed_ms=elapsed_ms))
    await tx.flush()


async def list_messages(tx: AsyncSession, subscription_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None) -> Sequence[Message]:
    """Return messages, newest first."""
    query = select(Message).where(Message.subscription_id == subscription_id)
    return (await tx.scalars(newest_first(query, Message.created_at, Message.message_id, limit=limit, after=after))).all()


async def attempts_of(tx: AsyncSession, message_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Attempt]]:
    """Return the attempts of messages, in their order."""
    query = select(Attempt).where(Attempt.message_id.in_(message_ids)).order_by(Attempt.message_id, Attempt.number)
    found: dict[UUID, list[Attempt]] = {one: [] for one in message_ids}
    for row in await tx.scalars(query):
        found[row.message_id].append(row)
    return found


async def forget(tx: AsyncSession, *, before: datetime) -> None:
    """Remove the records of messages that were done with before a time."""
    done = func.coalesce(Message.delivered_at, Message.abandoned_at)
    await tx.execute(delete(Message).where(done < before))


async def mark_delivered(tx: AsyncSession, message_id: UUID, *, now: datetime) -> None:
    """Note that a message was taken."""
    await tx.execute(update(Message).where(Message.message_id == message_id).values(delivered_at=now))
