"""Filters, masks and the rules for both: what leaves is inside the terms, whatever the values, and no masked value leaves whole."""

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import jsonschema
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from dxmesh_schemas.exchange import ViewSnapshot
from dxmesh_schemas.exchange_terms import Condition, Mask
from dxmesh_tabular.items import polars_type
from dxmesh_tabular.json_rows import row_json
from exchange_svc.enforcement.rows import enforce, mask, passing, token_keys
from exchange_svc.enforcement.rules import mask_faults, where_faults
from exchange_svc.enforcement.schema import of_view

KEYS = token_keys(b"node")
CHINA = ZoneInfo("Asia/Shanghai")
ITEMS = (
    DataItem(code="text", name="文字", data_type=DataType.TEXT),
    DataItem(code="short", name="短码", data_type=DataType.TEXT, length=4),
    DataItem(code="place", name="区划", data_type=DataType.TEXT, format=ItemFormat.DIVISION),
    DataItem(code="whole", name="整数", data_type=DataType.INTEGER),
    DataItem(code="money", name="金额", data_type=DataType.MONEY),
    DataItem(code="float", name="浮点", data_type=DataType.DOUBLE),
    DataItem(code="yes", name="是否", data_type=DataType.LOGICAL),
    DataItem(code="day", name="日期", data_type=DataType.DATE),
    DataItem(code="at", name="时间", data_type=DataType.DATETIME),
)
BY_CODE = {item.code: item for item in ITEMS}
_CONDITION: TypeAdapter[Any] = TypeAdapter(Condition)
_MASK: TypeAdapter[Any] = TypeAdapter(Mask)
TEXTS = st.one_of(
    st.text(max_size=6), st.sampled_from(["张三", "𠮷野家", "e\u0301", "a\nb", "330602198001011234", "", " ", "*", "x" * 5000])
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "short": st.text("0123456789一", max_size=4),
    "place": st.sampled_from(["33", "3306", "330602", "330602002", "330602002013", "33060", "", "ab0602"]),
    "whole": st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-30, 30)),
    "money": st.decimals(-(10**12), 10**12, places=2),
    "float": st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 17.5, 18.0])),
    "yes": st.booleans(),
    "day": st.dates(date(1900, 1, 1), date(2100, 12, 31)),
    "at": st.datetimes(datetime(1950, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
}


def condition(**fields: Any) -> Any:
    return _CONDITION.validate_python(fields)


def masking(**fields: Any) -> Any:
    return _MASK.validate_python(fields)


def view(*, where: tuple[Any, ...] = (), masks: tuple[Any, ...] = (), scope: UUID = UUID(int=1)) -> ViewSnapshot:
    return ViewSnapshot(
        view_id=uuid4(), resource_id=uuid4(), resource_version=1, items=tuple(BY_CODE), key=(), topic="t", schema_url="http://node.test/s",
        where=where, masks=masks, scope=scope,
    )  # fmt: skip


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={code: polars_type(item) for code, item in BY_CODE.items()})


def one(code: str, *values: Any) -> pl.DataFrame:
    return frame([dict.fromkeys(BY_CODE) | {code: value} for value in values])


def kept(code: str, values: list[Any], **terms: Any) -> list[Any]:
    return passing(one(code, *values), view(where=(condition(item=code, **terms),)))[code].to_list()


def shown(code: str, values: list[Any], **terms: Any) -> list[Any]:
    return mask(one(code, *values), view(masks=(masking(item=code, **terms),)), KEYS)[code].to_list()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, Decimal) else value


@st.composite
def a_condition(draw: Any) -> Any:
    code = draw(st.sampled_from(list(BY_CODE)))
    kind = BY_CODE[code].data_type
    finite = VALUES[code].filter(lambda value: not isinstance(value, float) or math.isfinite(value)).filter(lambda value: value != "")
    ops = ["eq", "ne"] if kind is DataType.LOGICAL else ["eq", "ne", "lt", "le", "gt", "ge", "in"]
    ops += ["prefix"] if kind.is_text else ["period"] if code in ("day", "at") else []
    op = draw(st.sampled_from(ops))
    if op == "in":
        return condition(
            item=code,
            op=op,
            values=[_plain(value)[:900] if kind.is_text else _plain(value) for value in draw(st.lists(finite, min_size=1, max_size=5))],
        )
    if op == "prefix":
        return condition(item=code, op=op, values=[value[:2] for value in draw(st.lists(finite, min_size=1, max_size=3))])
    if op == "period":
        first, last = sorted(draw(st.tuples(VALUES["day"], VALUES["day"])))
        return condition(item=code, op=op, first=draw(st.sampled_from([first, None])), last=last)
    value = _plain(draw(finite))
    return condition(item=code, op=op, value=value[:900] if kind.is_text else value)


def holds(term: Any, row: dict[str, Any]) -> bool:
    """Say by plain Python whether a condition holds for a row."""
    value = row[term.item]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    kind = BY_CODE[term.item].data_type

    def typed(said: Any) -> Any:
        if kind is DataType.DATE:
            return date.fromisoformat(said)
        if kind is DataType.DATETIME:
            return datetime.fromisoformat(said)
        if kind is DataType.MONEY:
            return Decimal(str(said))
        return said.encode() if kind.is_text else said

    mine = value.encode() if kind.is_text else value
    match term.op:
        case "in":
            return mine in [typed(said) for said in term.values]
        case "prefix":
            return any(value.startswith(said) for said in term.values)
        case "period":
            day = value.astimezone(CHINA).date() if kind is DataType.DATETIME else value
            return (term.first is None or term.first <= day) and (term.last is None or day <= term.last)
    other = typed(term.value)
    found: bool = {
        "eq": mine == other,
        "ne": mine != other,
        "lt": mine < other,
        "le": mine <= other,
        "gt": mine > other,
        "ge": mine >= other,
    }[term.op]
    return found


ROW = st.fixed_dictionaries({code: st.one_of(st.none(), values) for code, values in VALUES.items()})


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=st.lists(ROW, max_size=8), where=st.lists(a_condition(), min_size=1, max_size=3))
def test_exactly_the_rows_that_hold_every_condition_pass(rows: list[dict[str, Any]], where: list[Any]) -> None:
    assert not list(where_faults(where, ITEMS))
    numbered = frame(rows).with_row_index("n")
    found = passing(numbered, view(where=tuple(where)))["n"].to_list()
    assert found == [place for place, row in enumerate(rows) if all(holds(term, row) for term in where)]


MASKS = {
    "text": [{"mask": "keep", "prefix": 1, "suffix": 2}, {"mask": "pseudonym"}, {"mask": "drop"}, {"mask": "replace", "value": "某人"}],
    "short": [{"mask": "keep", "prefix": 2, "suffix": 1}, {"mask": "keep", "prefix": 3}],
    "place": [{"mask": "place", "to": to} for to in ("province", "city", "county")],
    "whole": [{"mask": "number", "width": width} for width in (5, 1000, 10**15)],
    "money": [{"mask": "number", "width": width} for width in ("0.05", 100, 10**15)],
    "float": [{"mask": "number", "width": width} for width in (10, "0.5")],
    "yes": [{"mask": "drop"}],
    "day": [{"mask": "date", "to": to} for to in ("month", "quarter", "year", "decade")],
    "at": [{"mask": "date", "to": to} for to in ("month", "quarter", "year", "decade")],
}
A_MASK = st.sampled_from([(code, terms) for code, found in MASKS.items() for terms in found])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=st.lists(ROW, min_size=1, max_size=6), chosen=st.lists(A_MASK, min_size=1, max_size=9, unique_by=lambda pair: pair[0]))
def test_no_masked_value_leaves_whole_and_the_schema_of_the_view_holds(
    rows: list[dict[str, Any]], chosen: list[tuple[str, dict[str, Any]]]
) -> None:
    masks = tuple(masking(item=code, **terms) for code, terms in chosen)
    assert not list(mask_faults(masks, ITEMS))
    seen_by = view(masks=masks)
    found = enforce(frame(rows), seen_by, KEYS)
    assert found.schema == frame(rows).schema
    for before, after in zip(rows, found.to_dicts(), strict=True):
        for code in BY_CODE:
            terms = dict(chosen).get(code)
            if terms is None:
                assert str(after[code]) == str(before[code])
            elif before[code] is None or terms["mask"] == "drop":
                assert after[code] is None
            else:
                check(terms, before[code], after[code])
    schema = of_view(seen_by, resource())
    validator = jsonschema.Draft202012Validator(schema | {"properties": {code: schema["properties"][code] for code, _ in chosen}})
    finite = [code for code, _ in chosen if code != "float" or found[code].is_finite().fill_null(value=True).all()]
    for text in row_json(found.select(finite)):
        validator.validate(json.loads(text))


def check(terms: dict[str, Any], before: Any, after: Any) -> None:
    """Say that what is shown in place of a value is what its mask makes of it."""
    match terms["mask"]:
        case "keep":
            prefix, suffix = terms.get("prefix", 0), terms.get("suffix", 0)
            assert len(after) == len(before)
            hidden = after[prefix : len(after) - suffix] if len(before) > prefix + suffix else after
            assert set(hidden) <= {"*"}
            if len(before) > prefix + suffix:
                assert (after[:prefix], after[len(after) - suffix :]) == (before[:prefix], before[len(before) - suffix :])
        case "pseudonym":
            assert len(after) == 32
            assert set(after) <= set("0123456789abcdef")
        case "replace":
            assert after == terms["value"]
        case "place":
            digits = {"province": 2, "city": 4, "county": 6}[terms["to"]]
            is_code = before.isdigit() and len(before) in (2, 4, 6, 9, 12)
            assert after == (before[:digits].ljust(len(before), "0") if is_code else None)
        case "number":
            width = Decimal(str(terms["width"]))
            if isinstance(before, float):
                assert not math.isfinite(before) or after <= before or math.isclose(after, before, abs_tol=1e-9)
            else:
                border = (Decimal(before) / width).to_integral_value("ROUND_FLOOR") * width
                assert after is None or Decimal(after) == border
                assert after is not None or border < -(2**63)
        case "date":
            day = before.astimezone(CHINA).date() if isinstance(before, datetime) else before
            months = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1}
            year = day.year // 10 * 10 if terms["to"] == "decade" else day.year
            first = date(year, months.get(terms["to"], 1), 1)
            if isinstance(before, datetime):
                assert after.astimezone(CHINA).replace(tzinfo=None) == datetime(first.year, first.month, 1)  # noqa: DTZ001
            else:
                assert after == first


def resource() -> ResourceSnapshot:
    provider = OrganizationRef(organization_id=UUID(int=1), uscc="11330600MB1573660P", name="示例", division_code="3306")
    return ResourceSnapshot(
        resource_id=UUID(int=2), version=1, resource_code="1", name="示例", summary="", class_path="1", provider=provider,
        system_id=UUID(int=3), items=ITEMS, key=(), sharing_type=SharingType.UNCONDITIONAL, open_type=OpenType.CLOSED,
        update_cycle=UpdateCycle.DAILY, schema_url="http://node.test/s", published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "values", "terms", "wanted"),
    [
        ("text", ["", "a", "张三", "欧阳修文"], {"mask": "keep", "prefix": 1, "suffix": 1}, ["", "*", "**", "欧**文"]),
        ("short", ["1", "12", "123", "1234"], {"mask": "keep", "prefix": 2}, ["*", "**", "12*", "12**"]),
        ("place", ["33060", "330602", "330602002"], {"mask": "place", "to": "city"}, [None, "330600", "330600000"]),
        ("whole", [-(2**63), 2**63 - 1, -7], {"mask": "number", "width": 5}, [None, 2**63 - 3, -10]),
        ("money", [Decimal("-0.01"), Decimal("123.47")], {"mask": "number", "width": "0.05"}, [Decimal("-0.05"), Decimal("123.45")]),
        ("day", [date(1969, 12, 31), date(2000, 1, 1)], {"mask": "date", "to": "decade"}, [date(1960, 1, 1), date(2000, 1, 1)]),
    ],
)
def test_borders_of_masks(code: str, values: list[Any], terms: dict[str, Any], wanted: list[Any]) -> None:
    assert shown(code, values, **terms) == wanted


def test_a_day_begins_at_midnight_in_china() -> None:
    after, before = datetime(2025, 12, 31, 16, tzinfo=UTC), datetime(2025, 12, 31, 15, 59, 59, tzinfo=UTC)
    assert kept("at", [after, before, None], op="period", first="2026-01-01") == [after]
    assert kept("at", [after, before, None], op="period", last="2025-12-31") == [before]
    assert [one.year for one in shown("at", [after, before], mask="date", to="year")] == [2025, 2024], "in UTC, hours before"


def test_an_empty_value_or_no_number_meets_no_condition() -> None:
    assert kept("float", [float("nan"), None, 3.0], op="ne", value=1) == [3.0]
    assert kept("float", [float("nan"), None, 3.0], op="gt", value=1) == [3.0]
    assert kept("text", [None, ""], op="ne", value="x") == [""]


def test_tokens_are_the_same_for_a_value_within_a_grant_and_not_across() -> None:
    token = masking(item="text", mask="pseudonym")
    values = one("text", "张三", "张三", "x" * 100_000, None)
    mine, yours = (mask(values, view(masks=(token,), scope=UUID(int=number)), KEYS)["text"].to_list() for number in (1, 2))
    elsewhere = mask(values, view(masks=(token,), scope=UUID(int=1)), token_keys(b"another node"))["text"].to_list()
    assert mine[0] == mine[1] != mine[2]
    assert mine[3] is None
    assert not {*mine[:3]} & {*yours[:3], *elsewhere[:3]}


@pytest.mark.parametrize(
    ("terms", "pointer"),
    [
        ({"item": "other", "op": "eq", "value": 1}, "/where/0/item"),
        ({"item": "whole", "op": "eq", "value": "abc"}, "/where/0/value"),
        ({"item": "whole", "op": "eq", "value": True}, "/where/0/value"),
        ({"item": "whole", "op": "le", "value": 2**63}, "/where/0/value"),
        ({"item": "money", "op": "le", "value": "1.001"}, "/where/0/value"),
        ({"item": "money", "op": "le", "value": "1e40"}, "/where/0/value"),
        ({"item": "float", "op": "le", "value": "NaN"}, "/where/0/value"),
        ({"item": "yes", "op": "lt", "value": True}, "/where/0/op"),
        ({"item": "day", "op": "eq", "value": "2026-02-30"}, "/where/0/value"),
        ({"item": "at", "op": "eq", "value": "2026-01-01T00:00:00"}, "/where/0/value"),
        ({"item": "text", "op": "in", "values": ["a", 1]}, "/where/0/values/1"),
        ({"item": "whole", "op": "prefix", "values": ["1"]}, "/where/0/op"),
        ({"item": "text", "op": "period", "first": "2026-01-01"}, "/where/0/op"),
        ({"item": "day", "op": "period"}, "/where/0/first"),
        ({"item": "day", "op": "period", "first": "2026-01-02", "last": "2026-01-01"}, "/where/0/last"),
    ],
)
def test_a_filter_that_cannot_be_kept_is_named(terms: dict[str, Any], pointer: str) -> None:
    assert [found for found, _ in where_faults([condition(**terms)], ITEMS)] == [pointer]


@pytest.mark.parametrize(
    ("item", "terms", "pointer"),
    [
        ({}, {"item": "other", "mask": "drop"}, "/masks/0/item"),
        ({}, {"mask": "number", "width": 1}, "/masks/0/mask"),
        ({}, {"mask": "date", "to": "year"}, "/masks/0/mask"),
        ({}, {"mask": "place", "to": "city"}, "/masks/0/mask"),
        ({"data_type": DataType.INTEGER}, {"mask": "pseudonym"}, "/masks/0/mask"),
        ({"data_type": DataType.INTEGER}, {"mask": "number", "width": 1}, "/masks/0/width"),
        ({"data_type": DataType.INTEGER}, {"mask": "number", "width": "1.5"}, "/masks/0/width"),
        ({"data_type": DataType.MONEY}, {"mask": "number", "width": "0.01"}, "/masks/0/width"),
        ({"length": 4}, {"mask": "keep", "prefix": 2, "suffix": 2}, "/masks/0/prefix"),
        ({"enumeration": ("男", "女")}, {"mask": "keep", "prefix": 1}, "/masks/0/prefix"),
        ({"format": ItemFormat.RESIDENT_ID}, {"mask": "keep", "prefix": 18}, "/masks/0/prefix"),
        ({"format": ItemFormat.RESIDENT_ID}, {"mask": "keep", "prefix": 17}, "/masks/0/prefix"),
        ({"format": ItemFormat.USCC}, {"mask": "keep", "prefix": 8, "suffix": 9}, "/masks/0/prefix"),
        ({"format": ItemFormat.DIVISION, "length": 6}, {"mask": "place", "to": "county"}, "/masks/0/to"),
    ],
)
def test_a_mask_that_would_show_a_whole_value_or_cannot_be_is_named(item: dict[str, Any], terms: dict[str, Any], pointer: str) -> None:
    its = DataItem(**{"code": "it", "name": "项", "data_type": DataType.TEXT} | item)
    assert [found for found, _ in mask_faults([masking(**{"item": "it"} | terms)], [its])] == [pointer]
    assert not list(mask_faults([masking(item="it", mask="drop")], [its]))


def test_an_item_has_one_mask() -> None:
    twice = [masking(item="text", mask="drop"), masking(item="text", mask="keep", prefix=1)]
    assert [found for found, _ in mask_faults(twice, ITEMS)] == ["/masks/1/item"]


@pytest.mark.parametrize(
    "terms", [{"item": "text", "op": "like", "value": "%"}, {"item": "text", "op": "eq", "value": 1, "or": []}, {"op": "eq"}]
)
def test_a_condition_of_another_kind_is_not_read(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        condition(**terms)
