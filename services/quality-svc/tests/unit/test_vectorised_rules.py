"""Rules as expressions against the same rules written row by row in plain Python."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import CodeSetRef, DataItem, DataType, ItemFormat, ItemReference
from dxmesh_tabular.items import polars_type
from dxmesh_tabular.texts import whole_match
from quality_svc.rule import expressions
from quality_svc.rule.domain import Rule, RuleKind
from quality_svc.rule.known import Codes, Facts, KnownValues, Referenced

ANY = st.text(alphabet="ab01 \t\u3000\u00a0\u2003街道é\x00", max_size=6)
TEXTS = st.one_of(st.none(), st.sampled_from(["", " ", "\u3000\u3000", "街道", "a1", "b0b", "012", "０１", "x" * 9]), ANY)
FEW, MANY = 10, 1 << 20  # heights a frame is said to have: the two ways of looking


def text(**rules: Any) -> DataItem:
    return DataItem(code="v", name="v", data_type=DataType.TEXT, **rules)


def broken(item: DataItem, kind: RuleKind, values: list[Any], facts: Facts, height: int) -> list[bool]:
    frame = pl.DataFrame({"v": pl.Series(values, dtype=polars_type(item))})
    mask = frame.select(expressions.broken(Rule(kind, ("v",), item), facts, height)).to_series()
    assert mask.dtype == pl.Boolean
    assert mask.null_count() == 0
    assert mask.len() == len(values)
    return mask.to_list()


def set_of(values: list[str]) -> KnownValues:
    return KnownValues.of(pl.Series(values, dtype=pl.String))


CODES = ["街道", "a1", "", "012"] + [f"code {number}" for number in range(400)]
REFERENCES: dict[RuleKind, tuple[DataItem, Callable[[str | None], bool]]] = {
    RuleKind.REQUIRED: (text(required=True), lambda value: value is None or value.strip() == ""),
    RuleKind.LENGTH: (text(length=2), lambda value: value is not None and len(value) > 2),
    RuleKind.PATTERN: (text(pattern=r"[ab]\d*|街."), lambda v: v is not None and not re.fullmatch(r"[ab][0-9]*|街[^\n]", v)),
    RuleKind.ENUMERATION: (text(enumeration=("街道", "a1", "")), lambda value: value is not None and value not in ("街道", "a1", "")),
    RuleKind.CODE_SET: (text(code_set=CodeSetRef(name="c")), lambda value: value is not None and value not in CODES),
    RuleKind.REFERENCE: (
        text(reference=ItemReference(resource_id=UUID(int=9), item="code")),
        lambda value: value is not None and value not in CODES and value != "b0b",
    ),
}
FACTS = Facts(codes={"v": Codes("c", 1, set_of(CODES))}, referenced={"v": Referenced("r", "code", (set_of(["b0b"]), set_of(CODES)))})


@pytest.mark.parametrize("height", [FEW, MANY])
@pytest.mark.parametrize("kind", REFERENCES)
@settings(max_examples=150, deadline=None)
@given(values=st.lists(TEXTS, max_size=30))
def test_a_rule_on_text_marks_exactly_the_rows_plain_python_marks(kind: RuleKind, height: int, values: list[str | None]) -> None:
    item, breaks = REFERENCES[kind]
    assert broken(item, kind, values, FACTS, height) == [breaks(value) for value in values]


WHOLE = DataItem(code="v", name="v", data_type=DataType.INTEGER, minimum=-1.5, maximum=2**53)
EXACT = DataItem(code="v", name="v", data_type=DataType.MONEY, minimum=0.1, maximum=99.995)
FLOATING = DataItem(code="v", name="v", data_type=DataType.DOUBLE, minimum=0.1, maximum=10)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-3, 3), st.integers(2**53 - 2, 2**53 + 2), st.integers(-(2**63), 2**63 - 1))))
def test_a_range_on_whole_numbers_is_exact(values: list[int | None]) -> None:
    expected = [value is not None and not -1.5 <= value <= 2**53 for value in values]
    assert broken(WHOLE, RuleKind.RANGE, values, Facts(), FEW) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.decimals(-2, 120, places=2), st.sampled_from([Decimal("0.10"), Decimal("0.09"), Decimal("99.99")])))
)
def test_a_range_on_money_means_the_decimal_that_was_written(values: list[Decimal | None]) -> None:
    expected = [value is not None and not Decimal("0.1") <= value <= Decimal("99.995") for value in values]
    assert broken(EXACT, RuleKind.RANGE, values, Facts(), FEW) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.1, 10.0]))))
def test_a_range_on_floating_numbers_refuses_what_is_not_a_number(values: list[float | None]) -> None:
    expected = [value is not None and not 0.1 <= value <= 10 for value in values]
    assert broken(FLOATING, RuleKind.RANGE, values, Facts(), FEW) == expected


def test_bounds_beyond_the_type_put_every_value_on_one_side() -> None:
    high = DataItem(code="v", name="v", data_type=DataType.INTEGER, minimum=1e30)
    low = DataItem(code="v", name="v", data_type=DataType.MONEY, minimum=-1e60, maximum=1e60)
    assert broken(high, RuleKind.RANGE, [2**63 - 1, None], Facts(), FEW) == [True, False]
    assert broken(low, RuleKind.RANGE, [Decimal("-5.00"), Decimal(10) ** 30, None], Facts(), FEW) == [False, False, False]


@pytest.mark.parametrize(
    ("kind", "form", "good", "bad"),
    [
        (RuleKind.RESIDENT_ID, ItemFormat.RESIDENT_ID, "11010519491231002X", ["110105194912310021", "11010519490231002X", "", "街道"]),
        (RuleKind.USCC, ItemFormat.USCC, "91350100M000100Y43", ["91350100M000100Y44", "91350100I000100Y43", "9135"]),
        (RuleKind.DIVISION, ItemFormat.DIVISION, "330602", ["33060", "33060A", "３３０６０２", " 330602"]),
    ],
)
def test_formats_are_checked_and_empty_cells_pass(kind: RuleKind, form: ItemFormat, good: str, bad: list[str]) -> None:
    assert broken(text(format=form), kind, [good, None, *bad], Facts(), FEW) == [False, False, *[True] * len(bad)]


def test_a_person_cannot_be_born_after_the_day_of_the_check() -> None:
    item, born = text(format=ItemFormat.RESIDENT_ID), "110105202603010012"
    for day, wrong in ((date(2026, 2, 28), True), (date(2026, 3, 1), False), (date(2026, 2, 28), True)):
        assert broken(item, RuleKind.RESIDENT_ID, [born], Facts(today=day), FEW) == [wrong]


def test_a_required_cell_of_any_type_must_be_filled() -> None:
    day = DataItem(code="v", name="v", data_type=DataType.DATE, required=True)
    assert broken(day, RuleKind.REQUIRED, [date(2026, 1, 1), None], Facts(), FEW) == [False, True]


@pytest.mark.parametrize("pattern", ["(?=a)b", "a)|(b", "(", r"(a)\1"])
def test_a_pattern_that_cannot_be_run_lets_nothing_through(pattern: str) -> None:
    assert whole_match(pattern) is None
    assert broken(text(pattern=pattern), RuleKind.PATTERN, ["a", "b", None], Facts(), FEW) == [True, True, False]


def test_a_pattern_matches_the_whole_value_and_digits_are_ascii() -> None:
    assert broken(text(pattern=r"\d{2}|x"), RuleKind.PATTERN, ["12", "x", "12x", "x\n", "１２"], Facts(), FEW) == [
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("height", [FEW, MANY])
def test_values_do_not_resolve_while_the_code_set_or_table_is_not_there(height: int) -> None:
    facts = Facts(codes={"v": Codes("c", None, None)}, referenced={"v": Referenced("r", "code", (), "r holds no rows yet")})
    coded, referring = REFERENCES[RuleKind.CODE_SET][0], REFERENCES[RuleKind.REFERENCE][0]
    assert broken(coded, RuleKind.CODE_SET, ["a", None], facts, height) == [True, False]
    assert broken(referring, RuleKind.REFERENCE, ["a", None], facts, height) == [True, False]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS), st.lists(TEXTS))
def test_a_set_of_known_values_answers_as_a_python_set_does(known: list[str | None], asked: list[str | None]) -> None:
    padded = [*known, *(f"padding {number}" for number in range(300))]
    values = KnownValues.of(pl.Series(padded, dtype=pl.String))
    frame = pl.DataFrame({"v": pl.Series(asked, dtype=pl.String)})
    expected = [value is not None and value not in known for value in asked]
    for height in (FEW, MANY):
        assert frame.select(values.absent(pl.col("v"), height)).to_series().to_list() == expected


def test_a_kind_found_at_intake_has_no_expression() -> None:
    with pytest.raises(ValueError, match="found at intake"):
        expressions.broken(Rule(RuleKind.TYPE, ("v",), text()), Facts(), FEW)
