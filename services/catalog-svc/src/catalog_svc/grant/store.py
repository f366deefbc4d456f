"""The grants in force, as exchange-svc's events tell of them: whom a change of a resource touches."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Index, Text, Uuid, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.rows import Base
from dxmesh_schemas.exchange import GrantActivated


class GrantInForce(Base):
    """A grant that is active: who reads which items of a resource, and until when."""

    __tablename__ = "grant_in_force"
    __table_args__ = (Index("ix_grant_in_force_resource_id", "resource_id"),)
    grant_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(Uuid)
    requester_id: Mapped[UUID] = mapped_column(Uuid)
    requester_name: Mapped[str] = mapped_column(Text)
    items: Mapped[list[str]] = mapped_column(ARRAY(Text))
    activated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    use_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


async def put(tx: AsyncSession, event: GrantActivated) -> None:
    """Enter a grant, or what it is now."""
    values = {
        "resource_id": event.resource_id,
        "requester_id": event.requester.organization_id,
        "requester_name": event.requester.name,
        "items": list(event.view.items),
        "activated_at": event.activated_at,
        "use_until": event.use_until,
    }
    entry = insert(GrantInForce).values(grant_id=event.grant_id, **values)
    await tx.execute(entry.on_conflict_do_update(index_elements=["grant_id"], set_=values))


async def move(tx: AsyncSession, grant_id: UUID, items: Sequence[str]) -> None:
    """Enter which items a grant reads from now on."""
    await tx.execute(update(GrantInForce).where(GrantInForce.grant_id == grant_id).values(items=list(items)))


async def limit(tx: AsyncSession, grant_id: UUID, use_until: datetime | None) -> None:
    """Enter until when a grant reads."""
    await tx.execute(update(GrantInForce).where(GrantInForce.grant_id == grant_id).values(use_until=use_until))


async def end(tx: AsyncSession, grant_id: UUID) -> None:
    """Take out a grant that is over."""
    await tx.execute(delete(GrantInForce).where(GrantInForce.grant_id == grant_id))


async def remove_lapsed(tx: AsyncSession, now: datetime) -> int:
    """Take out the grants whose term is over; return of how many. What moves or ends one later finds nothing to change."""
    lapsed = delete(GrantInForce).where(GrantInForce.use_until <= now).returning(GrantInForce.grant_id)
    return len((await tx.scalars(lapsed)).all())


async def list_of(tx: AsyncSession, resource_id: UUID, *, now: datetime) -> Sequence[GrantInForce]:
    """Return a resource's grants whose term is not over, oldest first."""
    query = select(GrantInForce).where(
        GrantInForce.resource_id == resource_id, or_(GrantInForce.use_until.is_(None), GrantInForce.use_until > now)
    )
    return (await tx.scalars(query.order_by(GrantInForce.activated_at, GrantInForce.grant_id))).all()
