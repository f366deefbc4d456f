"""Censuses in PostgreSQL, which lets none of them be changed or removed."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Date, DateTime, Text, Uuid, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.census.errors import CensusNotFound
from catalog_svc.rows import Base


class Census(Base):
    """The counts and digests of the lists on a day."""

    __tablename__ = "census"
    census_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    taken_on: Mapped[date] = mapped_column(Date)
    lists: Mapped[dict[str, Any]] = mapped_column(JSONB)
    departments: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    taken_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    taken_by: Mapped[str] = mapped_column(Text)


async def get(tx: AsyncSession, census_id: UUID) -> Census:
    """Return a census. Raises: CensusNotFound (404)."""
    row = await tx.get(Census, census_id)
    if row is None:
        raise CensusNotFound(f"no census has the id {census_id}")
    return row


async def list_page(tx: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[Census]:
    """Return up to limit + 1 censuses, oldest first."""
    query = select(Census).order_by(Census.census_id).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(Census.census_id > after))).all()
