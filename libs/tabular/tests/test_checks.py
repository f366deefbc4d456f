"""Identifier checks against a plain reading of the standards."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_tabular.checks import is_division_code, is_resident_id, is_uscc

TODAY = date(2026, 11, 22)
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
SHAO_XING_BUREAU = "11330600MB1573660P"


def resident_id_by_hand(text: str) -> bool:
    if len(text) != 18 or not text.isascii() or not text[:17].isdigit() or text[0] == "0" or text[17] not in "0123456789X":
        return False
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return born <= TODAY and "10X98765432"[sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False)) % 11] == text[17]


def uscc_by_hand(text: str) -> bool:
    if len(text) != 18 or any(letter not in ALPHABET for letter in text) or text[0] not in "123456789ANY" or not text[2:8].isdigit():
        return False
    unit = sum(int(letter, 36) * weight for letter, weight in zip(text[8:16], (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    if text[16] != "0123456789X0"[(11 - unit % 11) % 11]:
        return False
    whole = sum(ALPHABET.index(letter) * pow(3, place, 31) for place, letter in enumerate(text[:17]))
    return ALPHABET[(31 - whole % 31) % 31] == text[17]


def resident_check(body: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


def uscc_check(head: str, unit: str) -> str:
    total = sum(int(letter, 36) * weight for letter, weight in zip(unit, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    body = head + unit + "0123456789X"[(11 - total % 11) % 11]
    whole = sum(ALPHABET.index(letter) * pow(3, place, 31) for place, letter in enumerate(body))
    return body + ALPHABET[(31 - whole % 31) % 31]


RESIDENT_IDS = st.builds(
    lambda area, born, order: resident_check(f"{area}{born:%Y%m%d}{order:03d}"),
    st.integers(110000, 829999),
    st.dates(date(1850, 1, 1), date(2099, 12, 31)),
    st.integers(0, 999),
)
USCCS = st.builds(
    lambda first, second, area, unit: uscc_check(f"{first}{second}{area:06d}", unit),
    st.sampled_from("0123456789ABNYX"),
    st.sampled_from(ALPHABET),
    st.integers(0, 999999),
    st.text(ALPHABET, min_size=8, max_size=8),
)


def damaged(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    replace = st.builds(
        lambda value, place, letter: value[:place] + letter + value[place + 1 :],
        values,
        st.integers(0, 17),
        st.sampled_from(ALPHABET + "IOSVZx１中"),
    )
    return st.one_of(values, replace, st.text(max_size=20), values.map(str.lower), values.map(lambda value: value + " "))


@settings(max_examples=60, deadline=None)
@given(st.lists(damaged(RESIDENT_IDS), max_size=40))
def test_resident_ids_are_judged_as_by_hand(values: list[str]) -> None:
    found = pl.DataFrame({"v": pl.Series(values, dtype=pl.String)}).select(is_resident_id("v", today=TODAY)).to_series().to_list()
    assert found == [resident_id_by_hand(value) for value in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(damaged(USCCS), max_size=40))
def test_credit_codes_are_judged_as_by_hand(values: list[str]) -> None:
    found = pl.DataFrame({"v": pl.Series(values, dtype=pl.String)}).select(is_uscc(pl.col("v"))).to_series().to_list()
    assert found == [uscc_by_hand(value) for value in values]


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (resident_check("33060219500101001"), True),  # the county is younger than the person
        (resident_check("34150319700101001"), True),
        (resident_check("33060220261122001"), True),  # born today
        (resident_check("33060220261123001"), False),  # born tomorrow
        (resident_check("33060219990229001"), False),  # no such day
        (resident_check("03060219990228001"), False),
        ("11010519491231002X", True),  # the example of the standard
        ("11010519491231002x", False),
        ("110105491231002", False),  # of fifteen digits
        ("", False),
        (None, None),
    ],
)
def test_resident_id_cases(text: str | None, valid: bool | None) -> None:
    assert pl.DataFrame({"v": [text]}, schema={"v": pl.String}).select(is_resident_id("v", today=TODAY)).item() is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (SHAO_XING_BUREAU, True),
        (SHAO_XING_BUREAU[:-1] + "Q", False),
        (uscc_check("N2330602", "MB157366"), True),
        (uscc_check("B2330602", "MB157366"), False),  # no such registering authority
        ("91330600ZB1573660P", False),
        (None, None),
    ],
)
def test_credit_code_cases(text: str | None, valid: bool | None) -> None:
    assert pl.DataFrame({"v": [text]}, schema={"v": pl.String}).select(is_uscc("v")).item() is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("33", True),
        ("3306", True),
        ("330602", True),
        ("330602001", True),
        ("330602001002", True),
        ("3", False),
        ("33060", False),
        ("330602 ", False),
        ("３３", False),
        (None, None),
    ],
)
def test_division_codes_have_two_four_six_nine_or_twelve_digits(text: str | None, valid: bool | None) -> None:
    assert pl.DataFrame({"v": [text]}, schema={"v": pl.String}).select(is_division_code("v")).item() is valid
