"""Rules of clocks: what is told when, to whom, and how a clock stands; on days that are given."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from dxmesh_clocks.clock import Clock
from dxmesh_clocks.policy import RuleName, regulation
from dxmesh_clocks.working_days import ZONE
from dxmesh_schemas.catalog import SharingType
from exchange_svc.clock.domain import GRACE, Responsible, Standing, Telling, Told, answer_rule, next_telling, standing

MONDAY = date(2026, 11, 2)
CLOCK = Clock(regulation().rule(RuleName.REQUEST_CONDITIONAL), MONDAY)
MISSED_AT = datetime(2026, 11, 17, tzinfo=ZONE)


def at(day: int, hour: int = 9) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=ZONE)


def following(told: Told, *, now: datetime, met_at: datetime | None = None, clock: Clock = CLOCK, **more: Any) -> Any:
    return next_telling(clock, told, responsible=more.get("responsible", Responsible.PROVIDER), ended_at=met_at, now=now)


def test_a_clock_is_told_near_its_end_then_missed_then_to_the_authority_and_then_no_more() -> None:
    assert following(Told(), now=at(2)) == (Telling.APPROACHING, at(11, 0))
    near = Told(approaching_at=at(11))
    assert following(near, now=at(11)) == (Telling.MISSED, MISSED_AT + GRACE)
    missed = replace(near, missed_at=at(17))
    assert following(missed, now=at(17)) == (Telling.ESCALATED, at(20, 0)), "three working days behind Monday the 16th"
    assert following(replace(missed, escalated_at=at(20)), now=at(20)) is None


def test_a_warning_that_would_come_with_the_miss_is_left_out() -> None:
    assert following(Told(), now=at(18)) == (Telling.MISSED, MISSED_AT + GRACE)


def test_what_is_done_in_time_is_told_no_more_and_what_is_done_late_is_told_as_missed_only() -> None:
    assert following(Told(), met_at=MISSED_AT - timedelta(seconds=1), now=at(18)) is None
    assert following(Told(), met_at=MISSED_AT, now=at(18)) == (Telling.MISSED, MISSED_AT + GRACE)
    assert following(Told(missed_at=at(17)), met_at=at(18), now=at(18)) is None


def test_a_clock_that_stands_still_is_told_nothing_of() -> None:
    assert following(Told(), clock=CLOCK.pause(date(2026, 11, 3)), now=at(30)) is None


def test_what_the_authority_owes_goes_no_further_than_the_miss() -> None:
    assert following(Told(), now=at(18), responsible=Responsible.AUTHORITY) == (Telling.MISSED, MISSED_AT + GRACE)
    assert following(Told(missed_at=at(17)), now=at(18), responsible=Responsible.AUTHORITY) is None


@pytest.mark.parametrize(
    ("now", "changes", "expected"),
    [
        (at(10), {}, Standing.RUNNING),
        (at(11), {}, Standing.APPROACHING),
        (at(16, 23), {}, Standing.APPROACHING),
        (at(17, 0), {}, Standing.MISSED),
        (at(30), {"is_paused": True}, Standing.PAUSED),
        (at(30), {"met_at": at(16, 23)}, Standing.MET),
        (at(30), {"met_at": at(17, 0)}, Standing.MISSED),
        (at(30), {"stopped_at": at(16)}, Standing.STOPPED),
        (at(30), {"stopped_at": at(18)}, Standing.MISSED),
    ],
)
def test_a_clock_stands_in_one_way(now: datetime, changes: dict[str, Any], expected: Standing) -> None:
    given: dict[str, Any] = {"approaching_at": at(11, 0), "missed_at": MISSED_AT, "is_paused": False, "met_at": None, "stopped_at": None}
    assert standing(now, **given | changes) is expected


def test_what_needs_no_condition_is_answered_within_a_day_and_the_rest_within_ten() -> None:
    days = {kind: regulation().rule(answer_rule(kind)).days for kind in (SharingType.UNCONDITIONAL, SharingType.CONDITIONAL)}
    assert days == {SharingType.UNCONDITIONAL: 1, SharingType.CONDITIONAL: 10}
