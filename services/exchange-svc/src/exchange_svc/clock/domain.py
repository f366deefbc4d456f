"""Rules of clocks: how one stands, what is to be told of it next, and to whom (政务数据共享条例 Art. 21, 22, 26-28)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from dxmesh_clocks import working_days
from dxmesh_clocks.clock import Clock
from dxmesh_clocks.policy import RuleName
from dxmesh_schemas.catalog import OrganizationRef, SharingType
from dxmesh_schemas.exchange_deadlines import DeadlineApproaching, DeadlineEscalated, DeadlineEvent, DeadlineMissed

GRACE = timedelta(minutes=1)
"""How long a missed deadline is held back: an answer that began in time has ended by then."""
ANSWER = (RuleName.REQUEST_UNCONDITIONAL, RuleName.REQUEST_CONDITIONAL)
"""The rules a provider's answer to a request is due by; a request has one of them."""


class Responsible(StrEnum):
    """Who owes what a deadline is for."""

    PROVIDER = "provider"
    REQUESTER = "requester"
    AUTHORITY = "authority"


class Standing(StrEnum):
    """How a clock stands; each clock stands in one way."""

    RUNNING = "running"
    APPROACHING = "approaching"
    PAUSED = "paused"
    MISSED = "missed"  # still owed, or done late
    MET = "met"  # done in time
    STOPPED = "stopped"  # nothing was owed any more before its end


class Telling(StrEnum):
    """What is told of a clock, each once for one end of it."""

    APPROACHING = "approaching"
    MISSED = "missed"  # to the mesh, and to the chief data officer of who owes it
    ESCALATED = "escalated"  # to the data authority


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed, by whom, and what it is about.

    organization: who owes it; where the data authority does, the provider it is about.
    """

    rule: RuleName
    responsible: Responsible
    organization: OrganizationRef
    request_id: UUID
    resource_id: UUID
    reason: str
    grant_id: UUID | None = None
    dispute_id: UUID | None = None
    correction_id: UUID | None = None


def answer_rule(sharing: SharingType) -> RuleName:
    """Return by which rule a provider answers. Source: 政务数据共享条例 Art. 21."""
    return RuleName.REQUEST_CONDITIONAL if sharing is SharingType.CONDITIONAL else RuleName.REQUEST_UNCONDITIONAL


def standing(
    now: datetime, *, approaching_at: datetime, missed_at: datetime, is_paused: bool, met_at: datetime | None, stopped_at: datetime | None
) -> Standing:
    """Return how a clock stands."""
    if stopped_at is not None:
        return Standing.STOPPED if stopped_at < missed_at else Standing.MISSED
    if met_at is not None:
        return Standing.MET if met_at < missed_at else Standing.MISSED
    if is_paused:
        return Standing.PAUSED
    if now >= missed_at:
        return Standing.MISSED
    return Standing.APPROACHING if now >= approaching_at else Standing.RUNNING


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a clock's end as it is now, and when."""

    approaching_at: datetime | None = None
    missed_at: datetime | None = None
    escalated_at: datetime | None = None


def next_telling(
    clock: Clock, told: Told, *, responsible: Responsible, ended_at: datetime | None, now: datetime
) -> tuple[Telling, datetime] | None:
    """Return what is to be told of a clock next, and when; None when nothing is.

    ended_at: when what is owed was done, or was owed no more. A warning that would come with the miss is left out. What the data
    authority owes itself goes no further here: whoever waits for it takes the dispute to the next body.
    """
    missed_at, escalated_at = clock.missed_at, clock.escalated_at
    if missed_at is None or escalated_at is None or clock.approaching_at is None:
        return None
    if told.missed_at is None:
        if ended_at is not None and ended_at < missed_at:
            return None
        if ended_at is None and told.approaching_at is None and now < missed_at:
            return Telling.APPROACHING, clock.approaching_at
        return Telling.MISSED, missed_at + GRACE
    if ended_at is None and told.escalated_at is None and responsible is not Responsible.AUTHORITY:
        return Telling.ESCALATED, escalated_at
    return None


def tellings(
    telling: Telling,
    clock: Clock,
    common: dict[str, Any],
    *,
    responsible: Responsible,
    ended_at: datetime | None,
    met_at: datetime | None,
    now: datetime,
) -> list[DeadlineEvent]:
    """Return the events a telling is.

    common: the fields of `DeadlineEvent` that the clock itself does not have.
    """
    common = common | {
        "source": clock.rule.source,
        "responsible": responsible.value,
        "started_on": clock.started_on,
        "days": clock.rule.days,
        "extension_days": clock.extension_days,
        "due_on": clock.due_on,
        "assumed_years": clock.assumed_years,
    }
    today = working_days.day_of(now)
    if telling is Telling.APPROACHING:
        return [DeadlineApproaching(**common, days_left=max(0, clock.days_left(today)))]
    common["missed_at"], overdue_days = clock.missed_at, max(0, -clock.days_left(today))
    if telling is Telling.ESCALATED:
        return [DeadlineEscalated(**common, overdue_days=overdue_days, level="data_authority")]
    missed = DeadlineMissed(**common, met_at=met_at)
    if ended_at is not None or responsible is Responsible.AUTHORITY:
        return [missed]
    return [missed, DeadlineEscalated(**common, overdue_days=overdue_days, level="chief_data_officer")]
