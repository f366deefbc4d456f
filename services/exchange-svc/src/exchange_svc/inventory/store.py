"""The tables of the inventory: channels, and every step of those that are moved by hand."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked, utc_now
from exchange_svc.inventory.domain import Kind, State, is_silent
from exchange_svc.inventory.errors import ChannelNotFound
from exchange_svc.rows import Base


class InventoryChannel(Base):
    """A way by which an organization's rows come, or came."""

    __tablename__ = "inventory_channel"
    __table_args__ = (Index("ix_inventory_channel_organization", "organization_id", "channel_id"),)
    channel_id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    kind: Mapped[str]
    name: Mapped[str]
    transport: Mapped[str | None]
    agent: Mapped[str | None]
    resource_id: Mapped[UUID | None]
    state: Mapped[str]
    detail: Mapped[str | None]
    last_batch_id: Mapped[UUID | None]
    seen_at: Mapped[datetime | None]
    entered_at: Mapped[datetime]
    entered_by: Mapped[str]

    @property
    def is_silent(self) -> bool:
        """Say whether this is a job that has not reported for a day."""
        return is_silent(Kind(self.kind), self.seen_at, utc_now())


class InventoryStep(Base):
    """What was done to a channel by hand, by whom and why."""

    __tablename__ = "inventory_step"
    __table_args__ = (Index("ix_inventory_step_channel", "channel_id", "at"),)
    step_id: Mapped[UUID] = mapped_column(primary_key=True)
    channel_id: Mapped[UUID]
    state: Mapped[str]
    resource_id: Mapped[UUID | None]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


async def claim(tx: AsyncSession, row: InventoryChannel) -> InventoryChannel:
    """Return the channel of that id, locked, as it is; entered now when there is none."""
    columns = ("channel_id", "organization_id", "kind", "name", "state", "entered_at", "entered_by")
    values = {name: getattr(row, name) for name in columns}
    await tx.execute(insert(InventoryChannel).values(values).on_conflict_do_nothing(index_elements=["channel_id"]))
    return (await tx.scalars(locked(select(InventoryChannel).where(InventoryChannel.channel_id == row.channel_id)))).one()


async def get(tx: AsyncSession, channel_id: UUID, organization_id: UUID | None, *, lock: bool = False) -> InventoryChannel:
    """Return a channel of an organization, or of any. Raises: ChannelNotFound (404)."""
    row = await tx.get(InventoryChannel, channel_id, with_for_update=lock, populate_existing=lock)
    if row is None or organization_id not in (None, row.organization_id):
        raise ChannelNotFound(f"channel {channel_id} does not exist, or you may not see it")
    return row


async def list_some(
    tx: AsyncSession, organization_id: UUID | None, *, kind: Kind | None, state: State | None, limit: int, after: UUID | None
) -> Sequence[InventoryChannel]:
    """Return channels of an organization, or of all, by their id."""
    query = select(InventoryChannel)
    for column, wanted in (
        (InventoryChannel.organization_id, organization_id),
        (InventoryChannel.kind, kind),
        (InventoryChannel.state, state),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(InventoryChannel.channel_id > after)
    return (await tx.scalars(query.order_by(InventoryChannel.channel_id).limit(limit))).all()


async def list_steps(tx: AsyncSession, channel_id: UUID) -> Sequence[InventoryStep]:
    """Return what was done to a channel, oldest first."""
    query = select(InventoryStep).where(InventoryStep.channel_id == channel_id)
    return (await tx.scalars(query.order_by(InventoryStep.at, InventoryStep.step_id))).all()
