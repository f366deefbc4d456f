"""Duties and what happened to them in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    Text,
    Uuid,
    and_,
    func,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from catalog_svc.duty.domain import GRACE, Standing
from catalog_svc.duty.errors import DutyNotFound
from catalog_svc.organization.store import Organization
from catalog_svc.resource.store import Resource
from catalog_svc.rows import Base
from dxmesh_clocks.clock import Clock
from dxmesh_clocks.policy import Rule
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import locked

CHANNEL = "duty"
_UNTOLD_APPROACHING = "approaching_told_at IS NULL AND met_at IS NULL AND cancelled_at IS NULL"
_UNTOLD_MISSED = "missed_told_at IS NULL AND cancelled_at IS NULL AND (met_at IS NULL OR met_at >= missed_at)"


class Duty(Base):
    """Something owed by a day, under the terms that were in force when it began."""

    __tablename__ = "duty"
    __table_args__ = (
        Index("ix_duty_organization_id", "organization_id", "missed_at"),
        Index("ix_duty_resource_id", "resource_id"),
        Index("ix_duty_case_id", "case_id"),
        Index("duty_due", "missed_at", "duty_id"),
        Index("duty_untold_approaching", "approaching_at", postgresql_where=text(_UNTOLD_APPROACHING)),
        Index("duty_untold_missed", "missed_at", postgresql_where=text(_UNTOLD_MISSED)),
    )
    duty_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    terms: Mapped[dict[str, Any]] = mapped_column(JSONB)  # the rule's values
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    resource_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    case_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("arbitration_case.case_id"))
    change: Mapped[str] = mapped_column(Text)
    basis: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    registered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    registered_by: Mapped[str] = mapped_column(Text)
    started_on: Mapped[date] = mapped_column(Date)
    extension: Mapped[str | None] = mapped_column(Text)
    extension_asked_days: Mapped[int | None] = mapped_column(Integer)
    extension_days: Mapped[int] = mapped_column(Integer, default=0)
    due_on: Mapped[date] = mapped_column(Date)
    approaching_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    missed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    assumed_years: Mapped[list[int]] = mapped_column(JSONB)
    approaching_told_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    missed_told_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    met_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    met_by: Mapped[str | None] = mapped_column(Text)
    met_resource_id: Mapped[UUID | None] = mapped_column(Uuid)
    met_version: Mapped[int | None] = mapped_column(Integer)
    cancelled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    @property
    def clock(self) -> Clock:
        """Return the deadline as it stands by the calendar of today."""
        met_on = None if self.met_at is None else day_of(self.met_at)
        return Clock(Rule.model_validate(self.terms), self.started_on, extension_days=self.extension_days, met_on=met_on)

    def show(self, clock: Clock) -> None:
        """Set the columns that lists and the teller read from a clock."""
        assert clock.approaching_at is not None
        assert clock.missed_at is not None
        self.extension_days, self.due_on, self.assumed_years = clock.extension_days, clock.due_on, list(clock.assumed_years)
        self.approaching_at, self.missed_at = clock.approaching_at, clock.missed_at

    @property
    def is_open(self) -> bool:
        """Say whether it is still owed."""
        return self.met_at is None and self.cancelled_at is None


class DutyStep(Base):
    """What happened to a duty: when, by whom and why."""

    __tablename__ = "duty_step"
    __table_args__ = (Index("ix_duty_step_duty_id", "duty_id", "at"),)
    step_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    duty_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("duty.duty_id"))
    step: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)


Named = Row[Duty, Organization, str | None]
"""A duty with its organization and the name of its resource."""
_OWED = and_(Duty.met_at.is_(None), Duty.cancelled_at.is_(None))
_APPROACHING_UNTOLD = and_(Duty.approaching_told_at.is_(None), _OWED)
_MISSED_UNTOLD = and_(Duty.missed_told_at.is_(None), Duty.cancelled_at.is_(None), or_(Duty.met_at.is_(None), Duty.met_at >= Duty.missed_at))


def _named() -> Select[Duty, Organization, str | None]:
    query = select(Duty, Organization, Resource.name).join(Organization, Organization.organization_id == Duty.organization_id)
    return query.outerjoin(Resource, Resource.resource_id == Duty.resource_id)


async def get(tx: AsyncSession, duty_id: UUID, *, of: UUID | None, lock: bool = False) -> Duty:
    """Return a duty, of one organization when `of` is given, its row locked when asked. Raises: DutyNotFound (404)."""
    query = select(Duty).where(Duty.duty_id == duty_id)
    if lock:
        query = locked(query)
    row = await tx.scalar(query)
    if row is None or of not in (None, row.organization_id):
        raise DutyNotFound(f"no duty you may see has the id {duty_id}")
    return row


async def named(tx: AsyncSession, duty_id: UUID) -> Named:
    """Return a duty that exists with its names."""
    return (await tx.execute(_named().where(Duty.duty_id == duty_id))).one()


async def find_same(
    tx: AsyncSession, *, organization_id: UUID, resource_id: UUID | None, change: str, basis: str | None, started_on: date
) -> Duty | None:
    """Return the open duty that comes from the same change."""
    same = (
        Duty.organization_id == organization_id,
        Duty.resource_id.is_not_distinct_from(resource_id),
        Duty.change == change,
        Duty.basis.is_not_distinct_from(basis),
        Duty.started_on == started_on,
    )
    return await tx.scalar(select(Duty).where(_OWED, *same).limit(1))


async def lock_open(tx: AsyncSession, resource_id: UUID, *rules: str) -> Sequence[Duty]:
    """Return the open duties of a resource, locked."""
    query = select(Duty).where(_OWED, Duty.resource_id == resource_id, Duty.rule.in_(rules))
    return (await tx.scalars(locked(query.order_by(Duty.duty_id)))).all()


async def lock_open_of_case(tx: AsyncSession, case_id: UUID) -> Sequence[Duty]:
    """Return the open duties of an arbitration case, locked."""
    query = select(Duty).where(_OWED, Duty.case_id == case_id)
    return (await tx.scalars(locked(query.order_by(Duty.duty_id)))).all()


async def last_of_cases(tx: AsyncSession, case_ids: Collection[UUID]) -> dict[UUID, Duty]:
    """Return the last duty of each arbitration case that has one."""
    query = select(Duty).where(Duty.case_id.in_(case_ids)).order_by(Duty.duty_id)
    return {duty.case_id: duty for duty in await tx.scalars(query) if duty.case_id is not None} if case_ids else {}


async def lock_met_by(tx: AsyncSession, resource_id: UUID, version: int) -> Sequence[Duty]:
    """Return the duties that were met by a version of a resource, locked."""
    query = select(Duty).where(Duty.met_resource_id == resource_id, Duty.met_version == version, Duty.cancelled_at.is_(None))
    return (await tx.scalars(locked(query.order_by(Duty.duty_id)))).all()


def _standing(standing: Standing, now: datetime) -> ColumnElement[bool]:
    overdue = Duty.missed_at <= func.coalesce(Duty.met_at, now)
    conditions: dict[Standing, ColumnElement[bool]] = {
        Standing.OPEN: _OWED,
        Standing.APPROACHING: and_(_OWED, Duty.approaching_at <= now, Duty.missed_at > now),
        Standing.MISSED: and_(overdue, Duty.cancelled_at.is_(None)),
        Standing.MET: and_(Duty.met_at < Duty.missed_at, Duty.cancelled_at.is_(None)),
        Standing.CANCELLED: Duty.cancelled_at.is_not(None),
    }
    return conditions[standing]


async def list_page(
    tx: AsyncSession,
    *,
    of: UUID | None,
    resource_id: UUID | None,
    rule: str | None,
    standing: Standing | None,
    now: datetime,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Named]:
    """Return up to limit + 1 duties, those due first coming first."""
    query = _named().order_by(Duty.missed_at, Duty.duty_id).limit(limit + 1)
    if of is not None:
        query = query.where(Duty.organization_id == of)
    if resource_id is not None:
        query = query.where(Duty.resource_id == resource_id)
    if rule is not None:
        query = query.where(Duty.rule == rule)
    if standing is not None:
        query = query.where(_standing(standing, now))
    if after is not None:
        query = query.where(tuple_(Duty.missed_at, Duty.duty_id) > after)
    return (await tx.execute(query)).all()


async def list_steps(tx: AsyncSession, duty_id: UUID) -> Sequence[DutyStep]:
    """Return what happened to a duty, oldest first."""
    return (await tx.scalars(select(DutyStep).where(DutyStep.duty_id == duty_id).order_by(DutyStep.at, DutyStep.step_id))).all()


async def lock_untold(tx: AsyncSession, *, now: datetime, limit: int) -> Sequence[Named]:
    """Return duties of which something is to be told now, locked; those another teller holds are left to it."""
    missed = and_(_MISSED_UNTOLD, Duty.missed_at <= now - GRACE)
    approaching = and_(_APPROACHING_UNTOLD, Duty.approaching_at <= now, Duty.missed_at > now)
    query = _named().where(or_(missed, approaching)).order_by(Duty.missed_at, Duty.duty_id).limit(limit)
    return (await tx.execute(locked(query, of=Duty, skip_locked=True))).all()


async def next_moment(tx: AsyncSession, *, now: datetime) -> datetime | None:
    """Return when something is to be told next; in the past when it is overdue."""
    approaching = select(func.min(Duty.approaching_at)).where(_APPROACHING_UNTOLD, Duty.missed_at > now)
    missed = select(func.min(Duty.missed_at) + GRACE).where(_MISSED_UNTOLD)
    return await tx.scalar(select(func.least(approaching.scalar_subquery(), missed.scalar_subquery())))


async def lock_assumed(tx: AsyncSession) -> Sequence[Duty]:
    """Return the open duties, not yet told to be missed, whose due day rests on a year without announced holidays; locked."""
    query = select(Duty).where(_OWED, Duty.missed_told_at.is_(None), func.jsonb_array_length(Duty.assumed_years) > 0)
    return (await tx.scalars(locked(query.order_by(Duty.duty_id), skip_locked=True))).all()
