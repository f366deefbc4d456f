"""The clock table."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, Index, Row, and_, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_clocks import working_days
from dxmesh_clocks.clock import Clock as Deadline
from dxmesh_clocks.policy import Rule, RuleName
from dxmesh_runtime.db import locked
from dxmesh_schemas.catalog import OrganizationRef
from exchange_svc.catalog.store import Resource
from exchange_svc.clock import domain
from exchange_svc.clock.domain import Responsible, Standing, Telling, Told
from exchange_svc.rows import Base

CHANNEL = "clock"
_OWED = "met_at IS NULL AND stopped_at IS NULL"


class Clock(Base):
    """Something owed by a day, under the terms that were in force when it began.

    terms: the rule's values. organization_id: who owes it; null where the data authority does. until: the last day, where one was named.
    approaching_at, missed_at: while it stands still, those of before the pause. next_at: when something is to be told of it next.
    """

    __tablename__ = "clock"
    __table_args__ = (
        Index("uq_clock_owed", text("coalesce(correction_id, request_id)"), "rule", unique=True, postgresql_where=text(_OWED)),
        Index("ix_clock_request", "request_id"),
        Index("ix_clock_organization", "organization_id", "missed_at", "clock_id"),
        Index("ix_clock_missed", "missed_at", "clock_id"),
        Index("ix_clock_next", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("ix_clock_dispute", "dispute_id", postgresql_where=text("dispute_id IS NOT NULL")),
        Index("ix_clock_correction", "correction_id", postgresql_where=text("correction_id IS NOT NULL")),
        Index("ix_clock_delivery", "resource_id", postgresql_where=text(f"rule = 'delivery' AND {_OWED}")),
        Index("ix_clock_assumed", "clock_id", postgresql_where=text(f"assumed_years <> '[]'::jsonb AND {_OWED}")),
    )
    clock_id: Mapped[UUID] = mapped_column(primary_key=True)
    rule: Mapped[str]
    terms: Mapped[dict[str, Any]]
    responsible: Mapped[str]
    organization_id: Mapped[UUID | None]
    organization: Mapped[dict[str, Any]]
    request_id: Mapped[UUID] = mapped_column(ForeignKey("sharing_request.request_id"))
    resource_id: Mapped[UUID]
    grant_id: Mapped[UUID | None]
    dispute_id: Mapped[UUID | None]
    correction_id: Mapped[UUID | None]
    reason: Mapped[str]
    started_at: Mapped[datetime]
    started_on: Mapped[date]
    until: Mapped[date | None]
    extension_days: Mapped[int] = mapped_column(server_default="0")
    paused_days: Mapped[int] = mapped_column(server_default="0")
    paused_on: Mapped[date | None]
    due_on: Mapped[date]
    approaching_at: Mapped[datetime]
    missed_at: Mapped[datetime]
    assumed_years: Mapped[list[Any]]
    approaching_told_at: Mapped[datetime | None]
    missed_told_at: Mapped[datetime | None]
    escalated_told_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    met_at: Mapped[datetime | None]
    met_by: Mapped[str | None]
    stopped_at: Mapped[datetime | None]
    stopped_reason: Mapped[str | None]

    @property
    def deadline(self) -> Deadline:
        """Return the deadline as it stands by the calendar of today."""
        return Deadline(
            Rule.model_validate(self.terms),
            self.started_on,
            extension_days=self.extension_days or 0,
            paused_days=self.paused_days or 0,
            paused_on=self.paused_on,
            met_on=None if self.met_at is None else working_days.day_of(self.met_at),
            until=self.until,
        )

    @property
    def organization_ref(self) -> OrganizationRef:
        """Return who owes it, or whom it is about."""
        return OrganizationRef.model_validate(self.organization)

    def show(self, deadline: Deadline, *, now: datetime) -> None:
        """Set the columns that lists and the teller read; an end that moved is told anew."""
        if self.due_on is not None and deadline.due_on != self.due_on:
            self.approaching_told_at = None
        self.extension_days, self.paused_days, self.paused_on = deadline.extension_days, deadline.paused_days, deadline.paused_on
        self.due_on, self.assumed_years = deadline.due_on, list(deadline.assumed_years)
        if deadline.approaching_at is not None and deadline.missed_at is not None:
            self.approaching_at, self.missed_at = deadline.approaching_at, deadline.missed_at
        following = self.next_telling(now)
        self.next_at = None if following is None else following[1]

    def next_telling(self, now: datetime) -> tuple[Telling, datetime] | None:
        """Return what is to be told of it next, and when."""
        told = Told(self.approaching_told_at, self.missed_told_at, self.escalated_told_at)
        return domain.next_telling(
            self.deadline, told, responsible=Responsible(self.responsible), ended_at=self.met_at or self.stopped_at, now=now
        )

    def standing(self, now: datetime) -> Standing:
        """Return how it stands."""
        return domain.standing(
            now,
            approaching_at=self.approaching_at,
            missed_at=self.missed_at,
            is_paused=self.paused_on is not None,
            met_at=self.met_at,
            stopped_at=self.stopped_at,
        )


Named = Row[Clock, str]
"""A clock with the name of its resource."""
_IS_OWED = and_(Clock.met_at.is_(None), Clock.stopped_at.is_(None))
_ENDED = func.coalesce(Clock.met_at, Clock.stopped_at)
_NAME = Resource.snapshot["name"].astext


async def lock_owed(tx: AsyncSession, request_id: UUID, *rules: RuleName, correction_id: UUID | None = None) -> Sequence[Clock]:
    """Return what is owed for a request by these rules, or for one of its corrections; locked."""
    query = select(Clock).where(_IS_OWED, Clock.request_id == request_id, Clock.rule.in_(rules)).order_by(Clock.clock_id)
    if correction_id is not None:
        query = query.where(Clock.correction_id == correction_id)
    return (await tx.scalars(locked(query))).all()


async def lock_deliveries(tx: AsyncSession, resource_ids: Collection[UUID]) -> Sequence[Clock]:
    """Return the deliveries that are owed of resources, locked; call it under the lock of the resources' rows."""
    query = select(Clock).where(_IS_OWED, text("rule = 'delivery'"), Clock.resource_id.in_(resource_ids)).order_by(Clock.clock_id)
    return (await tx.scalars(locked(query))).all()


