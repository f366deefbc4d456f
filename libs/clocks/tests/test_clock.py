from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_clocks.clock import Clock, State
from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import Rule, RuleName, regulation
from dxmesh_clocks.working_days import ZONE, begin_of, between

UPDATE = regulation().rule(RuleName.CATALOGUE_UPDATE)
CONDITIONAL = regulation().rule(RuleName.REQUEST_CONDITIONAL)
MONDAY = date(2026, 11, 2)
DAY = timedelta(days=1)

rules = st.builds(
    lambda days, extension_days, share: Rule(
        days=days, extension_days=extension_days, approaching_days=min(share, days - 1), pausable=True, source="第一条"
    ),
    st.integers(1, 25),
    st.integers(0, 15),
    st.integers(0, 8),
)
clocks = st.builds(Clock, rules, st.dates(date(2020, 1, 1), date(2027, 12, 31)))
ahead = st.integers(0, 60)


def test_an_update_is_due_after_ten_working_days_and_five_more_with_consent() -> None:
    clock = Clock(UPDATE, MONDAY)
    assert clock.due_on == date(2026, 11, 16)
    assert clock.missed_at == datetime(2026, 11, 17, tzinfo=ZONE)
    assert (clock.approaching_on, clock.days_left(MONDAY)) == (date(2026, 11, 11), 10)
    assert [clock.state(day) for day in (MONDAY, clock.due_on, clock.due_on + DAY)] == [State.RUNNING, State.RUNNING, State.MISSED]
    longer = clock.extend(5, date(2026, 11, 16))
    assert (longer.due_on, longer.state(date(2026, 11, 17))) == (date(2026, 11, 23), State.EXTENDED)
    assert longer.days_left(date(2026, 11, 24)) == -1


def test_an_extension_is_given_once_in_time_and_within_the_rule() -> None:
    clock = Clock(UPDATE, MONDAY)
    with pytest.raises(ClockRefused, match="once only"):
        clock.extend(2, MONDAY).extend(2, MONDAY)
    with pytest.raises(ClockRefused, match="missed"):
        clock.extend(5, clock.due_on + DAY)
    with pytest.raises(ClockRefused, match="met"):
        clock.meet(MONDAY).extend(5, MONDAY)
    for days in (0, 6, -1):
        with pytest.raises(ValueError, match="1 to 5 working days"):
            clock.extend(days, MONDAY)
    with pytest.raises(ClockRefused, match="no extension"):
        Clock(regulation().rule(RuleName.CATALOGUE_REVIEW), MONDAY).extend(1, MONDAY)


def test_a_pause_is_for_rules_that_have_one_and_for_clocks_that_run() -> None:
    with pytest.raises(ClockRefused, match="never paused"):
        Clock(UPDATE, MONDAY).pause(MONDAY)
    clock = Clock(CONDITIONAL, MONDAY)
    for wrong in (lambda: clock.resume(MONDAY), lambda: clock.pause(MONDAY).pause(MONDAY), lambda: clock.pause(date(2026, 12, 1))):
        with pytest.raises(ClockRefused):
            wrong()
    with pytest.raises(ClockRefused, match="begins on"):
        clock.pause(MONDAY - DAY)
    paused = clock.pause(date(2026, 11, 5))
    assert (paused.state(date(2027, 5, 1)), paused.missed_at, paused.approaching_at) == (State.PAUSED, None, None)
    assert paused.days_left(date(2027, 5, 1)) == 7
    assert paused.resume(date(2026, 11, 12)).due_on == date(2026, 11, 23)


def test_a_clock_paused_on_its_last_day_and_resumed_on_a_day_off_is_due_on_the_next_working_day() -> None:
    clock = Clock(CONDITIONAL, MONDAY)
    resumed = clock.pause(clock.due_on).resume(date(2026, 11, 21))
    assert (resumed.due_on, resumed.state(date(2026, 11, 21))) == (date(2026, 11, 23), State.RUNNING)


def test_what_is_done_late_stays_missed_and_ends_once() -> None:
    clock = Clock(UPDATE, MONDAY)
    assert clock.meet(clock.due_on).state(date(2027, 1, 1)) is State.MET
    late = clock.meet(clock.due_on + DAY)
    assert late.state(MONDAY) is State.MISSED
    with pytest.raises(ClockRefused, match="ended on"):
        late.meet(MONDAY)
    assert clock.meet(MONDAY - DAY).state(MONDAY) is State.MET, "done before the change takes effect"
    assert Clock(CONDITIONAL, MONDAY).pause(MONDAY).meet(date(2027, 5, 1)).state(date(2027, 5, 1)) is State.MET


