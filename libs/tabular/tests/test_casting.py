"""Text cells into types: what is taken, what is refused, and nothing in between."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_tabular.casting import cast
from dxmesh_tabular.items import polars_type

REFUSED = "refused"


def typed(data_type: str, *cells: str | None, **fields: Any) -> list[Any]:
    """Cast cells of one item; a refused cell comes out as REFUSED."""
    item = DataItem(code="v", name="v", data_type=DataType(data_type), **fields)
    text = pl.DataFrame({"v": pl.Series(cells, dtype=pl.String)}).with_row_index("row_", 1)
    chunk = cast(text, [item])
    assert chunk.rows.schema["v"] == polars_type(item)
    assert chunk.rows.height + chunk.refused["row"].n_unique() == len(cells)
    by_row = dict(chunk.rows.rows())
    return [by_row.get(number, REFUSED) for number in range(1, len(cells) + 1)]


def test_text_is_kept_as_sent_and_empty_text_is_null() -> None:
    assert typed("C", "007", " a ", "", None, "１", "=1+1") == ["007", " a ", None, None, "１", "=1+1"]


def test_whole_numbers() -> None:
    good = ["0", "+5", "-3", " 7\t", "9223372036854775807", "-9223372036854775808"]
    assert typed("I", *good) == [0, 5, -3, 7, 2**63 - 1, -(2**63)]
    assert set(typed("I", "1.0", "1e2", "９", "9223372036854775808", "1_0", "1,000", "-", "0x1", "一")) == {REFUSED}


def test_exact_numbers_refuse_rather_than_round() -> None:
    assert typed("Y", "1", "1.2", "-1.230", " 7 ", "9" * 36) == [
        Decimal("1.00"),
        Decimal("1.20"),
        Decimal("-1.23"),
        Decimal("7.00"),
        Decimal("9" * 36),
    ]
    assert set(typed("Y", "1.239", "1e2", ".5", "1.", "1,234", "￥1", "9" * 37, "nan")) == {REFUSED}
    assert typed("N", "5", "5.000", "5.5", scale=0) == [Decimal("5"), Decimal("5"), REFUSED]


def test_floating_numbers_are_finite() -> None:
    assert typed("B", "1", "1.5e3", "-.5", " 2 ") == [1.0, 1500.0, -0.5, 2.0]
    assert set(typed("N", "nan", "inf", "-Infinity", "1e999", "0x1", "1 2")) == {REFUSED}


def test_dates_are_year_first_and_exist() -> None:
    good = ["2020-02-29", "20200229", "2020/2/29", "2020年2月29日", "2020-2-29", "2020-02-29 00:00:00", "2020-02-29T00:00"]
    assert set(typed("D", *good)) == {date(2020, 2, 29)}
    bad = [
        "2021-02-29",
        "29/2/2020",
        "2/29/2020",
        "20-02-29",
        "２０２０-02-29",
        "2020-02-29 08:00",
        "0000-01-01",
        "12020-01-01",
        "44000",
        "今天",
    ]
    assert set(typed("D", *bad)) == {REFUSED}


def test_instants_without_an_offset_are_in_china() -> None:
    midnight = datetime(2020, 1, 1, 16, tzinfo=UTC)
    good = [
        "2020-01-01T16:00:00Z",
        "2020-01-02 00:00:00",
        "2020-01-02T00:00:00+08:00",
        "2020-01-02 00:00",
        "2020/1/2 0:00:00",
        "2020-01-02",
        "2020-01-02T00:00:00.000+0800",
        "2020年1月2日 00:00",
    ]
    assert set(typed("T", *good)) == {midnight}
    assert typed("T", "2020-01-01T16:00:00.123456Z") == [midnight.replace(microsecond=123456)]
    bad = [
        "2020-01-01T25:00:00Z",
        "2020-01-01T00:00:60Z",
        "2020-01-01T00:00:00.1234567Z",
        "1986-05-04 02:30:00",
        "00:00",
        "2020-13-01 00:00",
        "x",
    ]
    assert set(typed("T", *bad)) == {REFUSED}


def test_logical_values() -> None:
    assert typed("L", "true", "TRUE", "1", "是", "y", "false", "No", "0", "否", "") == [*[True] * 5, *[False] * 4, None]
    assert set(typed("L", "2", "真", "on")) == {REFUSED}


@settings(deadline=None)
@given(st.datetimes(datetime(1992, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_every_instant_comes_back_from_its_iso_text(moment: datetime) -> None:
    in_utc = moment.replace(tzinfo=UTC)
    assert typed("T", in_utc.isoformat(), in_utc.isoformat().replace("+00:00", "Z")) == [in_utc, in_utc]


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**30), max_value=10**30))
def test_every_amount_comes_back_from_its_text(amount: Decimal) -> None:
    assert typed("Y", f"{amount:f}") == [amount]


@pytest.mark.parametrize("data_type", list(DataType))
def test_a_column_of_nulls_is_of_its_type(data_type: DataType) -> None:
    assert typed(data_type.value, None, "", "  " if not data_type.is_text else None) == [None, None, None]
