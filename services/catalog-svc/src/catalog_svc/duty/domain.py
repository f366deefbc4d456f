"""Rules of duties: what starts one, how it stands, and what is told of it (政务数据共享条例 Art. 17, 28)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

from dxmesh_clocks import working_days
from dxmesh_clocks.clock import Clock
from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_deadlines import DeadlineApproaching, DeadlineEvent, DeadlineMissed
from dxmesh_schemas.problem import Fault

GRACE = timedelta(minutes=1)
"""How long a missed deadline is held back: a publication that began in time has ended by then."""
_FURTHEST = timedelta(days=366)


class Change(StrEnum):
    """What a duty comes from."""

    LAW = "law"  # a law, administrative regulation or State Council decision was changed
    DUTIES = "duties"  # the department's own duties were
    SUBMISSION = "submission"  # a new version was handed in, and the authority's review is due
    DISPUTE = "dispute"  # a data element's source is in dispute, and a decision is due


class Standing(StrEnum):
    """How a duty stands, as lists are asked for it."""

    OPEN = "open"
    APPROACHING = "approaching"
    MISSED = "missed"  # still owed, or done late
    MET = "met"  # done in time
    CANCELLED = "cancelled"


class Extension(StrEnum):
    """How the request for an extension stands."""

    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"


class Step(StrEnum):
    """What happens to a duty."""

    REGISTERED = "registered"
    EXTENSION_ASKED = "extension_asked"
    EXTENSION_GRANTED = "extension_granted"
    EXTENSION_REFUSED = "extension_refused"
    RECOUNTED = "recounted"
    ANSWERED = "answered"
    REOPENED = "reopened"  # the announced version that answered it was called off
    CANCELLED = "cancelled"


def faults(change: Change, *, basis: str | None, changed_on: date, policy: Policy, today: date) -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for a change that is registered."""
    if change is Change.LAW and basis is None:
        yield "/basis", "is missing: name the law, administrative regulation or State Council decision that was changed"
    if changed_on < policy.in_force_on:
        yield (
            "/changed_on",
            f"is before {policy.in_force_on}, when {policy.title} came into force; its deadlines do not bind earlier changes",
        )
    if changed_on > today + _FURTHEST:
        yield "/changed_on", f"is more than a year ahead; a change is registered from {changed_on - _FURTHEST} on"


def responsible(rule: RuleName) -> Literal["provider", "authority"]:
    """Return who owes what a deadline is for."""
    return "provider" if rule is RuleName.CATALOGUE_UPDATE else "authority"


class Told(Protocol):
    """What of a duty goes into its events."""

    duty_id: Any
    rule: Any
    resource_id: Any
    case_id: Any
    reason: Any
    due_on: Any
    missed_at: Any
    assumed_years: Any
    met_at: Any

    @property
    def clock(self) -> Clock:
        """Return its clock."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose duty it is, and what it is about."""

    organization: OrganizationRef
    resource_name: str | None


def deadline_event(duty: Told, about: About, *, missed: bool, now: datetime) -> DeadlineEvent:
    """Return what is told of a duty: that it was missed, or that its end is near."""
    clock = duty.clock
    common: dict[str, Any] = {
        "clock_id": duty.duty_id,
        "rule": duty.rule,
        "source": clock.rule.source,
        "responsible": responsible(RuleName(duty.rule)),
        "organization": about.organization,
        "resource_id": duty.resource_id,
        "resource_name": about.resource_name,
        "case_id": duty.case_id,
        "reason": duty.reason,
        "started_on": clock.started_on,
        "days": clock.rule.days,
        "extension_days": clock.extension_days,
        "due_on": duty.due_on,
        "assumed_years": duty.assumed_years,
    }
    if missed:
        return DeadlineMissed(**common, missed_at=duty.missed_at, met_at=duty.met_at)
    return DeadlineApproaching(**common, days_left=working_days.between(working_days.day_of(now), duty.due_on))
