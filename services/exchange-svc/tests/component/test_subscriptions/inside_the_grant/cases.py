"""Resources, grants, batches and changes drawn at random."""

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
def a_filter(draw: Any, codes: list[str], *, least: int = 0) -> list[Row]:
    found = []
    for code in draw(st.lists(st.sampled_from(codes), min_size=least, max_size=2)):
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
def a_grant(draw: Any, codes: list[str], key: tuple[str, ...], *, is_plain: bool) -> Row:
    """Return what is asked for and what is left of it later. Plain: its rows are named, and filters look at what changes under a key."""
    items = draw(st.lists(st.sampled_from(codes), min_size=2, unique=True))
    items = [code for code in codes if code in items or is_plain]
    free = [code for code in items if not is_plain or code not in key]
    narrower = {"where": draw(a_filter(free, least=int(is_plain))), "masks": draw(st.one_of(st.none(), some_masks(free)))}
    fewer = draw(st.lists(st.sampled_from(items), min_size=1, unique=True))
    asked = {"where": draw(a_filter(free, least=int(is_plain))), "masks": draw(some_masks(free))}
    needed = {one["item"] for terms in (asked, narrower) for one in [*terms["where"], *(terms["masks"] or [])]}
    return {
        **asked,
        "items": items,
        "narrower": narrower,
        "fewer": [code for code in codes if code in fewer or code in needed or (is_plain and code in key)],
        "narrows": is_plain or draw(st.booleans()),
    }


def a_few(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=5, max_size=5)


@st.composite
def a_case(draw: Any, key: tuple[str, ...], *, is_plain: bool = False) -> Row:
    """Return a resource with two grants and five batches. Plain: each batch has a key once, and whatever can happen to a key happens."""
    drawn = draw(st.lists(st.sampled_from(list(POOLS)), min_size=3, unique=True))
    codes = [code for code in POOLS if code in (*key, "code", "name", "whole", *drawn)]
    kinds = ["upsert", "upsert", "delete", "snapshot"] if key else ["append", "append", "snapshot"]
    value = {code: st.sampled_from(POOLS[code]) if code in (*key, "code") else st.sampled_from([None, *POOLS[code]]) for code in codes}
    row = st.fixed_dictionaries(value)
    rows = st.lists(row, min_size=4, max_size=5, unique_by=lambda one: one["code"]) if is_plain else st.lists(row, min_size=1, max_size=6)
    order = st.permutations(["upsert", "upsert", "delete", "snapshot"]).map(lambda drawn: ["upsert", *drawn])
    return {
        "key": key,
        "codes": codes,
        "grants": draw(st.tuples(*(a_grant(codes, key, is_plain=is_plain) for _ in range(2)))),
        "batches": list(zip(draw(order if is_plain else a_few(st.sampled_from(kinds))), draw(a_few(rows)), strict=True)),
        "version": draw(st.sampled_from(["same", "add"] if is_plain else ["same", "add", "hide", "drop"])),
        "changed": draw(st.sampled_from([code for code in codes if code not in (*key, "code")])),
    }
