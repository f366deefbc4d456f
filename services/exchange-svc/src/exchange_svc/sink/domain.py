"""Rules of tables at the requester's: which columns rows need, what a table lacks, and the statements that keep it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from dxmesh_schemas.catalog import DataItem, DataType, ResourceSnapshot, Snapshot
from exchange_svc.subscription.domain import Row
from exchange_svc.subscription.errors import SubscriptionInvalid

PLACE = "dxmesh_place"
ROWS = "dxmesh_rows"
Tls = Literal["disable", "require", "verify-full"]
_TEXTS = ("text", "character varying")
_MOST_DIGITS = 38


class Target(Snapshot):
    """Where a table is; kept sealed. tls: as libpq's sslmode has it."""

    host: str
    port: int
    user: str
    password: str
    database: str
    tls: Tls
    schema_name: str
    table: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column rows need. kinds: the types it may have, the first is what it is made with."""

    name: str
    kinds: tuple[str, ...]
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A column a table has; kind without its length."""

    name: str
    kind: str
    length: int | None
    is_needed: bool  # not null, and nothing stands there by itself


def target(url: str, schema_name: str, table: str) -> Target:
    """Return what a URL says. Raises: SubscriptionInvalid (422) naming what is wrong, never the password."""

    def refused(why: str) -> SubscriptionInvalid:
        return SubscriptionInvalid.at("/url", why)

    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError as wrong:
        raise refused("is no URL: write postgresql://user:password@host:5432/database") from wrong
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username or not parts.path.strip("/"):
        raise refused("is not postgresql://user:password@host:5432/database?sslmode=verify-full")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls = options.pop("sslmode", "verify-full")
    if options:
        raise refused(f"has options this node does not know: {', '.join(sorted(options))}; only sslmode is")
    if tls not in ("disable", "require", "verify-full"):
        raise refused("has another sslmode than disable, require or verify-full")
    fields = {"user": unquote(parts.username), "password": unquote(parts.password or ""), "database": unquote(parts.path.strip("/"))}
    if any("\0" in value for value in fields.values()):
        raise refused("holds a zero character")
    return Target(host=parts.hostname, port=port, tls=tls, schema_name=schema_name, table=table, **fields)  # type: ignore[arg-type]


def columns_of(items: Sequence[str], resource: ResourceSnapshot) -> list[Column]:
    """Return the columns that rows of these items need, in their order."""
    found = {item.code: item for item in resource.items}
    return [_column(found[code]) for code in items]


def _column(item: DataItem) -> Column:
    match item.data_type:
        case DataType.INTEGER:
            return Column(item.code, ("bigint", "numeric"))
        case DataType.DATE:
            return Column(item.code, ("date",))
        case DataType.DATETIME:
            return Column(item.code, ("timestamp with time zone",))
        case DataType.LOGICAL:
            return Column(item.code, ("boolean",))
        case DataType.MONEY:
            return Column(item.code, ("numeric",))
        case DataType.NUMBER if item.scale is not None:
            return Column(item.code, ("numeric",))
        case DataType.NUMBER | DataType.DOUBLE | DataType.FLOAT:
            return Column(item.code, ("double precision", "numeric"))
        case _:
            return Column(item.code, _TEXTS, item.length)


