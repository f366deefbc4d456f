"""The rules an entry must keep, each naming the field it is broken in (编制指南 发改高技〔2017〕1272号, 政务数据共享条例 Art. 13-15)."""

import re
from collections.abc import Iterator, Sequence

from catalog_svc.resource import attribute_rules, item_rules
from catalog_svc.resource.definition import MAX_EVENT_BYTES, Definition, Settled
from catalog_svc.resource.facts import Facts
from dxmesh_schemas import text
from dxmesh_schemas.catalog import OpenType, SharingType
from dxmesh_schemas.problem import Fault

__all__ = ["Facts", "effective_level", "effective_sharing", "faults", "missing", "strictest"]
_SECRET_MARK = re.compile(r"(?:绝密|机密|秘密)\s*★")
"""密级★保密期限, as GB/T 9704-2012 section 7.2.2 writes it."""
_ESCAPED = re.compile(r"\\[ubf]")
"""How JSON writes control characters, but for line breaks and tabs."""
_STRICTNESS = (SharingType.UNCONDITIONAL, SharingType.CONDITIONAL, SharingType.NOT_SHARED)


def faults(entry: Definition | Settled, facts: Facts) -> list[Fault]:
    """Return (JSON pointer, what is wrong and what to do) for every rule that is broken; empty when the entry is good.

    Of an entry that fits no event, and so could never be published, nothing else is looked at.
    """
    written = entry.model_dump_json(exclude_none=True)
    if (size := len(written.encode())) > MAX_EVENT_BYTES:
        return [("/items", f"the entry takes {size} bytes as JSON; at most {MAX_EVENT_BYTES} fit one event: shorten it")]
    return [
        *_unseen(entry, written),
        *_naming(entry, facts),
        *_sharing(entry),
        *_opening(entry),
        *_grading(entry),
        *attribute_rules.faults(entry, facts, effective_sharing(entry)),
        *_key(entry),
        *item_rules.faults(entry, facts),
        *_continuity(entry, facts),
    ]


def _unseen(entry: Definition | Settled, written: str) -> Iterator[Fault]:
    """Look at the texts of items one by one only when the entry as it is written holds what cannot be seen, or hides it as an escape."""
    if _ESCAPED.search(written) or text.unseen(written) is not None:
        yield from text.faults({"items": [item.model_dump(mode="json", exclude_none=True) for item in entry.items]})


def missing(entry: Definition | Settled) -> list[Fault]:
    """Return what a draft may still lack and a submission may not (GDSR Art. 13-14): a steward, and the reasons of any restriction."""
    return list(_missing(entry))


def strictest(kinds: Sequence[SharingType]) -> SharingType:
    """Return the strictest sharing type; UNCONDITIONAL for none, as sharing is the rule."""
    return max(kinds, key=_STRICTNESS.index, default=SharingType.UNCONDITIONAL)


def effective_sharing(entry: Definition | Settled) -> SharingType:
    """Return the resource's sharing type: as declared, or else the strictest of its items'."""
    return entry.sharing_type or strictest([item.sharing_type for item in entry.items])


def effective_level(entry: Definition | Settled) -> int:
    """Return the resource's level: as declared, or else the highest of its items'."""
    return entry.data_level or max(item.data_level for item in entry.items)


def _missing(entry: Definition | Settled) -> Iterator[Fault]:
    if not entry.steward:
        yield "/steward", "is missing: name the post that keeps the entry current"
    kinds = {effective_sharing(entry), *(item.sharing_type for item in entry.items)}
    # the basis is the reason of what is not shared at all
    if SharingType.CONDITIONAL in kinds and not entry.sharing_reason:
        yield "/sharing_reason", "is missing: sharing is the rule, so say why the resource, or an item of it, is shared on condition"
    if effective_sharing(entry) is SharingType.CONDITIONAL and not entry.sharing_purposes:
        yield "/sharing_purposes", "is missing: CONDITIONAL names what the data may be used for (GDSR Art. 14)"
    if entry.open_type is OpenType.CONDITIONAL and not entry.open_condition:
        yield "/open_condition", "is missing: CONDITIONAL opening names its condition"


