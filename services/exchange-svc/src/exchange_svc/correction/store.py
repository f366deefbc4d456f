"""The correction table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from exchange_svc.correction.domain import State
from exchange_svc.correction.errors import CorrectionNotFound
from exchange_svc.rows import Base, Sided


class Correction(Sided, Base):
    """A requester's doubt about records, and its provider's answer.

    records: `domain.Record`s. items: whose values are doubted; none: the records as a whole. ended_at, ended_by, answer: of the answer or
    the withdrawal. batch_id: what brings the corrected records. covered_count, uncovered_count: doubted records that it has and has not;
    other_row_count: its rows beside them; null where no key names rows.
    """

    __tablename__ = "correction"
    __table_args__ = (
        Index("ix_correction_requester", "requester_id", "filed_at", "correction_id"),
        Index("ix_correction_provider", "provider_id", "filed_at", "correction_id"),
    )
    correction_id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"))
    request_id: Mapped[UUID]
    resource_id: Mapped[UUID]
    records: Mapped[list[Any]]
    items: Mapped[list[str]]
    reason: Mapped[str]
    state: Mapped[str]
    filed_at: Mapped[datetime]
    filed_by: Mapped[str]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]
    answer: Mapped[str | None]
    batch_id: Mapped[UUID | None]
    covered_count: Mapped[int | None]
    uncovered_count: Mapped[int | None]
    other_row_count: Mapped[int | None]

    @property
    def named(self) -> dict[str, Any]:
        """Return what every event of a correction request carries."""
        return {
            "correction_id": self.correction_id,
            "grant_id": self.grant_id,
            "request_id": self.request_id,
            "resource_id": self.resource_id,
            "requester": self.requester_ref,
            "provider": self.provider_ref,
        }


async def get(tx: AsyncSession, correction_id: UUID, *, lock: bool = False) -> Correction:
    """Return a correction request; with `lock`, hold its row until the transaction ends. Raises: CorrectionNotFound (404)."""
    query = select(Correction).where(Correction.correction_id == correction_id)
    row = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if row is None:
        raise CorrectionNotFound(f"correction request {correction_id} does not exist, or you may not see it")
    return row


async def list_corrections(
    tx: AsyncSession, *, organization_id: UUID | None, state: State | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Correction]:
    """Return the correction requests an organization filed or has to answer (all of them when None), newest first."""
    query = select(Correction)
    if organization_id is not None:
        query = query.where(or_(Correction.requester_id == organization_id, Correction.provider_id == organization_id))
    if state is not None:
        query = query.where(Correction.state == state)
    return (await tx.scalars(newest_first(query, Correction.filed_at, Correction.correction_id, limit=limit, after=after))).all()
