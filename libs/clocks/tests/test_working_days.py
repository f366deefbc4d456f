from datetime import UTC, date, datetime, timedelta

import chinese_calendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_clocks import working_days
from dxmesh_clocks.working_days import CHINA, add, between

KNOWN = st.dates(date(2004, 1, 1), date(2026, 12, 31))
ANY = st.dates(date(1990, 1, 1), date(2040, 12, 31))
FEW = st.integers(0, 60)


@given(day=KNOWN)
def test_a_day_is_worked_when_the_announced_calendar_says_so(day: date) -> None:
    assert CHINA.is_working_day(day) == chinese_calendar.is_workday(day)


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2026, 2, 17), False),  # Spring Festival, a Tuesday
        (date(2026, 2, 14), True),  # a Saturday worked in exchange
        (date(2026, 10, 1), False),
        (date(2026, 11, 21), False),
        (date(2026, 11, 23), True),
    ],
)
def test_holidays_are_off_and_days_worked_in_exchange_count(day: date, worked: bool) -> None:
    assert CHINA.is_working_day(day) is worked


def test_years_not_announced_are_monday_to_friday_and_the_answer_says_so() -> None:
    last = max(chinese_calendar.holidays).year
    assert CHINA.knows(last)
    assert not CHINA.knows(last + 1)
    assert not CHINA.knows(2003)
    assert not CHINA.is_working_day(date(2101, 1, 1) + timedelta(days=1))  # a Sunday
    assert CHINA.is_working_day(date(2100, 1, 1))  # a Friday, taken as worked for want of better
    assert working_days.assumed_years(date(last, 12, 20), date(last + 1, 1, 10)) == (last + 1,)
    assert working_days.assumed_years(date(last, 1, 1), date(last, 12, 31)) == ()


def test_the_first_day_is_not_counted() -> None:
    assert add(date(2026, 11, 23), 1) == date(2026, 11, 24)
    assert add(date(2026, 11, 21), 1) == date(2026, 11, 23)  # begun on a Saturday
    assert add(date(2026, 11, 23), 10) == date(2026, 12, 7)
    assert add(date(2026, 11, 23), 0) == date(2026, 11, 23)


def test_ten_working_days_across_the_national_holiday() -> None:
    # off from 1 to 7 October, worked on Saturday the 10th
    assert add(date(2026, 9, 29), 10) == date(2026, 10, 19)


@given(day=ANY, days=FEW)
def test_what_is_added_is_what_lies_between(day: date, days: int) -> None:
    end = add(day, days)
    assert between(day, end) == days
    assert end == day if days == 0 else CHINA.is_working_day(end)


@given(day=ANY, days=FEW)
def test_going_back_undoes_going_on_from_a_working_day(day: date, days: int) -> None:
    start = add(day, 1)
    assert add(add(start, days), -days) == start


@settings(deadline=None)  # fifty years are counted day by day
@given(first=ANY, last=ANY, third=ANY)
def test_counts_add_up_and_change_sign_with_direction(first: date, last: date, third: date) -> None:
    low, middle, high = sorted((first, last, third))
    assert between(low, middle) + between(middle, high) == between(low, high) == -between(high, low)


@given(day=ANY, days=FEW)
def test_a_later_start_is_never_due_earlier(day: date, days: int) -> None:
    assert add(day, days) <= add(day + timedelta(days=1), days)


def test_the_day_is_the_one_in_china() -> None:
    assert working_days.day_of(datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC)) == date(2026, 11, 22)
    assert working_days.day_of(datetime(2026, 11, 22, 16, 0, tzinfo=UTC)) == date(2026, 11, 23)
    assert working_days.begin_of(date(2026, 11, 23)) == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
