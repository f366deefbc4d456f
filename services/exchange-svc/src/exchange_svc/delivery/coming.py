"""Rows of one version of a resource brought into the form of a later one: cast exactly and checked, or withheld and counted."""

from collections.abc import Sequence

import polars as pl

from dxmesh_schemas.catalog import DataItem, DataType, ItemFormat
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular import casting, checks
from dxmesh_tabular.bounds import least, most
from dxmesh_tabular.items import ROW, polars_type
from dxmesh_tabular.texts import blank, longer, whole_match
from exchange_svc.delivery.domain import Unit

_NO_FRACTION = r"\.0*$"


def bring(frame: pl.DataFrame, unit: Unit) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the rows that fit the unit's view, and for each item how many rows do not fit by it.

    frame: n_rows × `row_` and those of the view's items that the batch has; an item that comes anew is null. A value of another type
    is read from its text as a pushed one would be, so a digit too many is not rounded away. A key item is required. A batch that
    deletes is held to its key alone. Code sets and references are not looked at: they are quality-svc's to judge (ADR 7).
    """
    key = unit.view.key
    deletes = unit.dispatch.kind is BatchKind.DELETE
    items = [item for item in unit.view.into if not deletes or item.code in key]
    typed, misfits = _typed(frame, items)
    for item in items:
        misfits[item.code] = misfits[item.code] | typed.select(_broken(item, item.code in key)).to_series()
    unfit = pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
    for mask in misfits.values():
        unfit = unfit | mask
    return typed.filter(~unfit), {code: int(mask.sum()) for code, mask in misfits.items() if mask.any()}


def _typed(frame: pl.DataFrame, items: Sequence[DataItem]) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """Return the frame with the items in their types, and for each the rows whose value could not be read as such."""
    retyped = [item for item in items if item.code in frame.columns and frame.schema[item.code] != polars_type(item)]
    anew = [pl.lit(None, polars_type(item)).alias(item.code) for item in items if item.code not in frame.columns]
    misfits = {item.code: pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True) for item in items}
    if retyped:
        texts = frame.select(ROW, *(_text(item, frame.schema[item.code]).alias(item.code) for item in retyped))
        for item in retyped:  # one by one, so that a row refused by one item is still looked at by the others
            read = casting.cast(texts.select(ROW, item.code), [item])
            misfits[item.code] = frame[ROW].is_in(read.refused["row"].implode())
            column = texts.select(ROW).join(read.rows, on=ROW, how="left", maintain_order="left")[item.code]
            frame = frame.with_columns(column)
    return frame.with_columns(anew), misfits


def _text(item: DataItem, held: pl.DataType) -> pl.Expr:
    """Return a value as the text that a file of the later version would have."""
    column = pl.col(item.code)
    if isinstance(held, pl.Datetime):
        if item.data_type is DataType.DATE:  # an instant is a date where it is midnight in China
            return column.dt.convert_time_zone(casting.ZONE).dt.to_string("%Y-%m-%dT%H:%M:%S%.f")
        return column.dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
    text = column.cast(pl.String)
    if item.data_type is DataType.INTEGER and (held.is_float() or held.is_decimal()):
        return text.str.replace(_NO_FRACTION, "")
    return text


def _broken(item: DataItem, in_key: bool) -> pl.Expr:
    """Return the mask of the values that break a rule of the item."""
    column = pl.col(item.code)
    masks = [pl.lit(value=False)]
    if item.required or in_key:
        masks.append(blank(column, many=False) if item.data_type.is_text else column.is_null())
    if item.length is not None:
        masks.append(longer(column, item.length, many=False))
    if item.pattern is not None:
        whole = whole_match(item.pattern)
        masks.append(column.is_not_null() if whole is None else ~column.str.contains(whole))
    if item.enumeration is not None:
        masks.append(~column.is_in(list(item.enumeration)))
    if item.minimum is not None:
        masks.append(column < least(item))
    if item.maximum is not None:
        masks.append(column > most(item))
    if item.format is ItemFormat.RESIDENT_ID:
        masks.append(~checks.is_resident_id(column))
    if item.format is ItemFormat.USCC:
        masks.append(~checks.is_uscc(column))
    if item.format is ItemFormat.DIVISION:
        masks.append(~checks.is_division_code(column))
    return pl.any_horizontal(mask.fill_null(value=False) for mask in masks).alias("broken")