def _naming(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    if entry.is_classified:
        yield "/is_classified", "state and work secrets do not belong in the catalogue (GDSR Art. 3); do not enter this resource"
    for pointer, said in (("/name", entry.name), ("/summary", entry.summary), *_item_names(entry)):
        if mark := _SECRET_MARK.search(said):
            yield (
                pointer,
                f"carries the mark of a state secret ({mark[0]}); what is classified does not belong in the catalogue (GDSR Art. 3)",
            )
    if facts.system_name is None:
        yield "/system_id", "is no system of the provider that is planned or in service; register it first under /v1/systems"
    elif text.comparable(entry.name) == text.comparable(facts.system_name):
        yield "/name", "is just the system's name; say what data the resource holds"


def _item_names(entry: Definition | Settled) -> Iterator[tuple[str, str]]:
    return ((f"/items/{index}/name", item.name) for index, item in enumerate(entry.items))


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
    if sharing is not SharingType.CONDITIONAL:
        for field in ("sharing_condition", "sharing_scope", "sharing_purposes"):
            if getattr(entry, field):
                yield (
                    f"/{field}",
                    f"belongs to CONDITIONAL, and this resource is {sharing}; leave it out (GDSR Art. 15: no added conditions)",
                )
    if sharing is not SharingType.UNCONDITIONAL and entry.standing_consent is not None:
        yield "/standing_consent", f"belongs to UNCONDITIONAL, and this resource is {sharing}; leave it out"


def _opening(entry: Definition | Settled) -> Iterator[Fault]:
    if entry.open_condition and entry.open_type is not OpenType.CONDITIONAL:
        yield "/open_condition", f"belongs to CONDITIONAL, and this resource is {entry.open_type} to the public; leave it out"
    if entry.open_type is OpenType.CLOSED:
        return
    if effective_sharing(entry) is SharingType.NOT_SHARED:
        yield (
            "/open_type",
            f"is {entry.open_type} while the resource is NOT_SHARED; what departments may not have is not opened to the public",
        )
    if all(item.open_type is OpenType.CLOSED for item in entry.items):
        yield "/open_type", f"is {entry.open_type} while every item is CLOSED; open an item or write CLOSED"


def _grading(entry: Definition | Settled) -> Iterator[Fault]:
    """数据分类分级 (DSL Art. 21): important and core data are never granted by a machine, and never opened."""
    of_items = max(item.data_level for item in entry.items)
    if entry.data_level is not None and entry.data_level < of_items:
        yield "/data_level", f"is {entry.data_level} while an item is of level {of_items}; write {of_items}, or leave it out"
    if not (entry.is_important or entry.is_core):
        return
    grade = "core" if entry.is_core else "important"
    if entry.standing_consent is not None:
        yield "/standing_consent", f"{grade} data are granted by a person each time; leave it out"
    if entry.open_type is not OpenType.CLOSED:
        yield "/open_type", f"is {entry.open_type}; {grade} data are not opened to the public: write CLOSED"


def _key(entry: Definition | Settled) -> Iterator[Fault]:
    codes = {item.code for item in entry.items}
    for index, code in enumerate(entry.key):
        if code not in codes:
            yield f"/key/{index}", f"{code} is not an item of the resource"
        if code in entry.key[:index]:
            yield f"/key/{index}", f"{code} stands in the key twice"


def _continuity(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    """What readers and the resource's table rely on from one version to the next."""
    if facts.published is None:
        return
    if entry.class_path != facts.published.class_path:
        yield (
            "/class_path",
            f"must stay {facts.published.class_path}, as the resource code was made from it; register another resource instead",
        )
    if entry.kind != facts.published.kind:
        yield "/kind", f"must stay {facts.published.kind}; register another resource instead"
    before = facts.kept or {item.code: item for item in facts.published.items}
    for index, item in enumerate(entry.items):
        old = before.get(item.code)
        if old is not None and item_rules.storage(old) != item_rules.storage(item):
            yield (
                f"/items/{index}/data_type",
                f"{item.code} is kept as type {old.data_type.value} already; give the new form a new item code",
            )