async def lock_due(tx: AsyncSession, *, now: datetime, limit: int) -> Sequence[Named]:
    """Return clocks of which something is to be told now, locked; those another teller holds are left to it."""
    query = select(Clock, _NAME).join(Resource, Resource.resource_id == Clock.resource_id)
    query = query.where(Clock.next_at <= now).order_by(Clock.next_at, Clock.clock_id).limit(limit)
    return (await tx.execute(locked(query, of=Clock, skip_locked=True))).all()


async def next_moment(tx: AsyncSession) -> datetime | None:
    """Return when something is to be told next."""
    return await tx.scalar(select(func.min(Clock.next_at)).where(Clock.next_at.is_not(None)))


async def lock_assumed(tx: AsyncSession) -> Sequence[Clock]:
    """Return what is owed, and not yet told to be missed, by a day that rests on a year without announced holidays; locked."""
    query = select(Clock).where(_IS_OWED, text("assumed_years <> '[]'::jsonb"), Clock.missed_told_at.is_(None))
    return (await tx.scalars(locked(query.order_by(Clock.clock_id), skip_locked=True))).all()


async def answers_of(tx: AsyncSession, request_ids: Collection[UUID]) -> Mapping[UUID, Clock]:
    """Return the clock of the provider's answer of each request that has one."""
    query = select(Clock).where(Clock.request_id.in_(request_ids), Clock.rule.in_(domain.ANSWER)).order_by(Clock.clock_id)
    return {clock.request_id: clock for clock in await tx.scalars(query)} if request_ids else {}


async def last_of_disputes(tx: AsyncSession, dispute_ids: Collection[UUID]) -> Mapping[UUID, Clock]:
    """Return the newest clock of each dispute."""
    query = select(Clock).where(Clock.dispute_id.in_(dispute_ids)).order_by(Clock.clock_id)
    return {clock.dispute_id: clock for clock in await tx.scalars(query) if clock.dispute_id is not None} if dispute_ids else {}


async def of_corrections(tx: AsyncSession, correction_ids: Collection[UUID]) -> Mapping[UUID, Clock]:
    """Return the clock of each correction request."""
    query = select(Clock).where(Clock.correction_id.in_(correction_ids))
    return {clock.correction_id: clock for clock in await tx.scalars(query) if clock.correction_id is not None} if correction_ids else {}


def _stands(standing: Standing, now: datetime) -> ColumnElement[bool]:
    conditions: dict[Standing, ColumnElement[bool]] = {
        Standing.RUNNING: and_(_IS_OWED, Clock.paused_on.is_(None), Clock.approaching_at > now),
        Standing.APPROACHING: and_(_IS_OWED, Clock.paused_on.is_(None), Clock.approaching_at <= now, Clock.missed_at > now),
        Standing.PAUSED: and_(_IS_OWED, Clock.paused_on.is_not(None)),
        Standing.MISSED: and_(
            Clock.paused_on.is_(None),
            or_(Clock.missed_at <= _ENDED, and_(_IS_OWED, Clock.missed_at <= now)),
        ),
        Standing.MET: Clock.met_at < Clock.missed_at,
        Standing.STOPPED: Clock.stopped_at < Clock.missed_at,
    }
    return conditions[standing]


async def list_clocks(
    tx: AsyncSession,
    *,
    organization_id: UUID | None,
    standing: Standing | None,
    request_id: UUID | None,
    is_owed: bool | None,
    now: datetime,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> Sequence[Named]:
    """Return what an organization owes or owed (everybody when None), those due first coming first."""
    query = select(Clock, _NAME).join(Resource, Resource.resource_id == Clock.resource_id)
    if organization_id is not None:
        query = query.where(Clock.organization_id == organization_id)
    if request_id is not None:
        query = query.where(Clock.request_id == request_id)
    if standing is not None:
        query = query.where(_stands(standing, now))
    if is_owed is not None:
        query = query.where(_IS_OWED if is_owed else ~_IS_OWED)
    if after is not None:
        query = query.where(tuple_(Clock.missed_at, Clock.clock_id) > after)
    return (await tx.execute(query.order_by(Clock.missed_at, Clock.clock_id).limit(limit))).all()
