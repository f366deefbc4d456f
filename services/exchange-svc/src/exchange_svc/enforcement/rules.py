"""What terms may be given: conditions on granted items, masks that hide, and nothing that could not be kept."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date

from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat
from dxmesh_schemas.exchange_terms import (
    Comparison,
    Condition,
    GeneraliseDate,
    GeneraliseNumber,
    GeneralisePlace,
    Keep,
    Mask,
    Membership,
    Period,
    Prefix,
    Pseudonym,
    Replace,
)
from dxmesh_schemas.problem import Fault
from dxmesh_tabular.items import polars_type, scale_of
from exchange_svc.enforcement.filters import plain
from exchange_svc.enforcement.masks import DIGITS

_DATED = (DataType.DATE, DataType.DATETIME)
_CHECKED = (ItemFormat.RESIDENT_ID, ItemFormat.USCC)
"""Numbers with a check character, by which one that is hidden can be computed."""


def where_faults(where: Sequence[Condition], items: Sequence[DataItem], *, at: str = "/where") -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for a row filter over granted items."""
    known = {item.code: item for item in items}
    for number, condition in enumerate(where):
        item = known.get(condition.item)
        if item is None:
            yield f"{at}/{number}/item", _not_granted(condition.item, known)
            continue
        yield from _condition_faults(condition, item, f"{at}/{number}")


def _not_granted(code: str, known: Collection[str]) -> str:
    return f"{code} is not among the items: what a reader may not see must not choose its rows; name one of {', '.join(known)}"


def _condition_faults(condition: Condition, item: DataItem, at: str) -> Iterator[Fault]:
    match condition:
        case Prefix():
            if not item.data_type.is_text:
                yield f"{at}/op", f"prefix looks at text; {item.code} is of type {item.data_type.value}: use a comparison"
            return
        case Period():
            if item.data_type not in _DATED:
                yield f"{at}/op", f"period looks at dates and times; {item.code} is of type {item.data_type.value}: use a comparison"
            if condition.first is None and condition.last is None:
                yield f"{at}/first", "is missing, and so is last: name at least one of the two days"
            elif (condition.first or date.min) > (condition.last or date.max):
                yield f"{at}/last", f"is before {condition.first}, the first day: no row could leave; change one of them"
            return
        case Comparison():
            values = [("value", condition.value)]
            if item.data_type is DataType.LOGICAL and condition.op not in ("eq", "ne"):
                yield f"{at}/op", f"{condition.op} orders values; {item.code} is yes or no: use eq or ne"
                return
        case Membership():
            values = [(f"values/{number}", value) for number, value in enumerate(condition.values)]
    for name, value in values:
        try:
            plain(value, polars_type(item))
        except ValueError as wrong:
            yield f"{at}/{name}", f"{value!r} does not fit {item.code}, of type {item.data_type.value}: {wrong}"


def mask_faults(masks: Sequence[Mask], items: Sequence[DataItem], *, at: str = "/masks") -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for masks of granted items."""
    known = {item.code: item for item in items}
    seen: set[str] = set()
    for number, mask in enumerate(masks):
        item = known.get(mask.item)
        if item is None:
            yield f"{at}/{number}/item", f"{mask.item} is not among the items, so it does not leave at all: take the mask away"
        elif mask.item in seen:
            yield f"{at}/{number}/item", f"{mask.item} has a mask already: one mask an item"
        else:
            yield from _one_mask_faults(mask, item, f"{at}/{number}")
        seen.add(mask.item)


def _one_mask_faults(mask: Mask, item: DataItem, at: str) -> Iterator[Fault]:
    kind = f"{item.code} is of type {item.data_type.value}"
    if isinstance(mask, Keep | Pseudonym | GeneralisePlace | Replace) and not item.data_type.is_text:
        yield f"{at}/mask", f"{mask.mask} is for text; {kind}: use drop, date or number"
        return
    match mask:
        case Keep():
            shown = mask.prefix + mask.suffix
            longest = _length(item)
            if longest is not None and shown >= longest:
                yield (
                    f"{at}/prefix",
                    f"{mask.prefix} and {mask.suffix} characters are the whole of {item.code}, of at most {longest}: show fewer",
                )
            elif longest is not None and shown == longest - 1 and item.format in _CHECKED:
                yield f"{at}/prefix", f"the one character of {item.code} that is hidden follows from the others: show fewer"
        case GeneraliseDate() if item.data_type not in _DATED:
            yield f"{at}/mask", f"date is for dates and times; {kind}: use keep, number or drop"
        case GeneraliseNumber():
            if not item.data_type.is_numeric:
                yield f"{at}/mask", f"number is for numbers; {kind}: use keep, date or drop"
                return
            scale = 0 if item.data_type is DataType.INTEGER else scale_of(item)
            if scale is not None and mask.width.scaleb(scale) != mask.width.scaleb(scale).to_integral_value():
                yield (
                    f"{at}/width",
                    f"{mask.width} is finer than {item.code}, which has {scale} digits after the point: write a multiple of its unit",
                )
            elif scale is not None and mask.width.scaleb(scale) == 1:
                yield f"{at}/width", f"{mask.width} is the unit of {item.code}: every value would be shown whole; write a greater width"
        case GeneralisePlace() if (longest := _length(item)) is not None and longest <= DIGITS[mask.to]:
            yield (
                f"{at}/to",
                f"codes of {item.code} are of at most {longest} digits, so a {mask.to} is the whole: go further, or drop",
            )
        case GeneralisePlace() if item.format is not ItemFormat.DIVISION and item.code_set is None and item.dictionary is None:
            yield f"{at}/mask", f"place is for division codes; {item.code} is not declared as one (format division): use keep or drop"


def _length(item: DataItem) -> int | None:
    """Return how long a value can be at most, where the item says so."""
    lengths = [item.length] if item.length is not None else []
    lengths += [18] if item.format in (ItemFormat.RESIDENT_ID, ItemFormat.USCC) else []
    lengths += [12] if item.format is ItemFormat.DIVISION else []
    lengths += [max(map(len, item.enumeration))] if item.enumeration else []
    return min(lengths, default=None)
