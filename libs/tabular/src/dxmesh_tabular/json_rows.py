"""A row as one JSON object in text, made by columns: values that JSON writes as they are are joined, the others are encoded first."""

import json
from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular.items import ROW, SEQUENCE

_FEW = 512  # rows; below, looking at texts by themselves takes longer than encoding them


def row_json(frame: pl.DataFrame, items: Sequence[DataItem] | None = None) -> pl.Series:
    """Return each row as one JSON object in text, of the items given (None: every column that is no system column).

    Nulls are kept as null; dates are ISO 8601, instants ISO 8601 in UTC with Z; exact numbers are JSON numbers with all their
    digits; text is not escaped beyond what JSON demands.
    """
    names = [item.code for item in items] if items is not None else [name for name in frame.columns if name not in (ROW, SEQUENCE)]
    return json_texts(frame.select(names))


def json_texts(frame: pl.DataFrame) -> pl.Series:
    """Return each row of the frame, with all its columns, as `row_json` does."""
    if not frame.width:
        return pl.Series("json", ["{}"] * frame.height, pl.String)
    parts: list[pl.Expr] = []
    before = "{"
    run: list[str] = []

    def close_run() -> None:
        nonlocal before
        if run:
            encoded = pl.struct(run).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
            parts.extend((pl.lit(before), encoded))
            before = ","
            run.clear()

    for column in frame.iter_columns():
        if not _is_written_as_it_is(column):
            run.append(column.name)
            continue
        close_run()
        before += json.dumps(column.name, ensure_ascii=False) + ":"
        text, quote = pl.col(column.name).cast(pl.String), "" if column.dtype.is_numeric() else '"'
        if column.null_count():
            parts.extend((pl.lit(before), pl.concat_str(pl.lit(quote), text, pl.lit(quote)).fill_null("null")))
            before = ","
        else:
            parts.extend((pl.lit(before + quote), text))
            before = quote + ","
    close_run()
    parts.append(pl.lit(before.removesuffix(",") + "}"))
    return frame.lazy().with_columns(instants(frame.schema)).select(pl.concat_str(parts).alias("json")).collect()["json"]


def instants(schema: pl.Schema) -> list[pl.Expr]:
    """Return instants as ISO 8601 text in UTC; polars writes an offset where a Z is wanted."""
    zoned = [name for name, kind in schema.items() if isinstance(kind, pl.Datetime)]
    return [pl.col(name).dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ") for name in zoned]


def _is_written_as_it_is(column: pl.Series) -> bool:
    """Say whether a value's text is its JSON: exact numbers, which polars would put in quotes, and what needs no escape in quotes."""
    kind = column.dtype
    if isinstance(kind, pl.Decimal):
        return True
    if len(column) < _FEW:
        return False
    return kind.is_integer() or isinstance(kind, pl.Date | pl.Datetime) or (kind == pl.String and not _has_escapes(column))


def _has_escapes(texts: pl.Series) -> bool:
    """Say whether a quotation mark, a backslash or a control character is among the texts (RFC 8259, section 7)."""
    data = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    if data is None or not data.size:
        return False
    found = pl.Series(pa.Array.from_buffers(pa.uint8(), data.size, [None, data]))
    return bool(found.min() < 0x20 or (found == 0x22).any() or (found == 0x5C).any())  # type: ignore[operator]  # not empty: has a least
