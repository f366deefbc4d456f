"""Disputes and what happened to them in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from exchange_svc.dispute.domain import Rung, State
from exchange_svc.dispute.errors import DisputeNotFound
from exchange_svc.rows import Base, Sided


class Dispute(Sided, Base):
    """A dispute about a request, and before whom it is.

    further_until: the last day to take a decision further; null where none was made, or it is for good.
    """

    __tablename__ = "dispute"
    __table_args__ = (
        Index("uq_dispute_request", "request_id", unique=True, postgresql_where=text("state <> 'withdrawn'")),
        Index("ix_dispute_opened", "opened_at", "dispute_id"),
    )
    dispute_id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("sharing_request.request_id"))
    resource_id: Mapped[UUID]
    division_code: Mapped[str]
    rung: Mapped[str]
    state: Mapped[str]
    outcome: Mapped[str | None]
    opened_at: Mapped[datetime]
    further_until: Mapped[date | None]

    @property
    def named(self) -> dict[str, Any]:
        """Return what every event of a dispute carries."""
        return {
            "dispute_id": self.dispute_id,
            "request_id": self.request_id,
            "resource_id": self.resource_id,
            "requester": self.requester_ref,
            "provider": self.provider_ref,
            "rung": Rung(self.rung).value,
        }


class DisputeStep(Base):
    """What happened to a dispute: when, before whom, by whom and why.

    by: the client that entered it. decided_by, outcome, document: of a decision.
    """

    __tablename__ = "dispute_step"
    __table_args__ = (Index("ix_dispute_step_dispute", "dispute_id", "step_id"),)
    step_id: Mapped[UUID] = mapped_column(primary_key=True)
    dispute_id: Mapped[UUID] = mapped_column(ForeignKey("dispute.dispute_id"))
    step: Mapped[str]
    rung: Mapped[str]
    by: Mapped[str]
    reason: Mapped[str]
    outcome: Mapped[str | None]
    decided_by: Mapped[str | None]
    document: Mapped[str | None]
    at: Mapped[datetime]


async def get(tx: AsyncSession, dispute_id: UUID, *, lock: bool = False) -> Dispute:
    """Return a dispute; with `lock`, as it is now, its row held until the transaction ends. Raises: DisputeNotFound (404)."""
    query = select(Dispute).where(Dispute.dispute_id == dispute_id)
    if lock:
        query = locked(query)
    row = (await tx.scalars(query)).one_or_none()
    if row is None:
        raise DisputeNotFound(f"dispute {dispute_id} does not exist, or you may not see it")
    return row


async def find_of_request(tx: AsyncSession, request_id: UUID) -> Dispute | None:
    """Return the dispute about a request that was not withdrawn."""
    query = select(Dispute).where(Dispute.request_id == request_id, Dispute.state != State.WITHDRAWN)
    return (await tx.scalars(query)).one_or_none()


async def list_disputes(
    tx: AsyncSession, *, organization_id: UUID | None, state: State | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Dispute]:
    """Return the disputes an organization is a side of (all of them when None), newest first."""
    query = select(Dispute)
    if organization_id is not None:
        query = query.where(or_(Dispute.requester_id == organization_id, Dispute.provider_id == organization_id))
    if state is not None:
        query = query.where(Dispute.state == state)
    return (await tx.scalars(newest_first(query, Dispute.opened_at, Dispute.dispute_id, limit=limit, after=after))).all()


async def list_steps(tx: AsyncSession, dispute_ids: Collection[UUID]) -> dict[UUID, list[DisputeStep]]:
    """Return what happened to disputes, oldest first."""
    query = select(DisputeStep).where(DisputeStep.dispute_id.in_(dispute_ids)).order_by(DisputeStep.step_id)
    found: dict[UUID, list[DisputeStep]] = {}
    for row in await tx.scalars(query):
        found.setdefault(row.dispute_id, []).append(row)
    return found
