"""The bounds of a number, exact in its item's type."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

import polars as pl

from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular.items import MAX_DIGITS, polars_type, scale_of

_EXACT = Context(prec=400)


def least(item: DataItem) -> pl.Expr:
    """Return the least value of an item's type that is not below its minimum: 0.1 means 0.1, not its nearest double."""
    return _bound(item, item.minimum if item.minimum is not None else -math.inf, ROUND_CEILING)


def most(item: DataItem) -> pl.Expr:
    """Return the greatest value of an item's type that is not above its maximum."""
    return _bound(item, item.maximum if item.maximum is not None else math.inf, ROUND_FLOOR)


def _bound(item: DataItem, value: float, rounding: str) -> pl.Expr:
    kind = polars_type(item)
    if kind.is_float() or not math.isfinite(value):
        return pl.lit(value, dtype=pl.Float64)
    scale = scale_of(item) or 0
    greatest = Decimal(2**63 - 1) if kind.is_integer() else Decimal(10**MAX_DIGITS - 1).scaleb(-scale, _EXACT)
    exact = Decimal(repr(value))
    if abs(exact) > greatest:  # beyond what the type holds: every value is on the same side of it
        return pl.lit(math.copysign(math.inf, value), dtype=pl.Float64)
    rounded = exact.quantize(Decimal(1).scaleb(-scale), rounding=rounding, context=_EXACT)
    return pl.lit(int(rounded), dtype=pl.Int64) if kind.is_integer() else pl.lit(rounded).cast(kind)
