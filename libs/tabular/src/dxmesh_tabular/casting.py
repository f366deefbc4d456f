"""From text cells to typed columns: exact or refused, never guessed; a cell that is not of its item's type refuses its row."""

from collections.abc import Sequence
from functools import lru_cache

import polars as pl

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_tabular.chunk import MAX_RECORD_CHARS, MAX_VALUE_CHARS, TYPE, Chunk, no_refused
from dxmesh_tabular.items import MAX_DIGITS, ROW, polars_type, scale_of

ZONE = "Asia/Shanghai"
"""Time zone of instants sent without an offset."""
_ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_BASIC_DATE = r"^[0-9]{8}$"
_ANY_DATE = r"^([0-9]{4})(?:-|/|年)([0-9]{1,2})(?:-|/|月)([0-9]{1,2})日?"
_MIDNIGHT = r"[T ]00:00(?::00(?:\.0+)?)?$"
_ISO_UTC = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]Z$"
_INSTANT = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,6}0*)?"
_OFFSET = r"[+-][0-9]{2}:?[0-9]{2}$"
_YES = ("true", "1", "yes", "y", "t", "是")
_NO = ("false", "0", "no", "n", "f", "否")


def cast(text: pl.DataFrame, items: Sequence[DataItem]) -> Chunk:
    """Type a frame of text cells.

    `text`: n rows with `row_` and, for each item the file has, a String column or one of the item's own type; items it lacks
    become null. Empty text is no value (null) in every type. Text is kept as sent; other types may have blanks around them. Dates:
    ISO 8601 extended or basic, or year first with `/` or 年月日. Instants: ISO 8601, a blank for the T allowed; without an offset they
    are Asia/Shanghai. Exact numbers
    refuse digits beyond their scale rather than round. Source: GB/T 7408 (dates).
    """
    held = text.schema
    sent_as_text = [item for item in items if held.get(item.code) == pl.String]
    typed = text.lazy().select(ROW, *(_column(item, held).alias(item.code) for item in items)).collect()
    doubtful = [item for item in sent_as_text if not item.data_type.is_text and _has_unread(text[item.code], typed[item.code])]
    if doubtful:
        typed = typed.with_columns(text.select(_tolerant(item).alias(item.code) for item in doubtful))
        doubtful = [item for item in doubtful if _has_unread(text[item.code], typed[item.code])]
    if not doubtful:
        return Chunk(typed, no_refused())
    refused, good = refuse(text, {item: _unread(text[item.code], typed[item.code]) for item in doubtful})
    return Chunk(typed.filter(good), refused)


def _column(item: DataItem, held: pl.Schema) -> pl.Expr:
    if item.code not in held:
        return pl.lit(None, polars_type(item))
    return _plain(item) if held[item.code] == pl.String else pl.col(item.code)


def refuse(text: pl.DataFrame, bad: dict[DataItem, pl.Series]) -> tuple[pl.DataFrame, pl.Series]:
    """Return the refused lines of cells that are not of their type, and the mask of rows without any."""
    any_bad = pl.Series([False]).new_from_index(0, text.height)
    for mask in bad.values():
        any_bad = any_bad | mask
    broken = text.with_columns(pl.struct(pl.exclude(ROW)).struct.json_encode().str.slice(0, MAX_RECORD_CHARS).alias("record_"))
    lines = [
        broken.filter(mask).select(
            pl.col(ROW).alias("row"),
            pl.lit(item.code).alias("item"),
            pl.lit(TYPE).alias("rule"),
            pl.lit(expectation(item)).alias("reason"),
            pl.col(item.code).str.slice(0, MAX_VALUE_CHARS).alias("value"),
            pl.col("record_").alias("record"),
        )
        for item, mask in bad.items()
    ]
    return pl.concat(lines).sort("row", maintain_order=True), ~any_bad


def expectation(item: DataItem) -> str:
    """Say what a value of the item must look like."""
    scale = scale_of(item)
    if scale is not None:
        return f"must be a decimal number with at most {scale} digits after the point"
    match item.data_type:
        case DataType.INTEGER:
            return "must be a whole number of at most 64 bits"
        case DataType.DATE:
            return "must be a date such as 2026-11-22"
        case DataType.DATETIME:
            return "must be an instant such as 2026-11-22T08:00:00+08:00"
        case DataType.LOGICAL:
            return "must be true or false"
        case DataType.TEXT | DataType.LONG_TEXT | DataType.GENERIC:
            return "must be text; send numbers that are codes in quotes"
        case _:
            return "must be a finite number"


