"""Masks as expressions over columns: what a reader sees in place of a value."""

import hashlib
from collections.abc import Callable
from decimal import Decimal

import polars as pl

from dxmesh_schemas.exchange_terms import Drop, GeneraliseDate, GeneraliseNumber, GeneralisePlace, Keep, Mask, Pseudonym, Replace
from dxmesh_tabular.casting import ZONE

HIDDEN = "*"
_MOST_STARS = 200  # up to here they are taken from a table, four times faster than a pattern replaces characters
TOKEN_LENGTH = 32
"""Characters of a pseudonym: 128 bits in hexadecimal."""
_EVERY = {"month": "1mo", "quarter": "1q", "year": "1y", "decade": "10y"}
DIGITS = {"province": 2, "city": 4, "county": 6}
_CODE = r"^[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{3}){0,2})?)?$"


def masked(mask: Mask, kind: pl.DataType, key: bytes) -> pl.Expr:
    """Return what is shown in place of an item's values; an empty value stays empty.

    kind: the column's type, which stays; which masks it takes is for `rules` to say. key: of the grant's pseudonyms.
    """
    column = pl.col(mask.item)
    if not _takes(mask, kind):  # of a table that has not the form of the version in force yet: what cannot be hidden is not shown
        return pl.lit(None, dtype=kind).alias(mask.item)
    match mask:
        case Keep():
            return column.map_batches(_keep(mask.prefix, mask.suffix), return_dtype=pl.String)
        case Pseudonym():
            return column.map_batches(_tokens(key), return_dtype=pl.String)
        case GeneraliseDate():
            return _begin(column, mask.to, kind)
        case GeneraliseNumber():
            return _border(column, mask.width, kind)
        case GeneralisePlace():
            digits = DIGITS[mask.to]
            above = pl.concat_str(column.str.slice(0, digits), column.str.slice(digits).str.replace_all(".", "0"))
            return pl.when(column.str.contains(_CODE)).then(above).alias(mask.item)
        case Drop():
            return pl.lit(None, dtype=kind).alias(mask.item)
        case Replace():
            return pl.when(column.is_not_null()).then(pl.lit(mask.value)).alias(mask.item)


def _takes(mask: Mask, kind: pl.DataType) -> bool:
    match mask:
        case Keep() | GeneralisePlace():
            return kind == pl.String
        case GeneraliseDate():
            return kind == pl.Date or isinstance(kind, pl.Datetime)
        case GeneraliseNumber():
            return kind.is_numeric()
        case _:
            return True


def _keep(prefix: int, suffix: int) -> Callable[[pl.Series], pl.Series]:
    def shown(column: pl.Series) -> pl.Series:
        length = column.str.len_chars().cast(pl.Int64)
        is_long = length > prefix + suffix
        hidden = pl.select(pl.when(is_long).then(length - prefix - suffix).otherwise(length)).to_series()
        parts = [
            pl.lit(column).str.head(pl.when(is_long).then(prefix).otherwise(0)) if prefix else None,
            _stars(hidden),
            pl.lit(column).str.tail(pl.when(is_long).then(suffix).otherwise(0)) if suffix else None,
        ]
        return pl.select(pl.concat_str([part for part in parts if part is not None])).to_series()

    return shown


def _stars(counts: pl.Series) -> pl.Expr:
    most = int(counts.max() or 0)  # type: ignore[arg-type]
    if most > _MOST_STARS:
        return pl.lit(HIDDEN * most).str.head(pl.lit(counts))
    return pl.lit(pl.Series([HIDDEN * count for count in range(most + 1)]).gather(counts))


def _tokens(key: bytes) -> Callable[[pl.Series], pl.Series]:
    """Return the tokens of a column's values: keyed BLAKE2b-128 over the UTF-8 text (RFC 7693 section 2.9), in hexadecimal."""
    begun = hashlib.blake2b(digest_size=TOKEN_LENGTH // 2, key=key)

    def tokens(column: pl.Series) -> pl.Series:
        copy = begun.copy  # a third of the time of beginning anew
        made: list[bytes | None] = []
        for value in column.cast(pl.Binary).to_list():
            if value is None:
                made.append(None)
            else:
                going = copy()
                going.update(value)
                made.append(going.digest())
        return pl.Series(column.name, made, dtype=pl.Binary).bin.encode("hex")

    return tokens


def _begin(column: pl.Expr, to: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        local = column.dt.convert_time_zone(ZONE)
        return _first(local, to).dt.convert_time_zone("UTC").cast(kind)
    return _first(column, to)


def _first(column: pl.Expr, to: str) -> pl.Expr:
    if to != "decade":  # polars counts ten years from 1970
        return column.dt.truncate(_EVERY[to])
    return column.dt.truncate("1y").dt.offset_by(pl.format("-{}y", column.dt.year() % 10))


def _border(column: pl.Expr, width: Decimal, kind: pl.DataType) -> pl.Expr:
    if kind.is_float():
        return (column / float(width)).floor() * float(width)
    if kind.is_integer():
        step = int(width)
        least = -(2**63 // step) * step  # below, the class begins with a number that 64 bits cannot hold
        return pl.when(column >= least).then(column // step * step)
    assert isinstance(kind, pl.Decimal), f"no item has the type {kind}"
    step = int(width.scaleb(kind.scale))
    return ((column.to_physical() // step) * step).map_batches(lambda units: _decimal(units, kind), return_dtype=kind)


def _decimal(units: pl.Series, kind: pl.Decimal) -> pl.Series:
    """Return exact numbers of their units: 12345 with two digits after the point is 123.45."""
    return (units.cast(pl.Decimal(38, 0)) * pl.Series([Decimal(1).scaleb(-kind.scale)], dtype=kind)).cast(kind)
