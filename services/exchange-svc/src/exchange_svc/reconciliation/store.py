"""The reconciliation_case table, what this node has of a window, and feeds that are late."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Index, Row, case, cast, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_clocks.cycles import ALLOWED
from dxmesh_runtime.db import locked
from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.catalog import OrganizationRef
from exchange_svc.batch.store import Batch
from exchange_svc.catalog.store import Resource
from exchange_svc.delivery.store import Delivery
from exchange_svc.reconciliation.domain import MOST_BATCHES, CaseState, Entry
from exchange_svc.reconciliation.errors import CaseNotFound
from exchange_svc.rows import Base

_DIFFERENT = ("resource_id", text("coalesce(grant_id, '00000000-0000-0000-0000-000000000000')"), "side", "since", "until")


class Case(Base):
    """A window about which an account and this node differ; one is open at a time for a window and a side."""

    __tablename__ = "reconciliation_case"
    __table_args__ = (
        Index("uq_reconciliation_case_open", *_DIFFERENT, unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_reconciliation_case_organization", "organization_id", "opened_at", "case_id"),
        Index("ix_reconciliation_case_provider", "provider_id", "opened_at", "case_id"),
    )
    case_id: Mapped[UUID] = mapped_column(primary_key=True)
    side: Mapped[str]
    resource_id: Mapped[UUID]
    grant_id: Mapped[UUID | None]
    organization_id: Mapped[UUID]
    organization: Mapped[dict[str, Any]]
    provider_id: Mapped[UUID]
    since: Mapped[datetime]
    until: Mapped[datetime]
    told: Mapped[dict[str, Any]]
    held: Mapped[dict[str, Any]]
    difference_count: Mapped[int]
    differences: Mapped[list[Any]]
    state: Mapped[str]
    opened_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]
    explanation: Mapped[str | None]

    @property
    def organization_ref(self) -> OrganizationRef:
        """Return whose account it is."""
        return OrganizationRef.model_validate(self.organization)

    @property
    def named(self) -> dict[str, Any]:
        """Return what every event of a case carries."""
        return {
            "case_id": self.case_id,
            "side": self.side,
            "resource_id": self.resource_id,
            "grant_id": self.grant_id,
            "organization": self.organization_ref,
            "since": self.since,
            "until": self.until,
        }


async def list_received(tx: AsyncSession, resource_id: UUID, since: datetime, until: datetime) -> list[Entry]:
    """Return the batches of a resource received in a window, at most one more than may be reconciled."""
    query = select(Batch.batch_id, Batch.received_count, Batch.body_sha256).where(
        Batch.resource_id == resource_id, Batch.received_at >= since, Batch.received_at < until
    )
    rows = await tx.execute(query.limit(MOST_BATCHES + 1))
    return [Entry(batch_id=row[0], row_count=row[1], sha256=row[2]) for row in rows]


async def list_delivered(tx: AsyncSession, view_id: UUID, since: datetime, until: datetime) -> list[Entry]:
    """Return the deliveries to a view completed in a window, at most one more than may be reconciled.

    Their rows are the records of the batch, as its reader counts them: also those of keys that a snapshot has no more.
    """
    query = select(Delivery.batch_id, Delivery.delivered_count + Delivery.vanished_count, Delivery.sha256).where(
        Delivery.view_id == view_id, Delivery.completed_at >= since, Delivery.completed_at < until
    )
    rows = await tx.execute(query.limit(MOST_BATCHES + 1))
    return [Entry(batch_id=row[0], row_count=row[1], sha256=row[2]) for row in rows]


async def find_open(
    tx: AsyncSession, *, side: str, resource_id: UUID, grant_id: UUID | None, since: datetime, until: datetime
) -> Case | None:
    """Return the open case of a window, locked."""
    query = select(Case).where(
        Case.side == side,
        Case.resource_id == resource_id,
        Case.grant_id.is_not_distinct_from(grant_id),
        Case.since == since,
        Case.until == until,
        Case.state == CaseState.OPEN,
    )
    return (await tx.scalars(locked(query))).one_or_none()


async def get(tx: AsyncSession, case_id: UUID, *, lock: bool = False) -> Case:
    """Return a case. Raises: CaseNotFound (404)."""
    query = select(Case).where(Case.case_id == case_id)
    row = (await tx.scalars(locked(query) if lock else query)).one_or_none()
    if row is None:
        raise CaseNotFound(f"case {case_id} does not exist, or you may not see it")
    return row


async def list_cases(
    tx: AsyncSession, *, organization_id: UUID | None, state: CaseState | None, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[Case]:
    """Return cases that concern an organization (all of them when None), newest first."""
    query = select(Case)
    if organization_id is not None:
        query = query.where(or_(Case.organization_id == organization_id, Case.provider_id == organization_id))
    if state is not None:
        query = query.where(Case.state == state)
    return (await tx.scalars(newest_first(query, Case.opened_at, Case.case_id, limit=limit, after=after))).all()


_PROVIDER = Resource.snapshot["provider"]
_CYCLE = Resource.snapshot["update_cycle"].astext
_NEWEST = (
    select(func.max(Batch.assessed_at))
    .where(Batch.resource_id == Resource.resource_id, Batch.sequence.is_not(None))
    .correlate(Resource)
    .scalar_subquery()
)
_SINCE = func.coalesce(_NEWEST, cast(Resource.snapshot["published_at"].astext, Batch.received_at.type))
_DUE = cast(
    cast(func.timezone("Asia/Shanghai", _SINCE), Date)
    + case({cycle.value: func.make_interval(0, months, 0, days) for cycle, (months, days) in ALLOWED.items()}, value=_CYCLE),
    Date,
)


async def list_late(
    tx: AsyncSession, *, provider_id: UUID | None, today: date, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row[UUID, str, Any, str, datetime | None, date, datetime]]:
    """Return feeds whose newest accepted batch is older than their cycle allows, the oldest first.

    Each: resource, its name, provider, cycle, when a batch was last accepted, the last day in time, and what that is counted from.
    """
    query = select(Resource.resource_id, Resource.snapshot["name"].astext, _PROVIDER, _CYCLE, _NEWEST, _DUE, _SINCE).where(
        Resource.withdrawn_at.is_(None), _CYCLE.in_([cycle.value for cycle in ALLOWED]), today > _DUE
    )
    if provider_id is not None:
        query = query.where(Resource.provider_id == provider_id)
    if after is not None:
        query = query.where(tuple_(_SINCE, Resource.resource_id) > after)
    return (await tx.execute(query.order_by(_SINCE, Resource.resource_id).limit(limit))).all()
