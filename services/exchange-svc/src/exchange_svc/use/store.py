"""The use_record table."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.exchange_usage import Use
from exchange_svc.rows import Base


class UseRecord(Base):
    """What a requester recorded of some days' use; kept as it was filed."""

    __tablename__ = "use_record"
    __table_args__ = (
        UniqueConstraint("grant_id", "first_on", "last_on", name="uq_use_record"),
        Index("ix_use_record_requester", "requester_id", "recorded_at", "use_id"),
        Index("ix_use_record_provider", "provider_id", "recorded_at", "use_id"),
    )
    use_id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"))
    resource_id: Mapped[UUID]
    requester_id: Mapped[UUID]
    requester: Mapped[dict[str, Any]]
    provider_id: Mapped[UUID]
    first_on: Mapped[date]
    last_on: Mapped[date]
    use: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]

    @property
    def told(self) -> Use:
        """Return what was recorded."""
        return Use.model_validate(self.use)


async def add(tx: AsyncSession, row: UseRecord) -> bool:
    """Enter a record; return False when there is one of the same days by the same grant."""
    values = {column.key: getattr(row, column.key) for column in UseRecord.__table__.columns}
    entered = await tx.execute(insert(UseRecord).values(values).on_conflict_do_nothing().returning(UseRecord.use_id))
    return entered.first() is not None


async def list_records(
    tx: AsyncSession,
    *,
    party: UUID | None,
    grant_id: UUID | None,
    resource_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[UseRecord]:
    """Return records, newest first: those of an organization's own use and of its resources' use, or all."""
    query = select(UseRecord)
    if party is not None:
        query = query.where(or_(UseRecord.requester_id == party, UseRecord.provider_id == party))
    if grant_id is not None:
        query = query.where(UseRecord.grant_id == grant_id)
    if resource_id is not None:
        query = query.where(UseRecord.resource_id == resource_id)
    return (await tx.scalars(newest_first(query, UseRecord.recorded_at, UseRecord.use_id, limit=limit, after=after))).all()
