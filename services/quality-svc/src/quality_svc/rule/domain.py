"""Which rules a resource's item definitions demand of its rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dxmesh_schemas.catalog import DataItem, ItemFormat, ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind


class RuleKind(StrEnum):
    """What a rule looks at; the value is the rule's name on the wire and in quarantined lines."""

    READABLE = "readable"  # found at intake: a line that is no row
    TYPE = "type"  # found at intake: a cell that is not of its item's type
    REQUIRED = "required"
    LENGTH = "length"
    PATTERN = "pattern"
    ENUMERATION = "enumeration"
    CODE_SET = "code_set"
    RANGE = "range"
    RESIDENT_ID = "resident_id"
    USCC = "uscc"
    DIVISION = "division"
    UNIQUE = "unique"
    REFERENCE = "reference"


DIMENSIONS: dict[RuleKind, tuple[str, str]] = {
    RuleKind.READABLE: ("规范性", "规范性"),
    RuleKind.TYPE: ("准确性", "准确性"),
    RuleKind.REQUIRED: ("完整性", "完整性"),
    RuleKind.LENGTH: ("规范性", "规范性"),
    RuleKind.PATTERN: ("规范性", "规范性"),
    RuleKind.ENUMERATION: ("规范性", "规范性"),
    RuleKind.CODE_SET: ("规范性", "规范性"),
    RuleKind.RANGE: ("规范性", "规范性"),
    RuleKind.RESIDENT_ID: ("准确性", "准确性"),
    RuleKind.USCC: ("准确性", "准确性"),
    RuleKind.DIVISION: ("规范性", "规范性"),
    RuleKind.UNIQUE: ("唯一性", "准确性"),
    RuleKind.REFERENCE: ("关联性", "一致性"),
}
"""Per kind: the local dimension (one of six) and the indicator of GB/T 36344-2018 it counts towards."""

AT_INTAKE = frozenset({RuleKind.READABLE, RuleKind.TYPE})
"""Kinds whose faults are found when the file is read; their lines come with the batch."""
_FORMATS = {ItemFormat.RESIDENT_ID: RuleKind.RESIDENT_ID, ItemFormat.USCC: RuleKind.USCC, ItemFormat.DIVISION: RuleKind.DIVISION}
_OF_A_LIVING_ROW = frozenset({RuleKind.CODE_SET, RuleKind.REFERENCE})


@dataclass(frozen=True)
class Rule:
    """One rule: its kind, the items it reads and, for kinds about one item, that item's definition."""

    kind: RuleKind
    columns: tuple[str, ...]
    definition: DataItem | None = None

    @property
    def item(self) -> str | None:
        """Return the item code the rule is about; None when it is about the line or a key of several items."""
        return self.columns[0] if len(self.columns) == 1 else None

    @property
    def dimension_local(self) -> str:
        """Return the local dimension."""
        return DIMENSIONS[self.kind][0]

    @property
    def dimension_gb(self) -> str:
        """Return the indicator of GB/T 36344-2018."""
        return DIMENSIONS[self.kind][1]

    @property
    def one(self) -> DataItem:
        """Return the definition of the one item the rule is about. Raises ValueError for a rule about a line or a key."""
        if self.definition is None:
            raise ValueError(f"the rule {self.kind} is not about one item")
        return self.definition


def rules_of(resource: ResourceSnapshot, kind: BatchKind) -> tuple[Rule, ...]:
    """Return the rules a batch of this kind must keep, in the order of the items, the key last.

    A key item is required whether its definition says so or not: a row without its key cannot be named. A delete names rows only,
    so it is held to the rules of the key items, without code set and reference: a row may go after what it pointed to has gone.
    """
    rules = [Rule(RuleKind.READABLE, ())]
    for item in resource.items:
        if kind is not BatchKind.DELETE:
            rules += _rules_of_item(item, in_key=item.code in resource.key)
        elif item.code in resource.key:
            rules += [rule for rule in _rules_of_item(item, in_key=True) if rule.kind not in _OF_A_LIVING_ROW]
    if resource.key:
        rules.append(Rule(RuleKind.UNIQUE, resource.key, resource.item(resource.key[0]) if len(resource.key) == 1 else None))
    return tuple(rules)


def _rules_of_item(item: DataItem, *, in_key: bool) -> Iterable[Rule]:
    demanded = {
        RuleKind.TYPE: not item.data_type.is_text,
        RuleKind.REQUIRED: item.required or in_key,
        RuleKind.LENGTH: item.length is not None,
        RuleKind.PATTERN: item.pattern is not None,
        RuleKind.ENUMERATION: item.enumeration is not None,
        RuleKind.CODE_SET: item.code_set is not None,
        RuleKind.RANGE: item.minimum is not None or item.maximum is not None,
        RuleKind.REFERENCE: item.reference is not None,
    }
    if item.format is not None:
        demanded[_FORMATS[item.format]] = True
    return (Rule(kind, (item.code,), item) for kind in RuleKind if demanded.get(kind))


def says(rule: Rule) -> str:
    """Say in a sentence what the rule demands."""
    kind, code = rule.kind, rule.item
    if kind is RuleKind.READABLE:
        return "Every line of the file can be read as a row."
    if kind is RuleKind.UNIQUE:
        return f"The key ({', '.join(rule.columns)}) comes once in a batch; the first row of a repeated key is kept."
    item = rule.one
    if kind is RuleKind.RANGE:
        bounds = [f"at least {number(item.minimum)}"] if item.minimum is not None else []
        bounds += [f"at most {number(item.maximum)}"] if item.maximum is not None else []
        return f"{code} is {' and '.join(bounds)}."
    if kind is RuleKind.CODE_SET and item.code_set is not None:
        version = f"version {item.code_set.version}" if item.code_set.version else "the newest version"
        return f"{code} is a code of {version} of the code set {item.code_set.name}."
    if kind is RuleKind.REFERENCE and item.reference is not None:
        return f"{code} is a value of the item {item.reference.item} of the resource {item.reference.resource_id}."
    return {
        RuleKind.TYPE: f"{code} can be read as type {item.data_type.value} ({item.data_type.name.lower()}).",
        RuleKind.REQUIRED: f"{code} is filled; text of nothing but white space counts as empty.",
        RuleKind.LENGTH: f"{code} has at most {item.length} characters.",
        RuleKind.PATTERN: f"{code} matches the pattern {item.pattern} as a whole.",
        RuleKind.ENUMERATION: f"{code} is one of: {listed(item.enumeration or ())}.",
        RuleKind.RESIDENT_ID: f"{code} is a resident identity number (GB 11643).",
        RuleKind.USCC: f"{code} is a unified social credit code (GB 32100).",
        RuleKind.DIVISION: f"{code} has the form of a division code (GB/T 2260).",
    }[kind]


def number(value: float | None) -> str:
    """Write a bound as a person would: whole numbers without a point."""
    if value is None:
        return "none"
    return str(int(value)) if value.is_integer() else repr(value)


def listed(values: tuple[str, ...], most: int = 20) -> str:
    """List values for a sentence, at most 20 of them."""
    shown = ", ".join(values[:most])
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown
