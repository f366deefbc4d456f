"""Rows of a dataset's newest version, filtered, ordered and paged straight from its Parquet file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from dxmesh_schemas.catalog import DataType
from dxmesh_tabular.json_rows import row_json
from dxmesh_tabular.store import ObjectStore
from open_data_svc.ckan.errors import ValidationError
from open_data_svc.dataset import files

ID = "_id"
"""The row's number in the version, from 1."""
_BETWEEN = "\x1f"
_MAX_WORDS = 20
_TYPES: Mapping[DataType, str] = {
    DataType.INTEGER: "int8",
    DataType.NUMBER: "numeric",
    DataType.MONEY: "numeric",
    DataType.DOUBLE: "float8",
    DataType.FLOAT: "float8",
    DataType.DATE: "date",
    DataType.DATETIME: "timestamptz",
    DataType.LOGICAL: "bool",
}


@dataclass(frozen=True, slots=True)
class RowQuery:
    """What is asked of the rows."""

    filters: Mapping[str, Any]
    words: str | Mapping[str, Any]
    columns: Sequence[str]
    order: Sequence[tuple[str, bool]]
    offset: int
    limit: int
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of rows and how many match in all."""

    frame: pl.DataFrame
    total: int | None


def fields_of(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Describe columns as CKAN does; `_id` comes without a description."""
    known = {item["code"]: item for item in items}
    fields: list[dict[str, Any]] = []
    for column in columns:
        if column == ID:
            fields.append({"id": ID, "type": "int"})
            continue
        item = known[column]
        kind = _TYPES.get(DataType(item["data_type"]), "text")
        fields.append({"id": column, "type": kind, "info": {"label": item["name"], "notes": item["description"]}})
    return fields


def read(objects: ObjectStore, key: str, query: RowQuery, *, known_total: int | None, count: bool) -> Rows:
    """Answer a query; only the columns and row groups it touches are read. Raises: ValidationError (409) naming a wrong filter."""
    frame = files.rows(objects, key, numbered=ID)
    schema = frame.collect_schema()
    conditions = [_matches(column, value, schema) for column, value in query.filters.items()]
    conditions += _contains(query.words, schema)
    matching = frame.filter(*conditions) if conditions else frame
    shown = matching
    if query.order:
        columns, descending = [column for column, _ in query.order], [down for _, down in query.order]
        shown = shown.sort([*columns, ID], descending=[*descending, False], nulls_last=True)
    shown = shown.select(query.columns)
    if query.distinct:
        shown = shown.unique(maintain_order=True)
    page = shown.slice(query.offset, query.limit).collect() if query.limit else shown.head(0).collect()
    total = None
    if count:
        counted = shown if query.distinct else matching
        untouched = not conditions and not query.distinct
        total = known_total if untouched and known_total is not None else int(counted.select(pl.len()).collect().item())
    return Rows(page, total)


def records(frame: pl.DataFrame, form: str) -> orjson.Fragment | str:
    """Return a page's rows as JSON objects, JSON lists, CSV or TSV; values look as they do in the JSON files."""
    if form in ("csv", "tsv"):
        return frame.write_csv(separator="\t" if form == "tsv" else ",", include_header=False)
    objects = row_json(frame)
    if form == "lists":
        return orjson.Fragment(orjson.dumps([list(orjson.loads(row).values()) for row in objects]))
    return orjson.Fragment("[" + ",".join(objects) + "]")


def _matches(column: str, value: Any, schema: pl.Schema) -> pl.Expr:
    if column not in schema:
        raise ValidationError({"filters": [f'field "{column}" not in table']})
    values = value if isinstance(value, list) else [value]
    texts = [_text("filters", column, one) for one in values if one is not None]
    wanted = pl.Series("wanted", texts, dtype=pl.String)
    typed = _cast(wanted, schema[column])
    if typed.null_count():
        bad = wanted.filter(typed.is_null())[0]
        raise ValidationError({"filters": [f'invalid value "{bad}" for field "{column}" of type {schema[column]}']})
    condition = pl.col(column).is_in(typed.implode())
    return condition | pl.col(column).is_null() if None in values else condition


def _text(parameter: str, column: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValidationError({parameter: [f'field "{column}" takes a value or a list of values']})
    return str(value).encode("utf-8", "replace").decode()


def _cast(texts: pl.Series, kind: pl.DataType) -> pl.Series:
    if kind == pl.Boolean:
        words = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
        return texts.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if kind == pl.Date:
        return texts.str.to_date("%Y-%m-%d", strict=False)
    if isinstance(kind, pl.Datetime):
        return texts.str.to_datetime(time_unit="us", time_zone="UTC", strict=False) if len(texts) else texts.cast(kind)
    return texts.cast(kind, strict=False)


def _contains(words: str | Mapping[str, Any], schema: pl.Schema) -> list[pl.Expr]:
    """Return a condition per word: it occurs somewhere in the row, or in the named column, letters' case aside."""
    if isinstance(words, str):
        return _hold([column for column in schema if column != ID], words)
    found = []
    for column, text in words.items():
        if column not in schema:
            raise ValidationError({"q": [f'field "{column}" not in table']})
        found += _hold([column], _text("q", column, text))
    return found


def _hold(columns: Sequence[str], words: str) -> list[pl.Expr]:
    """Search the columns as one text, so that each row is read once however many there are."""
    text = pl.concat_str([pl.col(column).cast(pl.String) for column in columns], separator=_BETWEEN, ignore_nulls=True)
    return [text.str.contains(f"(?i){pl.escape_regex(word)}") for word in words.split()[:_MAX_WORDS]]
