"""Checks of Chinese identifiers as polars expressions: true, false, or null where there is no value."""

from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

import polars as pl

_RESIDENT_SHAPE = r"^[1-9][0-9]{16}[0-9X]$"
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
_USCC_SHAPE = r"^[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{8}[0-9X][0-9A-HJ-NPQRTUWXY]$"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28, 1)
_USCC_ALPHABET = b"0123456789ABCDEFGHJKLMNPQRTUWXY"
_UNIT_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2, 1)
_UNIT_PLACES = range(8, 17)  # of the organization code in the credit code, from 0
_DIVISION_SHAPE = r"^[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[0-9]{3}(?:[0-9]{3})?)?)?)?$"


def is_resident_id(column: str | pl.Expr, *, today: date | None = None) -> pl.Expr:
    """Check a resident id number: shape, check digit, and a birth date that exists and is not after `today`.

    `today`: None means today in China. The area code may be any: counties are renamed, and numbers stay.
    Source: GB 11643-1999, ISO 7064 MOD 11-2 (weight of place i from the left: 2^(18-i) mod 11).
    """
    cell = _cell(column)
    shaped = cell.str.contains(_RESIDENT_SHAPE)
    characters = _units(cell, pl.UInt8(), 18)
    digits = [characters.arr.get(place).cast(pl.Int16) for place in range(18)]
    values = [*(digit - ord("0") for digit in digits[:17]), _check_digit(digits[17])]
    total = pl.sum_horizontal(value * weight for value, weight in zip(values, _RESIDENT_WEIGHTS, strict=True))
    born = cell.str.slice(6, 8).str.to_date("%Y%m%d", strict=False)
    latest = today or datetime.now(ZoneInfo("Asia/Shanghai")).date()
    return _holds(cell, shaped, (total % 11 == 1) & (born <= latest))


def is_uscc(column: str | pl.Expr) -> pl.Expr:
    """Check a unified social credit code: alphabet, registering authority, both check digits.

    Source: GB 32100-2015 (mod 31 over all), GB 11714-1997 (mod 11 over positions 9 to 17).
    """
    cell = _cell(column)
    shaped = cell.str.contains(_USCC_SHAPE)
    pairs = _units(cell, pl.UInt16(), 9)
    sums = pl.sum_horizontal(pl.lit(table).gather(pairs.arr.get(place)) for place, table in enumerate(_uscc_tables()))
    return _holds(cell, shaped, sums % 341 == 0)


def is_division_code(column: str | pl.Expr) -> pl.Expr:
    """Check the shape of a division code: 2, 4, 6, 9 or 12 digits; whether it exists is for a code set to say.

    Source: GB/T 2260, GB/T 10114.
    """
    cell = _cell(column)
    return cell.str.contains(_DIVISION_SHAPE)


def _cell(column: str | pl.Expr) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column


def _units(cell: pl.Expr, kind: pl.DataType, count: int) -> pl.Expr:
    """Return the 18 bytes of each value as an array of numbers; null for a value of another length."""
    return cell.cast(pl.Binary).bin.reinterpret(dtype=pl.Array(kind, count), endianness="little")


def _check_digit(byte: pl.Expr) -> pl.Expr:
    return pl.when(byte == ord("X")).then(10).otherwise(byte - ord("0")).cast(pl.Int16)


@cache
def _uscc_tables() -> tuple[pl.Series, ...]:
    """Return, for each pair of places, what two characters (low byte first) add to 11 x the whole's sum + 31 x the unit's sum.

    That number is a multiple of 341 exactly when the whole's sum is one of 31 and the unit's sum one of 11.
    """
    tables = []
    for place in range(0, 18, 2):
        table = [0] * (1 << 16)
        for first in _USCC_ALPHABET:
            for second in _USCC_ALPHABET:
                table[first | second << 8] = (_uscc_share(place, first) + _uscc_share(place + 1, second)) % 341
        tables.append(pl.Series(table, dtype=pl.Int16))
    return tuple(tables)


def _uscc_share(place: int, character: int) -> int:
    whole = 11 * _USCC_ALPHABET.index(character) * _USCC_WEIGHTS[place]
    if not _UNIT_PLACES.start <= place < _UNIT_PLACES.stop:
        return whole
    is_check = place == _UNIT_PLACES.stop - 1
    value = 10 if is_check and character == ord("X") else int(chr(character), 36)
    return whole + 31 * value * _UNIT_WEIGHTS[place - _UNIT_PLACES.start]


def _holds(cell: pl.Expr, shaped: pl.Expr, right: pl.Expr) -> pl.Expr:
    return pl.when(cell.is_not_null()).then(shaped & right.fill_null(value=False))