def _has_unread(text: pl.Series, typed: pl.Series) -> bool:
    return typed.null_count() > text.null_count() and bool(_unread(text, typed).any())


def _unread(text: pl.Series, typed: pl.Series) -> pl.Series:
    """Mark the cells that hold something which the type could not take."""
    return typed.is_null() & text.is_not_null() & (text.str.strip_chars() != "")


@lru_cache(maxsize=4096)
def _plain(item: DataItem) -> pl.Expr:
    """Read the usual form of a type, quickly; null for anything else."""
    cell = pl.col(item.code)
    if item.data_type.is_text:
        return pl.when(cell != "").then(cell)
    if item.data_type is DataType.DATE:
        return pl.when(cell.str.contains(_ISO_DATE)).then(_date(cell, "%Y-%m-%d"))
    if item.data_type is DataType.DATETIME:
        usual = cell.str.contains(_ISO_UTC)
        return pl.when(usual).then(cell.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False).dt.replace_time_zone("UTC"))
    if item.data_type is DataType.LOGICAL:
        return _logical(cell)
    return _number(item, cell)


@lru_cache(maxsize=4096)
def _tolerant(item: DataItem) -> pl.Expr:
    """Read every accepted form of a type; null for anything else."""
    cell = pl.col(item.code).str.strip_chars(" \t")
    if item.data_type is DataType.DATE:
        return _any_date(cell.str.replace(_MIDNIGHT, ""))
    if item.data_type is DataType.DATETIME:
        return _any_instant(cell)
    if item.data_type is DataType.LOGICAL:
        return _logical(cell.str.to_lowercase())
    return _number(item, cell)


def _number(item: DataItem, cell: pl.Expr) -> pl.Expr:
    scale = scale_of(item)
    if scale is not None:
        digits = rf"^[+-]?[0-9]{{1,{MAX_DIGITS - scale}}}" + (rf"(?:\.[0-9]{{1,{scale}}}0*)?$" if scale else r"(?:\.0+)?$")
        return pl.when(cell.str.contains(digits)).then(cell.cast(pl.Decimal(MAX_DIGITS, scale), strict=False))
    if item.data_type is DataType.INTEGER:
        return cell.cast(pl.Int64, strict=False)
    number = cell.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _logical(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell.is_in(_YES)).then(True).when(cell.is_in(_NO)).then(False)


def _date(cell: pl.Expr, form: str) -> pl.Expr:
    date = cell.str.to_date(form, strict=False)
    return pl.when(date.dt.year() >= 1).then(date)


def _any_date(cell: pl.Expr) -> pl.Expr:
    separated = pl.when(cell.str.contains(_ANY_DATE + "$")).then(_date(cell.str.replace(_ANY_DATE, "${1}-${2}-${3}"), "%Y-%m-%d"))
    basic = pl.when(cell.str.contains(_BASIC_DATE)).then(_date(cell, "%Y%m%d"))
    return pl.coalesce(separated, basic)


def _any_instant(cell: pl.Expr) -> pl.Expr:
    even = (
        cell.str.replace(_ANY_DATE, "${1}-${2}-${3}")
        .str.replace(r"^([0-9-]{8,10})[ T]+([0-9]):", "${1}T0${2}:")
        .str.replace(r"^([0-9-]{8,10}) +", "${1}T")
        .str.replace(r"^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2})$", "${1}T00:00:00")
        .str.replace(r"T([0-9]{2}:[0-9]{2})($|[Z+-])", "T${1}:00${2}")
        .str.replace(r"[Zz]$", "+00:00")
        .str.replace(r" +([+-][0-9:]{4,6})$", "${1}")
    )
    form = "%Y-%m-%dT%H:%M:%S%.f"
    local = pl.when(even.str.contains(_INSTANT + "$")).then(even.str.to_datetime(form, time_unit="us", strict=False))
    offset = pl.when(even.str.contains(_INSTANT + _OFFSET)).then(
        even.str.to_datetime(form + "%z", time_unit="us", time_zone="UTC", strict=False)
    )
    placed = local.dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    instant = pl.coalesce(offset, placed)
    return pl.when(instant.dt.year() >= 1).then(instant)
