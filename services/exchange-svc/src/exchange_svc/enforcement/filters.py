"""Row filters as expressions over columns: a row of which a condition cannot be told does not leave."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, DecimalException

import polars as pl

from dxmesh_schemas.exchange_terms import Comparison, Condition, Membership, Period, Prefix, Scalar
from dxmesh_tabular.casting import ZONE

_OPERATORS = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}


def passes(where: Sequence[Condition], schema: pl.Schema) -> pl.Expr:
    """Return the mask of rows for which all conditions hold; an empty value holds none.

    schema: the columns, each item of a condition among them. Raises: ValueError for a value that is not one of its column's type.
    """
    return pl.all_horizontal(pl.lit(value=True), *(_holds(one, schema[one.item]).fill_null(value=False) for one in where))


@dataclass(frozen=True, slots=True)
class Passing:
    """A row filter as what makes the mask for a table's columns; equal filters are equal."""

    where: tuple[Condition, ...]

    def __call__(self, held: pl.Schema) -> pl.Expr:
        """Return the mask. Raises: KeyError for an item that is no column, ValueError for a value that is not one of its column's type."""
        return passes(self.where, held)


def _holds(condition: Condition, kind: pl.DataType) -> pl.Expr:
    column = pl.col(condition.item)
    known = ~column.is_nan() if kind.is_float() else pl.lit(value=True)  # a NaN would be above everything
    match condition:
        case Comparison():
            compare = getattr(column, _OPERATORS[condition.op])
            mask: pl.Expr = compare(literal(condition.value, kind))
            return mask & known
        case Membership():
            return (
                pl.any_horizontal(column.eq(literal(value, kind)) for value in condition.values)
                if len(condition.values) < 4
                else column.is_in(pl.Series([plain(value, kind) for value in condition.values], dtype=kind).implode())
            )
        case Prefix():
            if kind != pl.String:
                raise ValueError("a column of text is expected")
            return pl.any_horizontal(column.str.starts_with(value) for value in condition.values)
        case Period():
            if kind != pl.Date and not isinstance(kind, pl.Datetime):
                raise ValueError("a column of dates or times is expected")
            day = column.dt.convert_time_zone(ZONE).dt.date() if isinstance(kind, pl.Datetime) else column
            lower = pl.lit(value=True) if condition.first is None else day >= condition.first
            upper = pl.lit(value=True) if condition.last is None else day <= condition.last
            return lower & upper & column.is_not_null()


def literal(value: Scalar, kind: pl.DataType) -> pl.Expr:
    """Return a condition's value in its column's type. Raises: ValueError saying what is expected."""
    return pl.lit(plain(value, kind), dtype=kind)


def plain(value: Scalar, kind: pl.DataType) -> object:
    """Return a condition's value as Python's own of the column's type. Raises: ValueError saying what is expected."""
    match kind:
        case pl.String():
            return _expect(value, isinstance(value, str), "a text")
        case pl.Boolean():
            return _expect(value, isinstance(value, bool), "true or false")
        case pl.Date():
            return _parsed(value, date.fromisoformat, "a date such as 2026-12-31")
        case pl.Datetime():
            return _instant(value)
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    try:
        number = Decimal(str(value))
    except DecimalException as wrong:
        raise ValueError("a number is expected") from wrong
    if not number.is_finite():
        raise ValueError("a finite number is expected")
    if kind.is_float():
        return float(number)
    if kind.is_integer():
        if number != number.to_integral_value() or abs(number) >= 2**63:
            raise ValueError("a whole number of 64 bit is expected")
        return int(number)
    assert isinstance(kind, pl.Decimal), f"no item has the type {kind}"
    return _exact(number, kind)


def _exact(number: Decimal, kind: pl.Decimal) -> Decimal:
    digits = number.as_tuple()
    assert isinstance(digits.exponent, int), "the number is finite"
    if -digits.exponent > kind.scale and number != round(number, kind.scale):
        raise ValueError(f"a number of at most {kind.scale} digits after the point is expected")
    if number.adjusted() >= 38 - kind.scale:
        raise ValueError(f"a number of at most {38 - kind.scale} digits before the point is expected")
    return number


def _expect(value: Scalar, fits: bool, expected: str) -> Scalar:
    if not fits:
        raise ValueError(f"{expected} is expected")
    return value


def _parsed(value: Scalar, parse: Callable[[str], object], expected: str) -> object:
    if not isinstance(value, str):
        raise ValueError(f"{expected} is expected")
    try:
        return parse(value)
    except ValueError as wrong:
        raise ValueError(f"{expected} is expected") from wrong


def _instant(value: Scalar) -> object:
    found = _parsed(value, datetime.fromisoformat, "a time with its offset, such as 2026-12-31T23:59:59+08:00")
    assert isinstance(found, datetime), "what was parsed is a time"
    if found.tzinfo is None:
        raise ValueError("a time with its offset, such as 2026-12-31T23:59:59+08:00, is expected")
    return found
