"""Rules of questions about rows: what may be asked, and which counts are told. Pure: what was counted is brought."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dxmesh_schemas.catalog import DataItem, ItemFormat
from dxmesh_schemas.exchange_terms import Comparison, Condition, Scalar
from dxmesh_schemas.problem import Fault
from exchange_svc.enforcement.rules import where_faults

_IDENTIFIERS = (ItemFormat.RESIDENT_ID, ItemFormat.USCC)


def faults(conditions: Sequence[Condition], items: Sequence[DataItem], masked: Collection[str], *, at: str) -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for a question.

    items: those granted. masked: those of them that are not shown: by asking often enough, what was asked about would be.
    """
    yield from where_faults(conditions, items, at=at)
    for number, condition in enumerate(conditions):
        if condition.item in masked:
            yield f"{at}/{number}/item", f"{condition.item} is masked by the grant: what may not be seen is not asked about; leave it out"


def pin_faults(
    conditions: Sequence[Condition], items: Sequence[DataItem], key: Sequence[str], masked: Collection[str], *, at: str
) -> Iterator[Fault]:
    """Yield what is wrong with a question that is not about one person, firm or thing."""
    if pinned(conditions, items, key, masked):
        return
    ways = dict.fromkeys(", ".join(names) for names in _names(items, key, masked))  # the key can be an identifier
    if ways:
        yield at, f"does not say whom it is about: add the condition `eq` on {' or on '.join(ways)}"
    else:
        yield at, "cannot be asked: the grant shows neither the whole business key nor an identifier; ask for a grant that does"


def pinned(conditions: Sequence[Condition], items: Sequence[DataItem], key: Sequence[str], masked: Collection[str]) -> Mapping[str, Scalar]:
    """Return the values that name whom a question is about: of the business key, or of an identifier; nothing if it names nobody."""
    equal = {one.item: one.value for one in conditions if isinstance(one, Comparison) and one.op == "eq"}
    for names in _names(items, key, masked):
        if equal.keys() >= set(names):
            return {name: equal[name] for name in names}
    return {}


def _names(items: Sequence[DataItem], key: Sequence[str], masked: Collection[str]) -> Iterator[tuple[str, ...]]:
    shown = {item.code for item in items} - set(masked)
    if key and shown >= set(key):
        yield tuple(key)
    yield from ((item.code,) for item in items if item.format in _IDENTIFIERS and item.code in shown)


class Withheld(StrEnum):
    """Why a count is not told."""

    FEWER = "fewer_than_floor"
    NEARLY_ALL = "nearly_all"  # who is left over would be too few
    NEAR_ANOTHER = "near_another_count"  # together with a count of this day it would tell of too few


def normal(conditions: Sequence[Condition]) -> frozenset[str]:
    """Return what a question asks for, whatever the order."""
    return frozenset(json.dumps(one.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) for one in conditions)


@dataclass(frozen=True, slots=True)
class Counted:
    """A count that was asked for: of how many rows it is, and why it is withheld, if it is."""

    asked: frozenset[str]
    count: int
    withheld: Withheld | None


def judge(asked: frozenset[str], count: int, *, total: int, floor: int, earlier: Collection[Counted]) -> Counted:
    """Decide whether a count is told: of a group of at least `floor` rows that leaves out as many and differs by as many from others told.

    earlier: what the grant asked for on the same day. Two questions are compared when one has all the conditions of the other, so
    that the difference of their counts is the count of a group. Groups that overlap otherwise are not looked at: for these there is
    only the number of counts a day.
    """
    if count < floor:
        return Counted(asked, count, Withheld.FEWER)
    if asked and total - count < floor:
        return Counted(asked, count, Withheld.NEARLY_ALL)
    for other in earlier:
        nested = other.asked < asked or asked < other.asked
        if nested and other.withheld is None and abs(other.count - count) < floor:
            return Counted(asked, count, Withheld.NEAR_ANOTHER)
    return Counted(asked, count, None)
