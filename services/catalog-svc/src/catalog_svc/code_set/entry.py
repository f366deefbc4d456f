"""What a code set says of a code: its label, parent, the days it holds, and what became of it, each as one source tells it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum

_CHINA = timezone(timedelta(hours=8))  # codes change at midnight in China, one zone all year


class CodeSetKind(StrEnum):
    """What a code set lists."""

    DIVISION = "division"  # 行政区划代码: GB/T 2260, GB/T 10114
    INDUSTRY = "industry"  # 国民经济行业分类: GB/T 4754
    NATIONAL = "national"  # other national lists: GB/T 2261, GB/T 3304, GB/T 6864
    INTERNATIONAL = "international"  # ISO 3166, ISO 4217
    OWN = "own"  # the node's own


class Standing(StrEnum):
    """Whether a code holds on a day."""

    VALID = "valid"
    NOT_YET = "not_yet"
    RETIRED = "retired"
    UNCERTAIN = "uncertain"  # retired since, on a day no source gives
    UNLISTED = "unlisted"  # the leading source does not have it


@dataclass(frozen=True, slots=True)
class Entry:
    """One period of a code as one source tells it: from `valid_from` to the day before `valid_until`; None is open.

    `is_retired`: the code holds no more, and the source does not say since when.
    """

    code: str
    source: str = ""
    label: str | None = None
    parent: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    is_retired: bool = False
    successors: tuple[str, ...] = ()
    note: str | None = None


def day_of(moment: datetime) -> date:
    """Return the day of a moment in China."""
    return moment.astimezone(_CHINA).date()


def standing(entry: Entry, day: date, *, known_on: date) -> Standing:
    """Say whether an entry holds on a day; `known_on` is the day its version was put in force, when undated retirements were known."""
    if entry.valid_from is not None and day < entry.valid_from:
        return Standing.NOT_YET
    if entry.valid_until is not None:
        return Standing.VALID if day < entry.valid_until else Standing.RETIRED
    if entry.is_retired:
        return Standing.RETIRED if day >= known_on else Standing.UNCERTAIN
    return Standing.VALID


_RANK = (Standing.VALID, Standing.UNCERTAIN, Standing.RETIRED, Standing.NOT_YET)


def decided(entries: Iterable[Entry], day: date, *, known_on: date, leading_source: str | None) -> tuple[Standing, Entry | None]:
    """Say how a code stands on a day by all its entries, and the entry that says so.

    The leading source decides alone; without one a code holds when any source says so.
    """
    deciding = [entry for entry in entries if leading_source is None or entry.source == leading_source]
    if not deciding:
        return Standing.UNLISTED, None
    ranked = sorted(deciding, key=lambda entry: (_RANK.index(standing(entry, day, known_on=known_on)), _newest_first(entry)))
    return standing(ranked[0], day, known_on=known_on), ranked[0]


def _newest_first(entry: Entry) -> int:
    return -(entry.valid_from or date.min).toordinal()


def in_force(entries: Sequence[Entry], day: date, *, leading_source: str | None) -> list[str]:
    """Return the codes that hold on a day, each once, in the order of the entries."""
    found = (
        entry.code
        for entry in entries
        if (leading_source is None or entry.source == leading_source) and standing(entry, day, known_on=day) is Standing.VALID
    )
    return list(dict.fromkeys(found))
