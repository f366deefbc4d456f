"""The subscription table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.delivery.store import Delivery
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.store import Grant, View, is_read_by
from exchange_svc.rows import Base
from exchange_svc.subscription.domain import Place, State, view_of
from exchange_svc.subscription.errors import SubscriptionNotFound

PUSHED = (Mode.WEBHOOK, Mode.TABLE)


class Subscription(Base):
    """A grant's way of delivery.

    settings: what may be seen of the destination; sealed: what may not. place: `domain.Place`. epoch: counts the replays, so that what
    an earlier reading still does changes nothing. start_at: where a partition without a place begins: null at its beginning.
    failing_since, failure, failure_count, next_attempt_at: of failures in a row.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        Index("ix_subscription_grant", "grant_id", "created_at", "subscription_id"),
        Index("ix_subscription_open", "mode", postgresql_where=text("state <> 'ended'")),
    )
    subscription_id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"))
    mode: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    settings: Mapped[dict[str, Any]]
    sealed: Mapped[bytes]
    place: Mapped[dict[str, Any]]
    epoch: Mapped[int]
    start_at: Mapped[datetime | None]
    row_count: Mapped[int]
    delivered_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    failure: Mapped[str | None]
    failure_count: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    @property
    def read_place(self) -> Place:
        """Return how far it is."""
        return Place.model_validate(self.place)


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription that rows are due to, and what it stands on."""

    subscription: Subscription
    grant: Grant
    view: View


async def list_due(tx: AsyncSession, *, now: datetime) -> Sequence[UUID]:
    """Return the subscriptions that rows are pushed to now, oldest first."""
    query = (
        select(Subscription.subscription_id)
        .join(Grant, Grant.grant_id == Subscription.grant_id)
        .where(Subscription.state == State.ACTIVE, Subscription.mode.in_(PUSHED), is_read_by(Subscription.mode, now))
        .order_by(Subscription.created_at, Subscription.subscription_id)
    )
    return (await tx.scalars(query)).all()


async def find_standing(tx: AsyncSession, subscription_id: UUID, *, now: datetime) -> Standing | None:
    """Return a subscription that rows are pushed to now; None when it is not, or its grant may not be read."""
    query = (
        select(Subscription, Grant, View)
        .join(Grant, Grant.grant_id == Subscription.grant_id)
        .join(View, View.view_id == Grant.view_id)
        .where(Subscription.subscription_id == subscription_id, Subscription.state == State.ACTIVE, is_read_by(Subscription.mode, now))
    )
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else Standing(row[0], row[1], row[2])


async def list_outlived(tx: AsyncSession, *, now: datetime, limit: int = 100) -> Sequence[tuple[Subscription, Grant]]:
    """Return subscriptions whose grant is over, locked; those that another process ends now are left to it."""
    over = or_(Grant.state.not_in(IN_FORCE), Grant.use_until <= now)
    query = (
        select(Subscription, Grant)
        .join(Grant, Grant.grant_id == Subscription.grant_id)
        .where(Subscription.state != State.ENDED, over)
        .order_by(Subscription.subscription_id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await tx.execute(locked(query, of=Subscription, skip_locked=True))]


async def get(tx: AsyncSession, grant_id: UUID, subscription_id: UUID, *, lock: bool = False) -> Subscription:
    """Return a grant's subscription. Raises SubscriptionNotFound (404)."""
    query = select(Subscription).where(Subscription.subscription_id == subscription_id, Subscription.grant_id == grant_id)
    row = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if row is None:
        raise SubscriptionNotFound(f"the grant has no subscription {subscription_id}, or you may not see it")
    return row


async def find_locked(tx: AsyncSession, subscription_id: UUID) -> Subscription | None:
    """Return a subscription, locked."""
    return (await tx.scalars(locked(select(Subscription).where(Subscription.subscription_id == subscription_id)))).one_or_none()


async def count_open(tx: AsyncSession, grant_id: UUID) -> int:
    """Return how many of a grant's subscriptions are not ended."""
    counted = select(func.count()).select_from(Subscription).where(Subscription.grant_id == grant_id, Subscription.state != State.ENDED)
    return await tx.scalar(counted) or 0


async def list_of_grant(tx: AsyncSession, grant_id: UUID) -> Sequence[Subscription]:
    """Return a grant's subscriptions, oldest first."""
    query = select(Subscription).where(Subscription.grant_id == grant_id)
    return (await tx.scalars(query.order_by(Subscription.created_at, Subscription.subscription_id))).all()


async def ranges_since(tx: AsyncSession, topic: str, batch_id: UUID) -> list[tuple[int, int, int]] | None:
    """Return where a batch and all that came to the topic after it lie; None when the batch is not on the topic."""
    if not topic:
        return None
    of_view = (Delivery.view_id == UUID(view_of(topic)), Delivery.topic == topic)
    first = await tx.scalar(select(Delivery.sequence).where(Delivery.batch_id == batch_id, *of_view))
    if first is None:
        return None
    found = await tx.scalars(select(Delivery.ranges).where(Delivery.sequence >= first, *of_view))
    return [(int(r[0]), int(r[1]), int(r[2])) for ranges in found for r in ranges]
