"""Rules of records of use: which days one may be about."""

from datetime import date

from exchange_svc.use.errors import UseInvalid


def check_days(first_on: date, last_on: date, *, begun_on: date, ended_on: date | None, today: date) -> None:
    """Let days be recorded on which there was a grant to use. ended_on: its last day, if it is over.

    Raises: UseInvalid (422) naming the day that is wrong.
    """
    last = today if ended_on is None else min(ended_on, today)
    if first_on < begun_on:
        raise _invalid("/first_on", f"{first_on} is before {begun_on}, the day the grant was given; begin with that day")
    if last_on > last:
        why = "today" if ended_on is None or ended_on >= today else "the last day of the grant"
        raise _invalid("/last_on", f"{last_on} is after {last}, {why}; record what was used until then")
    if last_on < first_on:
        raise _invalid("/last_on", f"{last_on} is before {first_on}, the first day; change one of them")


def _invalid(pointer: str, detail: str) -> UseInvalid:
    return UseInvalid.at(pointer, detail)