def faults(
    wanted: Sequence[Column], held: Mapping[str, Held], key: Sequence[str], unique: Sequence[Sequence[str]]
) -> list[tuple[str, str]]:
    """Return (column, what is wrong and what to do) for a table; none when rows fit."""
    found = []
    for column in wanted:
        has = held.get(column.name)
        if has is None:
            found.append((column.name, f"is missing; add it as {column.kinds[0]}"))
        elif has.kind not in column.kinds:
            found.append((column.name, f"is {has.kind}; rows need {' or '.join(column.kinds)}"))
        elif has.length is not None and (column.length is None or has.length < column.length):
            found.append((column.name, f"holds {has.length} characters; values have {column.length or 'any number of'}: make it text"))
    names = {column.name for column in wanted}
    found += [
        (one.name, "is needed by the table and not among the items; give it a default, or let it be null")
        for one in held.values()
        if one.is_needed and one.name not in names
    ]
    found += [
        (column.name, "must not be null in the table, and may be empty in rows; let it be null")
        for column in wanted
        if column.name in held and held[column.name].is_needed and column.name not in key
    ]
    if key and not any(set(one) == set(key) for one in unique):
        found.append((", ".join(key), f"has no unique index; add PRIMARY KEY ({', '.join(key)}), by which rows are replaced and deleted"))
    return found


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def create(target: Target, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Return the statement that makes the table."""
    lines = [f"{quoted(column.name)} {column.kinds[0]}" for column in columns]
    if key:
        lines.append(f"PRIMARY KEY ({_names(key)})")
    return f"CREATE TABLE IF NOT EXISTS {full(target)} ({', '.join(lines)})"


def create_place(target: Target) -> str:
    """Return the statement that makes the table of places."""
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(target.schema_name)}.{PLACE} (subscription_id uuid PRIMARY KEY, epoch bigint NOT NULL, "
        "topic text NOT NULL, offsets jsonb NOT NULL, row_count bigint NOT NULL, changed_at timestamptz NOT NULL)"
    )


def full(target: Target) -> str:
    """Return the table's name as SQL has it."""
    return f"{quoted(target.schema_name)}.{quoted(target.table)}"


def rights(target: Target, key: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what the target's user does to each of its tables."""
    return {
        full(target): ("SELECT", "INSERT", "UPDATE", "DELETE") if key else ("INSERT",),
        f"{quoted(target.schema_name)}.{PLACE}": ("SELECT", "INSERT", "UPDATE"),
    }


def let(target: Target, key: Sequence[str]) -> str:
    """Return the statements that let the target's user do it; rows are copied into a temporary table first."""
    user = quoted(target.user)
    statements = [
        f"GRANT TEMPORARY ON DATABASE {quoted(target.database)} TO {user}",
        f"GRANT USAGE ON SCHEMA {quoted(target.schema_name)} TO {user}",
        *(f"GRANT {', '.join(names)} ON {table} TO {user}" for table, names in rights(target, key).items()),
    ]
    return "; ".join(statements)


def apply(target: Target, columns: Sequence[Column], key: Sequence[str]) -> str:
    """Return the one statement that brings rows that were copied to the table: deletes and upserts by key, or appends without one.

    A key stands there once at most, so the two halves never meet.
    """
    names = _names([column.name for column in columns])
    values = ", ".join(f"(s.value ->> {_literal(column.name)})::{column.kinds[0]}" for column in columns)
    rows = f"WITH s AS MATERIALIZED (SELECT value::json AS value, gone FROM pg_temp.{ROWS})"
    insert = f"INSERT INTO {full(target)} ({names}) SELECT {values} FROM s WHERE NOT s.gone"
    if not key:
        return f"{rows} {insert}"
    kinds = {column.name: column.kinds[0] for column in columns}
    same = " AND ".join(f"t.{quoted(name)} = (s.value ->> {_literal(name)})::{kinds[name]}" for name in key)
    others = [column.name for column in columns if column.name not in key]
    change = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in others)
    conflict = f"ON CONFLICT ({_names(key)}) DO " + (f"UPDATE SET {change}" if others else "NOTHING")
    gone = f"gone AS (DELETE FROM {full(target)} AS t USING s WHERE s.gone AND {same})"
    return f"{rows}, {gone} {insert} {conflict}"


def empty(target: Target, names: Sequence[str]) -> str:
    """Return the statement that takes the values of columns out of a table."""
    return f"UPDATE {full(target)} SET " + ", ".join(f"{quoted(name)} = DEFAULT" for name in names)


def copied(rows: Sequence[Row], key: Sequence[str]) -> list[tuple[str, bool]]:
    """Return (row as JSON, whether it is deleted): the last of each key; without a key every row, and no deletions, which name none."""
    if not key:
        return [(row.value.decode(), False) for row in rows if row.value is not None]
    last = {row.key: row for row in rows if row.key is not None}
    return [(json.dumps(_key_of(row.key, key)), True) if row.value is None else (row.value.decode(), False) for row in last.values()]


def _key_of(text: str | None, key: Sequence[str]) -> dict[str, Any]:
    """Return the items of a record's key: plain text of one item, a JSON array of several."""
    return {key[0]: text} if len(key) == 1 else dict(zip(key, json.loads(text or "[]"), strict=True))


def _names(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
