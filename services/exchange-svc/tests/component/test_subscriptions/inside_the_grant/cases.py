"""Resources, grants, batches and changes drawn at random."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat

Row = dict[str, Any]

POOLS: dict[str, list[Any]] = {
    "code": ["a", "b", "c1", "c2", "街"],
    "place": ["33", "3306", "330602", "330602002", "x1"],
    "name": ["张三", "欧阳小明", 'a "b",\nc', "𠮷", "*"],
    "whole": [-7, 0, 17, 18, 9007199254740993],
    "money": [Decimal("-0.05"), Decimal("12.30"), Decimal("99999999999999.99")],
    "ratio": [-2.5, 0.5, 17.25, 1e12],
    "yes": [True, False],
    "day": [date(1999, 12, 31), date(2026, 1, 1), date(2026, 11, 23)],
    "at": [datetime(2025, 12, 31, 16, tzinfo=UTC), datetime(2026, 6, 1, 15, 59, 59, tzinfo=UTC)],
}
KINDS = {
    "code": DataType.TEXT, "place": DataType.TEXT, "name": DataType.TEXT, "whole": DataType.INTEGER, "money": DataType.MONEY,
    "ratio": DataType.DOUBLE, "yes": DataType.LOGICAL, "day": DataType.DATE, "at": DataType.DATETIME, "later": DataType.TEXT,
}  # fmt: skip
MASKS: dict[str, list[dict[str, Any]]] = {
    "code": [{"mask": "pseudonym"}],
    "place": [{"mask": "place", "to": "city"}, {"mask": "place", "to": "county"}],
    "name": [{"mask": "keep", "prefix": 1, "suffix": 1}, {"mask": "replace", "value": "某人"}, {"mask": "pseudonym"}],
    "whole": [{"mask": "number", "width": 10}],
    "money": [{"mask": "number", "width": 100}],
    "ratio": [{"mask": "number", "width": 5}],
    "yes": [{"mask": "drop"}],
    "day": [{"mask": "date", "to": "quarter"}, {"mask": "date", "to": "decade"}],
    "at": [{"mask": "date", "to": "month"}, {"mask": "date", "to": "year"}],
}


def item(code: str, *, key: Iterable[str] = (), **more: Any) -> DataItem:
    form = ItemFormat.DIVISION if code == "place" else None
    return DataItem(code=code, name=code, data_type=KINDS[code], required=code in key, format=form, **more)


def said(value: Any) -> Any:
    """Return a value as terms have it."""
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, Decimal) else value


@st.composite
def a_filter(draw: Any, codes: list[str]) -> list[Row]:
    found = []
    for code in draw(st.lists(st.sampled_from(codes), max_size=2)):
        ops = ["eq", "ne", "in"] + (["prefix"] if KINDS[code].is_text else ["lt", "ge"] if code != "yes" else [])
        op = draw(st.sampled_from(ops + (["period"] if code in ("day", "at") else [])))
        values = draw(st.lists(st.sampled_from(POOLS[code]), min_size=1, max_size=3, unique=True))
        match op:
            case "in":
                found.append({"item": code, "op": op, "values": [said(one) for one in values]})
            case "prefix":
                found.append({"item": code, "op": op, "values": [one[:2] for one in values]})
            case "period":
                found.append({"item": code, "op": op, "first": "2026-01-01", "last": draw(st.sampled_from([None, "2026-06-01"]))})
            case _:
                found.append({"item": code, "op": op, "value": said(values[0])})
    return found


def some_masks(codes: list[str]) -> Any:
    return st.lists(st.sampled_from(codes), max_size=3, unique=True).flatmap(
        lambda chosen: st.tuples(*(st.sampled_from([{"item": code, **one} for one in MASKS[code]]) for code in chosen)).map(list)
    )


@st.composite
def a_grant(draw: Any, codes: list[str]) -> Row:
    """Return what is asked for and what is left of it later."""
    items = draw(st.lists(st.sampled_from(codes), min_size=2, unique=True))
    items = [code for code in codes if code in items]
    asked = {"where": draw(a_filter(items)), "masks": draw(some_masks(items))}
    narrower = {"where": draw(a_filter(items)), "masks": draw(st.one_of(st.none(), some_masks(items)))}
    fewer = draw(st.lists(st.sampled_from(items), min_size=1, unique=True))
    needed = {one["item"] for terms in (asked, narrower) for one in [*terms["where"], *(terms["masks"] or [])]}
    fewer = [code for code in codes if code in fewer or code in needed]
    return {**asked, "items": items, "narrower": narrower, "fewer": fewer, "narrows": draw(st.booleans())}


@st.composite
def a_case(draw: Any, key: tuple[str, ...]) -> Row:
    """Return a resource with two grants and five batches."""
    drawn = draw(st.lists(st.sampled_from(list(POOLS)), min_size=3, unique=True))
    codes = [code for code in POOLS if code in (*key, "code", *drawn)]
    kinds = ["upsert", "upsert", "delete", "snapshot"] if key else ["append", "append", "snapshot"]
    value = {code: st.sampled_from(POOLS[code]) if code in (*key, "code") else st.sampled_from([None, *POOLS[code]]) for code in codes}
    rows = st.lists(st.fixed_dictionaries(value), min_size=1, max_size=6)
    return {
        "key": key,
        "codes": codes,
        "grants": draw(st.tuples(a_grant(codes), a_grant(codes))),
        "batches": draw(st.lists(st.tuples(st.sampled_from(kinds), rows), min_size=5, max_size=5)),
        "version": draw(st.sampled_from(["same", "add", "hide", "drop"])),
        "changed": draw(st.sampled_from([code for code in codes if code not in (*key, "code")] or ["code"])),
    }


def half(chance: random.Random, code: str) -> Row:
    """Return a condition that about half of the values meet."""
    return {"item": code, "op": "in", "values": [said(one) for one in chance.sample(POOLS[code], (len(POOLS[code]) + 1) // 2)]}


@st.composite
def a_lively_case(draw: Any) -> Row:
    """Return a resource whose rows come into filters and leave them, the simplest of these as well: by every way something is left out."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    codes = ["code", "place", "name", "whole", "day"]
    masks = draw(some_masks(["name", "whole", "day"]))
    grant = {"items": codes, "where": [half(chance, "whole")], "masks": masks, "fewer": codes, "narrows": True}

    def one_row(code: str) -> Row:
        return {one: chance.choice(POOLS[one]) for one in codes} | {"code": code}

    kinds = ["upsert", "upsert", "upsert", *chance.sample(["delete", "snapshot"], 2)]
    return {
        "key": ("code",),
        "codes": codes,
        "grants": [{**grant, "narrower": {"where": [half(chance, code)], "masks": None}} for code in ("place", "name")],
        "batches": [(kind, [one_row(code) for code in chance.sample(POOLS["code"], 4)]) for kind in kinds],
        "version": chance.choice(["same", "add"]),
        "changed": "day",
    }
