"""Looking at columns of text: blank values, length in characters, patterns that must match as a whole."""

import re
from functools import lru_cache, partial

import polars as pl

_ASCII_CLASSES = {"d": "[0-9]", "D": "[^0-9]", "w": "[A-Za-z0-9_]", "W": "[^A-Za-z0-9_]"}


def blank(column: pl.Expr, *, many: bool) -> pl.Expr:
    """Say of each text whether it is nothing but white space (Unicode White_Space); null counts as blank.

    With `many` rows, white space is looked for only behind a first character that could be it: comparing is ten times faster.
    """
    if many:
        return column.map_batches(_blank_of_many, return_dtype=pl.Boolean, is_elementwise=True)
    return (column.str.strip_chars() == "").fill_null(value=True)


def _blank_of_many(values: pl.Series) -> pl.Series:
    suspects = ((values < "!") | ((values >= "\u0085") & (values < "\u3001"))).fill_null(value=True)
    return suspects & (values.str.strip_chars() == "").fill_null(value=True) if suspects.any() else suspects


def longer(column: pl.Expr, most: int, *, many: bool) -> pl.Expr:
    """Say of each text whether it has more than `most` characters (Unicode scalar values); null has none.

    With `many` rows, characters are counted only in a column that has a text of more bytes than that.
    """
    if many:
        return column.map_batches(partial(_longer_of_many, most=most), return_dtype=pl.Boolean, is_elementwise=True)
    return (column.str.len_chars() > most).fill_null(value=False)


def _longer_of_many(values: pl.Series, most: int) -> pl.Series:
    lengths = values.str.len_bytes()
    if (lengths.max() or 0) > most:  # type: ignore[operator]  # a length is an int
        lengths = values.str.len_chars()
    return (lengths > most).fill_null(value=False)


@lru_cache(maxsize=10_000)
def whole_match(pattern: str) -> str | None:
    r"""Return the pattern made to match a whole value, or None for one that the engine (Rust regex, linear time) cannot run.

    \d and \w mean the ASCII characters, as in JSON Schema (ECMA 262): a full-width digit is no digit.
    """
    ascii_only = re.sub(r"\\(.)", lambda escape: _ASCII_CLASSES.get(escape[1], escape[0]), pattern, flags=re.DOTALL)
    whole = rf"\A(?:{ascii_only})\z"
    try:
        pl.select(pl.lit("").str.contains(ascii_only), whole=pl.lit("").str.contains(whole))
    except pl.exceptions.ComputeError:
        return None
    return whole
