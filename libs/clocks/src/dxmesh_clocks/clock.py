"""A deadline as a value: what has happened to it decides when it is due and how it stands."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from dxmesh_clocks import working_days
from dxmesh_clocks.errors import ClockRefused
from dxmesh_clocks.policy import Rule
from dxmesh_clocks.working_days import CHINA, Calendar


class State(StrEnum):
    """How a deadline stands on a day."""

    RUNNING = "running"
    PAUSED = "paused"
    EXTENDED = "extended"  # running, its one extension used
    MET = "met"
    MISSED = "missed"  # for good, also when what was owed is done later


@dataclass(frozen=True, slots=True)
class Clock:
    """A deadline in working days that began on `started_on`, which is not counted (民法典 Art. 201).

    Every change gives a new clock; the days given to changes are days in China (`working_days.day_of`).
    """

    rule: Rule
    started_on: date
    extension_days: int = 0
    paused_days: int = 0  # working days of pauses that ended
    paused_on: date | None = None
    met_on: date | None = None
    until: date | None = None  # the last day where one was named, in place of the rule's days
    calendar: Calendar = field(default=CHINA, compare=False, repr=False)

    @property
    def due_on(self) -> date:
        """Return the last day in time; while paused, the one of before the pause."""
        if self.until is not None:
            return self.until
        return working_days.add(self.started_on, self.rule.days + self.extension_days + self.paused_days, self.calendar)

    @property
    def approaching_on(self) -> date:
        """Return the first day on which at most the rule's `approaching_days` working days are left behind it."""
        return max(self.started_on, working_days.add(self.due_on, -self.rule.approaching_days, self.calendar))

    @property
    def approaching_at(self) -> datetime | None:
        """Return when the clock begins to be near its end; None while it stands still."""
        return None if self.paused_on is not None else working_days.begin_of(self.approaching_on)

    @property
    def missed_at(self) -> datetime | None:
        """Return when the clock is missed unless it is met before: as the day after the due day begins; None while it stands still."""
        return None if self.paused_on is not None else working_days.begin_of(self.due_on + timedelta(days=1))

    @property
    def escalated_at(self) -> datetime | None:
        """Return when a clock that is missed and still not met is taken to the data authority; None while it stands still."""
        if self.paused_on is not None:
            return None
        return working_days.begin_of(working_days.add(self.due_on, self.rule.escalation_days, self.calendar) + timedelta(days=1))

    @property
    def assumed_years(self) -> tuple[int, ...]:
        """Return the years counted Monday to Friday because their holidays are not announced; empty when the due day is certain."""
        return working_days.assumed_years(self.started_on, self.due_on, self.calendar)

    def state(self, on: date) -> State:
        """Return how the clock stands on a day."""
        if self.met_on is not None:
            return State.MET if self.met_on <= self.due_on else State.MISSED
        if self.paused_on is not None:
            return State.PAUSED
        if on > self.due_on:
            return State.MISSED
        return State.EXTENDED if self.extension_days else State.RUNNING

    def is_approaching(self, on: date) -> bool:
        """Say whether the clock runs and is near its end."""
        return self.state(on) in (State.RUNNING, State.EXTENDED) and on >= self.approaching_on

    def days_left(self, on: date) -> int:
        """Count the working days left behind a day; negative once the clock is missed."""
        return working_days.between(self.paused_on or on, self.due_on, self.calendar)

    def extend(self, days: int, on: date) -> "Clock":
        """Return the clock with its one extension. Raises: ClockRefused (409).

        days: 1 to the rule's `extension_days`; another number is a mistake of the caller (ValueError).
        """
        if not self.rule.extension_days:
            raise ClockRefused(f"this deadline has no extension ({self.rule.source})", state=self.state(on).value)
        self._refuse_unless_running(on)
        if self.extension_days:
            raise ClockRefused("this deadline was extended already, and is extended once only", state=self.state(on).value)
        if not 1 <= days <= self.rule.extension_days:
            raise ValueError(f"an extension is 1 to {self.rule.extension_days} working days ({self.rule.source}), not {days}")
        return replace(self, extension_days=days)

    def pause(self, on: date) -> "Clock":
        """Return the clock standing still, as when material is asked for. Raises: ClockRefused (409)."""
        if not self.rule.pausable:
            raise ClockRefused(f"this deadline is never paused ({self.rule.source})", state=self.state(on).value)
        self._refuse_unless_running(on)
        if on < self.started_on:
            raise ClockRefused(f"this deadline begins on {self.started_on}", state=self.state(on).value)
        return replace(self, paused_on=on)

    def resume(self, on: date) -> "Clock":
        """Return the clock running again with the working days it had left; it is never due before this day.

        Raises: ClockRefused (409).
        """
        if self.paused_on is None or self.met_on is not None:
            raise ClockRefused("this deadline is not paused", state=self.state(on).value)
        if on < self.paused_on:
            raise ValueError(f"the clock was paused on {self.paused_on}; it cannot go on from {on}")
        stood = self.paused_days + working_days.between(self.paused_on, on, self.calendar)
        running = replace(self, paused_on=None, paused_days=stood)
        # paused on its last day and resumed on a day off, it would be missed as it goes on
        return running if running.due_on >= on else replace(running, paused_days=stood + 1)

    def meet(self, on: date) -> "Clock":
        """Return the clock ended because what was owed is done, in time or late. Raises: ClockRefused (409).

        A clock that stands still ends in time.
        """
        if self.met_on is not None:
            raise ClockRefused(f"this deadline ended on {self.met_on}", state=self.state(on).value)
        ended = self if self.paused_on is None or on < self.paused_on else self.resume(on)
        return replace(ended, paused_on=None, met_on=on)

    def _refuse_unless_running(self, on: date) -> None:
        state = self.state(on)
        if state not in (State.RUNNING, State.EXTENDED):
            raise ClockRefused(f"this deadline is {state.value}; only one that runs is changed", state=state.value)