def test_a_due_day_in_a_year_not_announced_says_so() -> None:
    assert Clock(UPDATE, MONDAY).assumed_years == ()
    far = Clock(UPDATE, date(2098, 12, 28))
    assert far.assumed_years == (2098, 2099)


@given(clock=clocks, days=ahead)
def test_a_clock_is_missed_from_the_day_after_it_is_due_and_never_before(clock: Clock, days: int) -> None:
    day = clock.started_on + DAY * days
    assert (clock.state(day) is State.MISSED) == (day > clock.due_on) == (clock.days_left(day) < 0 or day > clock.due_on)
    assert clock.approaching_at is not None
    assert clock.missed_at is not None
    assert clock.approaching_at < clock.missed_at
    assert clock.is_approaching(day) == (clock.approaching_on <= day <= clock.due_on)
    assert clock.days_left(clock.approaching_on) <= clock.rule.approaching_days


@given(clock=clocks, run=ahead, stand=ahead)
def test_a_pause_gives_back_exactly_the_days_that_were_left(clock: Clock, run: int, stand: int) -> None:
    at = min(clock.started_on + DAY * run, clock.due_on)
    paused = clock.pause(at)
    back = at + DAY * stand
    resumed = paused.resume(back)
    assert resumed.due_on >= max(back, clock.due_on)
    assert resumed.days_left(back) == paused.days_left(back) or paused.days_left(back) == 0
    assert resumed.state(back) in (State.RUNNING, State.EXTENDED)
    assert resumed.pause(back).resume(back).due_on == resumed.due_on


@given(clock=clocks, run=ahead, days=st.integers(1, 15), stand=ahead)
def test_extension_and_pause_may_come_in_either_order(clock: Clock, run: int, days: int, stand: int) -> None:
    at = min(clock.started_on + DAY * run, clock.due_on)
    back = at + DAY * stand
    if clock.rule.extension_days < days or between(at, clock.due_on) == 0:
        return
    assert clock.extend(days, at).pause(at).resume(back) == clock.pause(at).resume(back).extend(days, back)


@given(clock=clocks, days=ahead)
def test_no_change_makes_a_clock_due_earlier_and_the_first_clock_stays_as_it_was(clock: Clock, days: int) -> None:
    day = min(clock.started_on + DAY * days, clock.due_on)
    before = (clock.due_on, clock.state(day))
    changed = [clock.pause(day).resume(day), clock.meet(day)]
    if clock.rule.extension_days:
        changed.append(clock.extend(clock.rule.extension_days, day))
    assert all(other.due_on >= clock.due_on for other in changed)
    assert (clock.due_on, clock.state(day)) == before


@given(clock=clocks, days=st.integers(-10, 90))
def test_an_ended_clock_says_the_same_on_every_day(clock: Clock, days: int) -> None:
    ended = clock.meet(clock.started_on + DAY * days)
    states = {ended.state(clock.started_on + DAY * later) for later in (-30, 0, 30, 300)}
    assert states == {State.MET if clock.started_on + DAY * days <= clock.due_on else State.MISSED}
    with pytest.raises(ClockRefused):
        ended.pause(clock.started_on)


def test_a_day_that_was_named_is_the_last_one_be_it_worked_or_not() -> None:
    saturday = date(2026, 11, 14)
    clock = Clock(regulation().rule(RuleName.REMEDY), MONDAY, until=saturday)
    assert (clock.due_on, clock.state(saturday), clock.state(date(2026, 11, 15))) == (saturday, State.RUNNING, State.MISSED)
    assert clock.approaching_on == date(2026, 11, 11)


def test_a_missed_clock_is_taken_further_some_working_days_later() -> None:
    clock = Clock(CONDITIONAL, MONDAY)
    assert clock.due_on == date(2026, 11, 16)
    assert clock.escalated_at == begin_of(date(2026, 11, 20)), "the 19th is the third working day behind the last in time"
    assert clock.pause(MONDAY).escalated_at is None
