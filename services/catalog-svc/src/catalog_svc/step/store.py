"""The steps a resource has gone, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Integer, Text, Uuid, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.rows import Base


class ResourceStep(Base):
    """One step: who did what in which role, why and when; `revision` is the one it made."""

    __tablename__ = "resource_step"
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"), primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(Integer)  # the version it concerns: the coming one, or the one in force
    step: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # assessments, faults, grants
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


async def list_of(tx: AsyncSession, resource_id: UUID, *, after: int | None, limit: int) -> Sequence[ResourceStep]:
    """Return up to limit + 1 steps of a resource, oldest first."""
    query = select(ResourceStep).where(ResourceStep.resource_id == resource_id).order_by(ResourceStep.revision).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(ResourceStep.revision > after))).all()


async def last(tx: AsyncSession, resource_id: UUID, step: str) -> ResourceStep | None:
    """Return the newest step of a kind."""
    query = select(ResourceStep).where(ResourceStep.resource_id == resource_id, ResourceStep.step == step)
    return await tx.scalar(query.order_by(ResourceStep.revision.desc()).limit(1))
