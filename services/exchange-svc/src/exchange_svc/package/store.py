"""The package table."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant.store import Grant, is_read_by
from exchange_svc.package.domain import State
from exchange_svc.rows import Base
from exchange_svc.subscription import domain as subscriptions
from exchange_svc.subscription.store import Subscription


class Package(Base):
    """A sealed file of what a grant read at a version of the table. sequence: of the last batch in it."""

    __tablename__ = "package"
    __table_args__ = (
        Index("ix_package_subscription", "subscription_id", "asked_at", "package_id"),
        Index("ix_package_state", "state", "asked_at", postgresql_where=text("state <> 'deleted'")),
    )
    package_id: Mapped[UUID] = mapped_column(primary_key=True)
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscription.subscription_id"))
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"))
    state: Mapped[str]
    failure: Mapped[str | None]
    object_key: Mapped[str | None]
    sha256: Mapped[str | None]
    byte_count: Mapped[int | None]
    row_count: Mapped[int | None]
    table_version: Mapped[int | None]
    sequence: Mapped[int | None]
    downloads_left: Mapped[int]
    asked_at: Mapped[datetime]
    made_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


async def find_waiting(tx: AsyncSession, *, now: datetime) -> tuple[Package, Subscription, Grant] | None:
    """Return the package to be made next, locked; one that another process makes is left to it, one that may not be read waits."""
    query = (
        select(Package, Subscription, Grant)
        .join(Subscription, Subscription.subscription_id == Package.subscription_id)
        .join(Grant, Grant.grant_id == Package.grant_id)
        .where(Package.state == State.WAITING, Subscription.state == subscriptions.State.ACTIVE, is_read_by(Mode.FILE, now))
        .order_by(Package.failure.is_not(None), Package.asked_at, Package.package_id)
        .limit(1)
    )
    row = (await tx.execute(locked(query, of=Package, skip_locked=True))).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


async def list_over(tx: AsyncSession, *, now: datetime, limit: int = 100) -> Sequence[Package]:
    """Return packages to be removed, locked: their term is over, or their subscription ended."""
    query = (
        select(Package)
        .join(Subscription, Subscription.subscription_id == Package.subscription_id)
        .where(Package.state != State.DELETED, or_(Package.expires_at <= now, Subscription.state == subscriptions.State.ENDED))
        .order_by(Package.package_id)
        .limit(limit)
    )
    return (await tx.scalars(locked(query, of=Package, skip_locked=True))).all()


async def list_scheduled(tx: AsyncSession) -> Sequence[tuple[Subscription, datetime | None]]:
    """Return the active subscriptions to packages, locked, each with when its last was asked for."""
    last = select(func.max(Package.asked_at)).where(Package.subscription_id == Subscription.subscription_id).scalar_subquery()
    scheduled = Subscription.settings["every_hours"].as_integer().is_not(None)
    query = select(Subscription, last).where(Subscription.mode == Mode.FILE, Subscription.state == subscriptions.State.ACTIVE, scheduled)
    rows = await tx.execute(locked(query.order_by(Subscription.subscription_id), of=Subscription, skip_locked=True))
    return [(row[0], row[1]) for row in rows]


async def end_made(tx: AsyncSession, grant_id: UUID, *, now: datetime) -> None:
    """End the term of a grant's packages: they hold what other terms let out."""
    made = (Package.grant_id == grant_id) & (Package.state == State.READY) & (Package.expires_at > now)
    await tx.execute(update(Package).where(made).values(expires_at=now).execution_options(synchronize_session=False))


async def has_waiting(tx: AsyncSession, subscription_id: UUID) -> bool:
    """Say whether a package of a subscription is to be made."""
    query = select(Package.package_id).where(Package.subscription_id == subscription_id, Package.state == State.WAITING)
    return await tx.scalar(query.limit(1)) is not None


async def find_locked(tx: AsyncSession, package_id: UUID) -> Package | None:
    """Return a package, locked."""
    return (await tx.scalars(locked(select(Package).where(Package.package_id == package_id)))).one_or_none()


async def list_of(tx: AsyncSession, subscription_id: UUID, *, limit: int) -> Sequence[Package]:
    """Return a subscription's packages, newest first."""
    query = select(Package).where(Package.subscription_id == subscription_id)
    return (await tx.scalars(query.order_by(Package.asked_at.desc(), Package.package_id.desc()).limit(limit))).all()


async def end_oldest(tx: AsyncSession, subscription_id: UUID, *, keep: int, now: datetime) -> None:
    """End the term of a subscription's packages beyond the newest so many."""
    ready = select(Package.package_id).where(Package.subscription_id == subscription_id, Package.state == State.READY)
    beyond = ready.order_by(Package.asked_at.desc(), Package.package_id.desc()).offset(keep)
    await tx.execute(update(Package).where(Package.package_id.in_(beyond), Package.expires_at > now).values(expires_at=now))
