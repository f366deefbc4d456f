"""The rules an item of an entry must keep, each naming the field it is broken in."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter
from pydantic_core import SchemaError

from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.facts import Facts
from dxmesh_schemas import text
from dxmesh_schemas.catalog import DataItem, DataType, OpenType, SharingType
from dxmesh_schemas.catalog_attributes import Sensitivity
from dxmesh_schemas.problem import Fault

_MAX_ENUMERATION = 1000
_MAX_PATTERN_EFFORT = 500_000
"""Of all patterns of an entry, in microseconds or so: an engine writes every counted repetition out before it looks at a value."""
_OF_UNICODE, _OF_CLASS, _OF_CHARACTER = 600, 10, 1
_PATTERN_TOKEN = re.compile(r"\\[pP](?:\{[^}]*\})?|\\.|\[(?:\\.|[^\]\\])+\]?|\{[\d,]*\}|.", re.DOTALL)
_UNICODE_CLASS = re.compile(r"\\[pPwWdDsSbB]|\[:")
_COMMENTED = re.compile(r"\(\?[A-Za-z-]*x")
_KEPT_FROM_THE_PUBLIC = (Sensitivity.PERSONAL, Sensitivity.SENSITIVE_PERSONAL, Sensitivity.TRADE_SECRET)


def faults(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for every rule of an item that is broken."""
    yield from _distinct(entry.items)
    yield from _patterns(entry.items)
    for index, item in enumerate(entry.items):
        yield from _item(index, item, entry, facts)


def _distinct(items: Sequence[DataItem]) -> Iterator[Fault]:
    # tables hold columns by name without regard to case
    for label, values in (("code", [item.code.lower() for item in items]), ("name", [text.comparable(item.name) for item in items])):
        doubled = {value for value, count in Counter(values).items() if count > 1}
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            if value in doubled and first.setdefault(value, index) != index:
                yield f"/items/{index}/{label}", f"is the same as that of item {first[value]}; each item needs its own"


def _item(index: int, item: DataItem, entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    at = f"/items/{index}"
    if item.code.endswith("_"):
        yield f"{at}/code", "ends in an underscore; such columns belong to the node"
    if text.unseen(item.name, layout=True) is None and (character := text.unseen(item.name)) is not None:
        yield f"{at}/name", f"holds {character}, a line break or tab; a name stands in one line"
    elif (character := text.full_width(item.name)) is not None:
        yield f"{at}/name", f"holds the full-width {character!r}; write it half-width"
    elif (character := text.mixed_scripts(item.name)) is not None:
        yield f"{at}/name", f"holds {character!r} ({unicodedata.name(character)}) among Latin letters; write the Latin one it looks like"
    for label, bound in (("minimum", item.minimum), ("maximum", item.maximum)):
        if bound is not None and not math.isfinite(bound):
            yield f"{at}/{label}", "is not a finite number"
    if item.minimum is not None and item.maximum is not None and item.minimum > item.maximum:
        yield f"{at}/maximum", "is below the minimum"
    yield from _terms(at, item, entry)
    yield from _enumeration(at, item)
    yield from _code_set(at, item, facts)
    yield from _reference(at, item, entry, facts)


def _terms(at: str, item: DataItem, entry: Definition | Settled) -> Iterator[Fault]:
    """How an item is shared and opened."""
    if item.sharing_condition and item.sharing_type is not SharingType.CONDITIONAL:
        yield f"{at}/sharing_condition", f"belongs to CONDITIONAL, and this item is {item.sharing_type}; leave it out"
    if item.open_condition and item.open_type is not OpenType.CONDITIONAL:
        yield f"{at}/open_condition", f"belongs to CONDITIONAL, and this item is {item.open_type} to the public; leave it out"
    if entry.open_type is not OpenType.CLOSED and item.open_type is not OpenType.CLOSED and item.sensitivity in _KEPT_FROM_THE_PUBLIC:
        yield f"{at}/open_type", f"is {item.open_type} while its sensitivity is {item.sensitivity}: write CLOSED, or open it masked"
    if item.dictionary is not None:
        if not item.dictionary.strip():
            yield f"{at}/dictionary", "is empty; leave it out or name the dictionary"
        elif not item.data_type.is_text:
            yield f"{at}/dictionary", f"applies to text items (C, M, G); {item.code} is of type {item.data_type.value}"


def _patterns(items: Sequence[DataItem]) -> Iterator[Fault]:
    """Patterns are compiled here and by everyone who checks values: all of an entry's together may cost so much and no more."""
    effort = 0
    found: dict[str, str | None] = {}
    for index, item in enumerate(items):
        if item.pattern is None:
            continue
        if item.pattern not in found:
            effort += _effort(item.pattern)
            if effort > _MAX_PATTERN_EFFORT:
                what = "makes the patterns of the entry too costly to compile: say how long values are with `length` instead of large"
                yield f"/items/{index}/pattern", f"{what} counts, and write [0-9] for \\d, [A-Za-z0-9_] for \\w"
                return
            found[item.pattern] = _pattern_fault(item.pattern)
        if (wrong := found[item.pattern]) is not None:
            yield f"/items/{index}/pattern", wrong


def _effort(pattern: str) -> int:
    """Return about how many microseconds a pattern takes to compile: its parts, as often as counted repetitions name them."""
    sums, last = [0], 0
    for token in _PATTERN_TOKEN.findall(pattern):
        if token == "(":
            sums.append(0)
            last = 0
        elif token == ")" and len(sums) > 1:
            last = sums.pop()
            sums[-1] += last
        elif token[0] == "{":
            times = max((int(count) for count in re.findall(r"[0-9]+", token)), default=1)
            sums[-1] += last * (times - 1)
            last *= times
        elif token not in "]*+?":  # what follows these belongs to the part before them
            unicode = len(_UNICODE_CLASS.findall(token)) * _OF_UNICODE
            last = unicode + (_OF_CLASS if len(token) > 1 or token == "." else _OF_CHARACTER)
            sums[-1] += last
    return sum(sums)


def _pattern_fault(pattern: str) -> str | None:
    """Compile by the engine the values are checked with (Rust regex: linear time, without look-around and backreferences)."""
    if not pattern:
        return "is empty; leave it out"
    if _COMMENTED.search(pattern):
        return "is written with blanks and comments (flag x); write it without them"
    for form in (pattern, f"^(?:{pattern})$"):
        try:
            TypeAdapter(Annotated[str, StringConstraints(pattern=form)])
        except SchemaError as wrong:
            reason = str(wrong).strip().splitlines()[-1].removeprefix("error: ").strip()
            return f"is no regular expression of Rust's syntax (no look-around, no backreferences): {reason}"
    return None


def _enumeration(at: str, item: DataItem) -> Iterator[Fault]:
    if item.enumeration is None:
        return
    if not 1 <= len(item.enumeration) <= _MAX_ENUMERATION:
        yield f"{at}/enumeration", f"has {len(item.enumeration)} values; give 1 to {_MAX_ENUMERATION}, or use a code set"
        return
    seen: set[str] = set()
    for place, value in enumerate(item.enumeration):
        if not value.strip():
            yield f"{at}/enumeration/{place}", "is empty; a value that may be missing is an item that is not required"
        if value in seen:
            yield f"{at}/enumeration/{place}", "stands in the list twice"
        seen.add(value)


def _code_set(at: str, item: DataItem, facts: Facts) -> Iterator[Fault]:
    if item.code_set is None:
        return
    if not item.data_type.is_text:
        yield f"{at}/code_set", f"applies to text items (C, M, G); {item.code} is of type {item.data_type.value}"
    newest = facts.code_sets.get(item.code_set.name)
    if newest is None:
        yield f"{at}/code_set/name", f"no code set {item.code_set.name!r} is known; publish it first under /v1/code-sets"
    elif item.code_set.name in facts.retired_code_sets and not _is_in_force(item.code_set.name, facts):
        yield f"{at}/code_set/name", f"{item.code_set.name!r} is retired; choose one in use (/v1/code-sets?retired=false)"
    elif item.code_set.version is not None and item.code_set.version > newest:
        yield f"{at}/code_set/version", f"the newest version of {item.code_set.name!r} is {newest}"


def _is_in_force(code_set: str, facts: Facts) -> bool:
    """Say whether the version in force uses a code set: that may go on."""
    held = facts.published.items if facts.published is not None else ()
    return any(item.code_set is not None and item.code_set.name == code_set for item in held)


def _reference(at: str, item: DataItem, entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    if item.reference is None:
        return
    own = item.reference.resource_id == facts.resource_id
    items = entry.items if own else facts.referenced.get(item.reference.resource_id)
    if items is None:
        yield f"{at}/reference/resource_id", "is neither a published resource nor this one"
        return
    target = next((other for other in items if other.code == item.reference.item), None)
    if target is None:
        yield f"{at}/reference/item", f"the resource has no item {item.reference.item}"
    elif own and target.code == item.code:
        yield f"{at}/reference/item", "names the item itself"
    elif storage(target) != storage(item):
        yield (
            f"{at}/reference/item",
            f"is of type {target.data_type.value}, this item of type {item.data_type.value}: their values never match",
        )


def storage(item: DataItem) -> tuple[str, int | None]:
    """Return what decides how values are kept: text types alike, exact numbers by their scale."""
    if item.data_type.is_text:
        return "text", None
    if item.data_type is DataType.MONEY:
        return "exact", 2 if item.scale is None else item.scale
    if item.data_type is DataType.NUMBER and item.scale is not None:
        return "exact", item.scale
    if item.data_type in (DataType.NUMBER, DataType.DOUBLE, DataType.FLOAT):
        return "floating", None
    return item.data_type.value, None
