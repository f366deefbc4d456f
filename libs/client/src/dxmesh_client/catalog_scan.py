"""Drafting a catalogue from a database: its tables and columns become definitions; their rows are never read."""

import asyncio
import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dxmesh_client.errors import ClientError, Unreachable

_CONNECT_SECONDS = 10
_STATEMENT_SECONDS = 60
_NAME_LENGTH, _CODE_LENGTH = 200, 63
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]+")
_COLUMNS = """
SELECT n.nspname AS schema, c.relname AS table, obj_description(c.oid, 'pg_class') AS table_comment,
       a.attname AS column, col_description(c.oid, a.attnum) AS column_comment, a.attnotnull AS is_required,
       COALESCE(b.typname, t.typname) AS type, CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS modifier,
       COALESCE(b.typtype, t.typtype)::text AS kind,
       (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = COALESCE(b.oid, t.oid)) AS labels,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND ($1::text[] IS NULL OR n.nspname = ANY ($1))
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY n.nspname, c.relname, a.attnum
"""
_TYPES = {
    "int2": "I", "int4": "I", "int8": "I", "float4": "F", "float8": "B", "money": "Y", "date": "D", "timestamp": "T", "timestamptz": "T",
    "bool": "L", "varchar": "C", "bpchar": "C", "name": "C", "uuid": "C", "text": "M",
}  # fmt: skip
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database describes it."""

    schema: str
    table: str
    table_comment: str | None
    column: str
    column_comment: str | None
    is_required: bool
    type: str
    modifier: int
    kind: str
    labels: list[str] | None
    is_key: bool


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody has to look at in the draft."""

    table: str
    column: str
    detail: str


def scan(url: str, schemas: list[str] | None) -> list[Column]:
    """Return the columns of a PostgreSQL database's tables and views, from its system catalogue alone, in a read-only session.

    The role needs no right to read any table. Raises: Unreachable, ClientError.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ClientError("only postgresql://… can be scanned; other databases give out a table for `dxmesh catalog import`")
    try:
        asyncpg: Any = importlib.import_module("asyncpg")
    except ImportError as missing:
        raise ClientError("scanning needs asyncpg: install dxmesh-client[bulk]") from missing
    try:
        return asyncio.run(_scan(asyncpg, url, schemas))
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as away:
        raise Unreachable(f"the database does not answer: {away or 'it took too long'}") from away
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as refused:
        raise ClientError(f"the database cannot be scanned: {refused}") from refused


async def _scan(asyncpg: Any, url: str, schemas: list[str] | None) -> list[Column]:
    settings = {"default_transaction_read_only": "on", "application_name": "dxmesh catalog scan"}
    connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS, command_timeout=_STATEMENT_SECONDS, server_settings=settings)
    try:
        return [Column(**dict(row)) for row in await connection.fetch(_COLUMNS, schemas)]
    finally:
        await connection.close()


def draft(columns: Iterable[Column], *, system: str, class_path: str, update_cycle: str) -> tuple[list[dict[str, Any]], list[Note]]:
    """Return a definition for each table, and what to look at in them before they are imported."""
    definitions: dict[tuple[str, str], dict[str, Any]] = {}
    notes: list[Note] = []
    codes: dict[tuple[str, str], set[str]] = {}
    names: dict[tuple[str, str], set[str]] = {}
    titles: set[str] = set()
    for column in columns:
        key = (column.schema, column.table)
        where = column.table if column.schema == "public" else f"{column.schema}.{column.table}"
        if key not in definitions:
            title = _distinct(_text(column.table_comment) or where, titles)
            if not _text(column.table_comment):
                notes.append(Note(where, "", "has no comment: write what the data are called"))
            definitions[key] = {
                "system": system,
                "name": title,
                "summary": f"表 {where}: {title}",
                "class_path": class_path,
                "format_class": "DATABASE",
                "format_type": "PostgreSQL",
                "items": [],
                "key": [],
                "update_cycle": update_cycle,
            }
            codes[key], names[key] = set(), set()
        item: dict[str, Any] = {
            "code": _code(column.column, codes[key]),
            "name": _distinct(_text(column.column_comment) or column.column, names[key]),
        }
        if not _text(column.column_comment):
            notes.append(Note(where, column.column, "has no comment: write what it is called"))
        kind, note = _typed(column)
        item |= kind
        if note:
            notes.append(Note(where, column.column, note))
        if column.is_required:
            item["required"] = True
        if column.is_key:
            definitions[key]["key"].append(item["code"])
        definitions[key]["items"].append(item)
    return list(definitions.values()), notes


def _text(comment: str | None) -> str:
    return " ".join(_UNSEEN.sub(" ", comment or "").split())[:_NAME_LENGTH].strip()


def _distinct(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found.casefold() in taken:
        found, number = f"{name[: _NAME_LENGTH - 8]} ({number})", number + 1
    taken.add(found.casefold())
    return found


def _code(column: str, taken: set[str]) -> str:
    """Return a column's name as an item code: Latin letters, digits and underscores, distinct without regard to case."""
    base = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_")
    if not base[:1].isalpha():
        base = f"c_{base}".rstrip("_")
    base = base[:_CODE_LENGTH].rstrip("_")
    found, number = base, 2
    while found.lower() in taken:
        found, number = f"{base[: _CODE_LENGTH - 4]}_{number}", number + 1
    taken.add(found.lower())
    return found


def _typed(column: Column) -> tuple[dict[str, Any], str]:
    """Return what an item says of its values, and what is lost by it."""
    if column.kind == "e":
        return {"data_type": "C", "enumeration": column.labels or []}, ""
    if column.type == "numeric":
        return _number(column)
    kind = _TYPES.get(column.type)
    if kind is None:
        return {"data_type": "G"}, f"is of type {column.type}, which has no counterpart: it is drafted as text of any form (G)"
    item: dict[str, Any] = {"data_type": kind}
    if column.type in ("varchar", "bpchar") and column.modifier > 4:
        item["length"] = column.modifier - 4
    if column.type == "uuid":
        item["length"] = 36
    if column.type == "timestamp":
        return item, "holds times without a zone: they are read as China time"
    return item, ""


def _number(column: Column) -> tuple[dict[str, Any], str]:
    if column.modifier < 4:
        return {"data_type": "N"}, "is a number of any size: digits beyond 15 are lost unless a scale is given"
    digits, scale = (column.modifier - 4) >> 16, (column.modifier - 4) & 0x7FF
    if scale > _MOST_DIGITS:
        return {"data_type": "N"}, f"has {scale} digits after the point, or a negative scale: it is drafted without"
    if scale == 0 and digits <= _MOST_DIGITS:
        return {"data_type": "I"}, ""
    return {"data_type": "N", "scale": scale}, ""
