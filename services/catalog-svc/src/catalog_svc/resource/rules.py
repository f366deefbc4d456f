"""The rules an entry must keep, each naming the field it is broken in (编制指南 发改高技〔2017〕1272号, 政务数据共享条例 Art. 13-15)."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints, TypeAdapter
from pydantic_core import SchemaError

from catalog_svc.resource.definition import Definition, Settled
from dxmesh_schemas import text
from dxmesh_schemas.catalog import DataItem, DataType, OpenType, SharingType

Fault = tuple[str, str]
_STRICTNESS = (SharingType.UNCONDITIONAL, SharingType.CONDITIONAL, SharingType.NOT_SHARED)
_MAX_ENUMERATION = 1000


@dataclass(frozen=True)
class Facts:
    """What the rules must know beyond the entry itself."""

    system_name: str | None  # None: the provider has no such system
    code_sets: Mapping[str, int] = field(default_factory=dict)  # name → newest version
    referenced: Mapping[UUID, Sequence[DataItem]] = field(default_factory=dict)  # published resources → their items
    resource_id: UUID | None = None
    published: Settled | None = None  # the version in force


def faults(entry: Definition | Settled, facts: Facts) -> list[Fault]:
    """Return (JSON pointer, what is wrong and what to do) for every rule that is broken; empty when the entry is good."""
    return [
        *text.faults({"items": [item.model_dump(mode="json", exclude_none=True) for item in entry.items]}),
        *_naming(entry, facts),
        *_sharing(entry),
        *_opening(entry),
        *_key(entry),
        *_distinct(entry.items),
        *(fault for index, item in enumerate(entry.items) for fault in _item(index, item, entry, facts)),
        *_continuity(entry, facts),
    ]


def strictest(kinds: Sequence[SharingType]) -> SharingType:
    """Return the strictest sharing type; UNCONDITIONAL for none, as sharing is the rule."""
    return max(kinds, key=_STRICTNESS.index, default=SharingType.UNCONDITIONAL)


def effective_sharing(entry: Definition | Settled) -> SharingType:
    """Return the resource's sharing type: as declared, or else the strictest of its items'."""
    return entry.sharing_type or strictest([item.sharing_type for item in entry.items])


def _naming(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    if entry.is_classified:
        yield "/is_classified", "state and work secrets do not belong in the catalogue (GDSR Art. 3); do not enter this resource"
    if facts.system_name is None:
        yield "/system_id", "is not a system of the provider; register it first under /v1/systems"
    elif text.comparable(entry.name) == text.comparable(facts.system_name):
        yield "/name", "is just the system's name; say what data the resource holds"


def _sharing(entry: Definition | Settled) -> Iterator[Fault]:
    sharing = effective_sharing(entry)
    of_items = strictest([item.sharing_type for item in entry.items])
    if _STRICTNESS.index(sharing) < _STRICTNESS.index(of_items):
        yield (
            "/sharing_type",
            f"is {sharing} while an item is {of_items}; write {of_items}, or leave it out to take the strictest of the items",
        )
    if sharing is SharingType.NOT_SHARED and entry.non_sharing_basis is None:
        yield (
            "/non_sharing_basis",
            "is missing: NOT_SHARED needs the law, administrative regulation or State Council decision that says so (kind, title, article)",
        )
    if sharing is not SharingType.NOT_SHARED and entry.non_sharing_basis is not None:
        yield "/non_sharing_basis", f"belongs to NOT_SHARED, and this resource is {sharing}; leave it out"
    if sharing is SharingType.CONDITIONAL and not entry.sharing_condition:
        yield "/sharing_condition", "is missing: CONDITIONAL needs the scope and purposes of use (GDSR Art. 14)"
    if sharing is not SharingType.CONDITIONAL and entry.sharing_condition:
        yield (
            "/sharing_condition",
            f"belongs to CONDITIONAL, and this resource is {sharing}; leave it out (GDSR Art. 15: no added conditions)",
        )
    if sharing is not SharingType.UNCONDITIONAL and entry.standing_consent is not None:
        yield "/standing_consent", f"belongs to UNCONDITIONAL, and this resource is {sharing}; leave it out"


def _opening(entry: Definition | Settled) -> Iterator[Fault]:
    if entry.open_type is OpenType.CLOSED:
        return
    if effective_sharing(entry) is SharingType.NOT_SHARED:
        yield (
            "/open_type",
            f"is {entry.open_type} while the resource is NOT_SHARED; what departments may not have is not opened to the public",
        )
    if all(item.open_type is OpenType.CLOSED for item in entry.items):
        yield "/open_type", f"is {entry.open_type} while every item is CLOSED; open an item or write CLOSED"


def _key(entry: Definition | Settled) -> Iterator[Fault]:
    codes = {item.code for item in entry.items}
    for index, code in enumerate(entry.key):
        if code not in codes:
            yield f"/key/{index}", f"{code} is not an item of the resource"
        if code in entry.key[:index]:
            yield f"/key/{index}", f"{code} stands in the key twice"


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
    if (character := text.full_width(item.name)) is not None:
        yield f"{at}/name", f"holds the full-width {character!r}; write it half-width"
    for label, bound in (("minimum", item.minimum), ("maximum", item.maximum)):
        if bound is not None and not math.isfinite(bound):
            yield f"{at}/{label}", "is not a finite number"
    if item.minimum is not None and item.maximum is not None and item.minimum > item.maximum:
        yield f"{at}/maximum", "is below the minimum"
    if item.pattern is not None and (wrong := _pattern_fault(item.pattern)) is not None:
        yield f"{at}/pattern", wrong
    yield from _enumeration(at, item)
    yield from _code_set(at, item, facts)
    yield from _reference(at, item, entry, facts)


def _pattern_fault(pattern: str) -> str | None:
    """Compile by the engine the values are checked with (Rust regex: linear time, without look-around and backreferences)."""
    if not pattern:
        return "is empty; leave it out"
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
    for place, value in enumerate(item.enumeration):
        if not value.strip():
            yield f"{at}/enumeration/{place}", "is empty; a value that may be missing is an item that is not required"
        if value in item.enumeration[:place]:
            yield f"{at}/enumeration/{place}", "stands in the list twice"


def _code_set(at: str, item: DataItem, facts: Facts) -> Iterator[Fault]:
    if item.code_set is None:
        return
    if not item.data_type.is_text:
        yield f"{at}/code_set", f"applies to text items (C, M, G); {item.code} is of type {item.data_type.value}"
    newest = facts.code_sets.get(item.code_set.name)
    if newest is None:
        yield f"{at}/code_set/name", f"no code set {item.code_set.name!r} is known; publish it first under /v1/code-sets"
    elif item.code_set.version is not None and item.code_set.version > newest:
        yield f"{at}/code_set/version", f"the newest version of {item.code_set.name!r} is {newest}"


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
    elif _storage(target) != _storage(item):
        yield (
            f"{at}/reference/item",
            f"is of type {target.data_type.value}, this item of type {item.data_type.value}: their values never match",
        )


def _storage(item: DataItem) -> tuple[str, int | None]:
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


def _continuity(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    """What readers and the resource's table rely on from one version to the next."""
    if facts.published is None:
        return
    if entry.class_path != facts.published.class_path:
        yield (
            "/class_path",
            f"must stay {facts.published.class_path}, as the resource code was made from it; register another resource instead",
        )
    before = {item.code: item for item in facts.published.items}
    for index, item in enumerate(entry.items):
        old = before.get(item.code)
        if old is not None and _storage(old) != _storage(item):
            yield (
                f"/items/{index}/data_type",
                f"{item.code} is kept as type {old.data_type.value} already; give the new form a new item code",
            )
