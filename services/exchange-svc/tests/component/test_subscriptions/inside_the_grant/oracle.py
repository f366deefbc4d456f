"""A grant as it is worded, judged one row at a time in plain Python; nothing here calls the code that enforces."""

import hashlib
import hmac
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from dxmesh_schemas.catalog import DataType

from .cases import KINDS, Row, said

CHINA = timezone(timedelta(hours=8))


class Token:
    """A pseudonym of a value, whatever it is."""

    def __init__(self, value: str) -> None:
        self.value = value


def holds(term: Row, row: Row) -> bool:
    value = row.get(term["item"])
    if value is None:
        return False
    told = partial(typed, term["item"])
    match term["op"]:
        case "in":
            return value in [told(one) for one in term["values"]]
        case "prefix":
            return any(value.startswith(one) for one in term["values"])
        case "period":
            day = value.astimezone(CHINA).date() if isinstance(value, datetime) else value
            last = term["last"]
            return day >= date.fromisoformat(term["first"]) and (last is None or day <= date.fromisoformat(last))
    other = told(term["value"])
    return bool({"eq": value == other, "ne": value != other}.get(term["op"]) or (term["op"] == "lt" and value < other) or (
        term["op"] == "ge" and value >= other))  # fmt: skip


def shown(mask: Row, value: Any) -> Any:
    if value is None or mask["mask"] == "drop":
        return None
    match mask["mask"]:
        case "pseudonym":
            return Token(value)
        case "replace":
            return mask["value"]
        case "keep":
            return value[0] + "*" * (len(value) - 2) + value[-1] if len(value) > 2 else "*" * len(value)
        case "place":
            digits = {"city": 4, "county": 6}[mask["to"]]
            return value[:digits] + "0" * (len(value) - digits) if value.isdigit() else None
        case "number":
            return type(value)(math.floor(value / mask["width"]) * mask["width"]) if not isinstance(value, int) else value // 10 * 10
    day = value.astimezone(CHINA).date() if isinstance(value, datetime) else value
    year, month = {"month": (day.year, day.month), "quarter": (day.year, (day.month - 1) // 3 * 3 + 1)}.get(
        mask["to"], (day.year - (day.year % 10 if mask["to"] == "decade" else 0), 1)
    )
    return datetime(year, month, 1, tzinfo=CHINA) if isinstance(value, datetime) else date(year, month, 1)


def typed(code: str, value: Any) -> Any:
    """Return a value of a file, a JSON text, a database or terms as Python's own."""
    if value is None or value == "":
        return None
    match KINDS[code]:
        case DataType.INTEGER:
            return int(value)
        case DataType.MONEY:
            return Decimal(str(value))
        case DataType.DOUBLE:
            return float(value)
        case DataType.LOGICAL:
            return value in (True, "true")
        case DataType.DATE:
            return value if isinstance(value, date) else date.fromisoformat(value)
        case DataType.DATETIME:
            return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return value


@dataclass
class Batch:
    """What was pushed, under the items of its version."""

    kind: str
    rows: list[Row]
    shared: set[str]
    version: int


@dataclass
class Terms:
    """A grant's terms at a time, on one topic."""

    items: list[str]
    where: list[Row]
    masks: list[Row]
    key: tuple[str, ...]
    topic: str

    def leaves(self, row: Row, shared: set[str]) -> Row | None:
        """Return what leaves of a row; nothing where the filter does not hold or cannot be told."""
        if not {one["item"] for one in self.where} <= shared or not all(holds(one, row) for one in self.where):
            return None
        hidden = {one["item"]: one for one in self.masks}
        return {c: shown(hidden[c], row.get(c)) if c in hidden else row.get(c) for c in self.items if c in shared}

    @property
    def names(self) -> list[tuple[str, bool]]:
        """Return the items by which records are named and whether each is a pseudonym; none where nothing names a row."""
        hidden = {one["item"]: one["mask"] for one in self.masks}
        ok = self.key and all(code in self.items and hidden.get(code) in (None, "pseudonym") for code in self.key)
        return [(code, code in hidden) for code in self.key] if ok else []


@dataclass
class Reader:
    """A grant, what it says and said, and what a way of it saw."""

    grant: Row
    mode: str
    by: Any
    terms: list[Terms]
    made: Row = field(default_factory=dict)
    subscriber: Any = None
    table: str = ""
    base: int = 0
    secrets: dict[str, bytes] = field(default_factory=dict)

    def token(self, way: str, value: str) -> str:
        """Return a value's pseudonym as the ADR has it: keyed BLAKE2b-128, the key by the grant's id from a secret of the node."""
        key = hmac.digest(self.secrets[way], b"dxmesh pseudonym\n" + UUID(self.grant["grant_id"]).bytes, hashlib.sha256)
        return hashlib.blake2b(value.encode(), digest_size=16, key=key).hexdigest()

    def same(self, way: str, expected: Any, got: Any) -> bool:
        return bool(got == (self.token(way, expected.value) if isinstance(expected, Token) else expected))

    def matches(self, way: str, expected: Row | None, got: Row) -> bool:
        return expected is not None and expected.keys() == got.keys() and all(self.same(way, expected[c], typed(c, got[c])) for c in got)

    def key_text(self, way: str, row: Row, names: list[tuple[str, bool]]) -> str:
        parts = [self.token(way, row[code]) if is_token else said(row[code]) for code, is_token in names]
        return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


@dataclass
class Resource:
    case: Row
    snapshot: Any
    shared: set[str]
    batches: dict[str, Batch] = field(default_factory=dict)
    readers: list[Reader] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """Return the rows there are now."""
        return self.replayed(self.batches.values())

    def replayed(self, batches: Iterable[Batch]) -> list[Row]:
        held: dict[Any, Row] = {}
        for number, batch in enumerate(batches):
            if batch.kind == "snapshot":
                held.clear()
            for place, row in enumerate(batch.rows):
                name = tuple(row[code] for code in self.case["key"]) or (number, place)
                held.pop(name, None) if batch.kind == "delete" else held.update({name: row})
        return list(held.values())

    def copy_of(self, terms: Terms) -> list[tuple[Row, Row]]:
        """Return (row, what is shown of it) of all that a reader of the topic has in the end.

        A batch under whose version the filter cannot be told tells nothing; where nothing names a row, none is deleted.
        """
        told = [batch for batch in self.batches.values() if {one["item"] for one in terms.where} <= batch.shared]
        form = {id(row): batch.shared for batch in told for row in batch.rows}
        if terms.names:
            rows = self.replayed(told)
        else:
            rows = [row for batch in told if batch.kind != "delete" for row in batch.rows]
        return [(row, left) for row in rows if (left := terms.leaves(row, form[id(row)])) is not None]
