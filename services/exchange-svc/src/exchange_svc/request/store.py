"""The sharing_request table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_schemas.catalog import OrganizationRef
from exchange_svc.request.domain import State
from exchange_svc.request.errors import RequestNotFound
from exchange_svc.rows import Base


class SharingRequest(Base):
    """A department's request for items of a resource, and its answer."""

    __tablename__ = "sharing_request"
    __table_args__ = (
        Index("ix_sharing_request_requester", "requester_id", "submitted_at", "request_id"),
        Index("ix_sharing_request_provider", "provider_id", "submitted_at", "request_id"),
    )
    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID]
    resource_version: Mapped[int]
    requester_id: Mapped[UUID]
    requester: Mapped[dict[str, Any]]
    provider_id: Mapped[UUID]
    provider: Mapped[dict[str, Any]]
    items: Mapped[list[str]]
    legal_basis: Mapped[str]
    scenario: Mapped[str]
    purpose: Mapped[str]
    use_until: Mapped[datetime | None]
    approved_by: Mapped[str]
    sharing_type: Mapped[str]
    state: Mapped[str]
    submitted_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]
    grant_id: Mapped[UUID | None]

    @property
    def requester_ref(self) -> OrganizationRef:
        """Return the organization that asks."""
        return OrganizationRef.model_validate(self.requester)

    @property
    def provider_ref(self) -> OrganizationRef:
        """Return the organization that answers."""
        return OrganizationRef.model_validate(self.provider)


async def get(tx: AsyncSession, request_id: UUID, *, lock: bool = False) -> SharingRequest:
    """Return a request; with `lock`, hold its row until the transaction ends. Raises RequestNotFound (404)."""
    query = select(SharingRequest).where(SharingRequest.request_id == request_id)
    row = (await tx.scalars(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    return row


async def list_requests(
    tx: AsyncSession, *, organization_id: UUID | None, state: State | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[SharingRequest]:
    """Return requests an organization made or has to answer (all of them when None), newest first."""
    query = select(SharingRequest)
    if organization_id is not None:
        query = query.where(or_(SharingRequest.requester_id == organization_id, SharingRequest.provider_id == organization_id))
    if state is not None:
        query = query.where(SharingRequest.state == state)
    if after is not None:
        query = query.where(tuple_(SharingRequest.submitted_at, SharingRequest.request_id) < after)
    query = query.order_by(SharingRequest.submitted_at.desc(), SharingRequest.request_id.desc())
    return (await tx.scalars(query.limit(limit))).all()
