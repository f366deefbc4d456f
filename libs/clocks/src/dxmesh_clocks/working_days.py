"""Working days: which days they are, and counting in them."""

from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from typing import Protocol

import chinese_calendar

ZONE = timezone(timedelta(hours=8), "Asia/Shanghai")
"""The time of the whole country, without summer time since 1991."""
_DAY = timedelta(days=1)
_SPRING_FESTIVAL = chinese_calendar.Holiday.spring_festival.value


class Calendar(Protocol):
    """Says which days are worked."""

    def knows(self, year: int) -> bool:
        """Say whether the year's holidays are announced; for other years Monday to Friday are taken as worked."""

    def is_working_day(self, day: date) -> bool:
        """Say whether a day is worked."""


class _China:
    """Days off and days worked in exchange, as the State Council announces them each November for the next year."""

    def knows(self, year: int) -> bool:
        return year in _announced_years()

    def is_working_day(self, day: date) -> bool:
        if day in chinese_calendar.workdays:
            return True
        return day.weekday() < 5 and day not in chinese_calendar.holidays

    def __repr__(self) -> str:
        return "CHINA"


@cache
def _announced_years() -> frozenset[int]:
    # a holiday that begins in the last days of a year reaches into one that is not announced; Spring Festival does not
    return frozenset(day.year for day, name in chinese_calendar.holidays.items() if name == _SPRING_FESTIVAL)


CHINA: Calendar = _China()
"""The working days of the mainland (国务院办公厅关于节假日安排的通知; `chinesecalendar`)."""


def add(day: date, days: int, calendar: Calendar = CHINA) -> date:
    """Return the working day that is `days` working days behind `day`, or before it when `days` is negative; `day` itself for 0.

    `day` is not counted, be it worked or not.
    Source: 民法典 Art. 201 (the first day is not counted).
    """
    step = _DAY if days > 0 else -_DAY
    left = abs(days)
    while left:
        day += step
        left -= calendar.is_working_day(day)
    return day


def between(first: date, last: date, calendar: Calendar = CHINA) -> int:
    """Count the working days after `first` up to and with `last`; negative when `last` comes before `first`.

    between(day, add(day, n)) is n for every n of 0 and more.
    """
    if last < first:
        return -between(last, first, calendar)
    return sum(calendar.is_working_day(first + _DAY * ahead) for ahead in range(1, (last - first).days + 1))


def assumed_years(first: date, last: date, calendar: Calendar = CHINA) -> tuple[int, ...]:
    """Return the years from `first` to `last` whose holidays are not announced: their days were counted Monday to Friday."""
    return tuple(year for year in range(first.year, last.year + 1) if not calendar.knows(year))


def day_of(moment: datetime) -> date:
    """Return the day it is in China at a moment."""
    return moment.astimezone(ZONE).date()


def begin_of(day: date) -> datetime:
    """Return the moment a day begins in China."""
    return datetime.combine(day, time.min, ZONE)
