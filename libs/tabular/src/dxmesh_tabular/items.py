"""How a resource's items become columns: one polars type per item type, and the system columns beside them."""

from collections.abc import Sequence

import polars as pl

from dxmesh_schemas.catalog import DataItem, DataType

ROW = "row_"
"""System column: 1-based number of the data row in the sent file, broken rows counted (UInt32)."""
SEQUENCE = "sequence_"
"""System column of tables: sequence of the accepted batch that wrote the row (Int64)."""
REFUSED_SCHEMA = pl.Schema(
    {"row": pl.UInt32, "item": pl.String, "rule": pl.String, "reason": pl.String, "value": pl.String, "record": pl.String}
)
"""Columns of refused and quarantined lines: one line per row and fault, so a row may have several."""

MAX_DIGITS = 38  # of an exact number, scale included (Arrow decimal128)
MONEY_SCALE = 2


def scale_of(item: DataItem) -> int | None:
    """Return the digits kept after the point of an exact item, or None for an item that is not exact."""
    if item.data_type is DataType.MONEY:
        return MONEY_SCALE if item.scale is None else item.scale
    return item.scale if item.data_type is DataType.NUMBER else None


def polars_type(item: DataItem) -> pl.DataType:
    """Return the column type of an item: text stays text, whole numbers 64 bit, money and scaled numbers exact, instants in UTC."""
    scale = scale_of(item)
    if scale is not None:
        return pl.Decimal(MAX_DIGITS, scale)
    match item.data_type:
        case DataType.TEXT | DataType.LONG_TEXT | DataType.GENERIC:
            return pl.String()
        case DataType.INTEGER:
            return pl.Int64()
        case DataType.DATE:
            return pl.Date()
        case DataType.DATETIME:
            return pl.Datetime("us", "UTC")
        case DataType.LOGICAL:
            return pl.Boolean()
        case _:
            return pl.Float64()


def schema(items: Sequence[DataItem]) -> pl.Schema:
    """Return the columns of a batch object: `row_`, then one column per item in the resource's order."""
    return pl.Schema({ROW: pl.UInt32(), **{item.code: polars_type(item) for item in items}})
