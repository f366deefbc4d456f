"""The requester's database: met at an address that was looked at; its table made or looked at; rows and place in one transaction."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dxmesh_runtime.db import utc_now
from exchange_svc.destinations import Network, is_allowed, resolve
from exchange_svc.sink import domain
from exchange_svc.sink.bounded import Bounded
from exchange_svc.sink.domain import Column, Held, Target
from exchange_svc.sink.errors import DatabaseAway, TableUnfit
from exchange_svc.subscription.domain import Place, Row
from exchange_svc.subscription.errors import SubscriptionInvalid

AWAY = (
    OSError,
    TimeoutError,
    ssl.SSLError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What may pass by itself, or be put right at the database without the subscription being touched."""

_MOST_NAME = 63  # characters of a name in PostgreSQL; a server that is none may send any number
_MARKS = "marks"  # beside the partitions, as a column more would have every requester change its table
_HELD = """
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS kind,
       CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS length,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AS is_needed
FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
"""
_UNIQUE = """
SELECT array_agg(a.attname) AS names FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = $1::oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate GROUP BY i.indexrelid
"""

_LACKING = """
SELECT name FROM unnest($1::text[]) AS name
WHERE NOT CASE name WHEN 'DELETE' THEN has_table_privilege($2, name) ELSE has_any_column_privilege($2, name) END
UNION ALL SELECT 'TEMPORARY' WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
"""
_NAMED = """
SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = ANY ($2::text[]) AND NOT attisdropped
"""


class _Named(ssl.SSLContext):
    """A context that checks the certificate for the host's name, though the connection goes to the address that was looked at."""

    name: str

    def wrap_bio(self, *given: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*given, **{**options, "server_hostname": self.name})


@dataclass(frozen=True, slots=True)
class Shape:
    """What rows need of a table."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]


@asynccontextmanager
async def connected(target: Target, allowed: Sequence[Network], seconds: float) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection. Raises: DestinationUnknown, DestinationRefused, SubscriptionInvalid (422); what is in AWAY."""
    address = await resolve(target.host, target.port, allowed)
    if target.tls != "verify-full" and not is_allowed(address, allowed):
        detail = f"has sslmode={target.tls}; outside the networks this node's operator allowed, only verify-full is taken"
        raise SubscriptionInvalid.at("/url", detail)
    connection = await asyncpg.connect(
        host=str(address),
        port=target.port,
        user=target.user,
        password=target.password,
        database=target.database,
        ssl=_context(target),
        loop=Bounded(seconds),
        timeout=seconds,
        command_timeout=seconds,
        server_settings={"application_name": "dxmesh", "lock_timeout": str(int(seconds * 500)), "TimeZone": "UTC", "DateStyle": "ISO"},
    )
    try:
        yield connection
    finally:
        connection.terminate()


def _context(target: Target) -> ssl.SSLContext | bool:
    if target.tls == "disable":
        return False
    context = _Named(ssl.PROTOCOL_TLS_CLIENT)
    context.name = target.host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if target.tls == "verify-full":
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def prepare(connection: asyncpg.Connection, target: Target, shape: Shape, *, may_create: bool) -> None:
    """Make the table if it may be made and is not there, look whether rows fit, and make the table of places.

    Raises: TableUnfit (422) naming each column that differs, and what the user may not do.
    """
    try:
        if may_create and not await _is_there(connection, domain.full(target)):  # one that is there needs no right to make tables
            await connection.execute(domain.create(target, shape.columns, shape.key))
        await check(connection, target, shape)
        if not await _is_there(connection, f"{domain.quoted(target.schema_name)}.{domain.PLACE}"):
            await connection.execute(domain.create_place(target))
        for table, names in domain.rights(target, shape.key).items():
            if lacking := [row["name"] for row in await connection.fetch(_LACKING, list(names), table)]:
                raise unfit(f"{target.user} may not {', '.join(lacking)} on {table}; run: {domain.let(target, shape.key)}")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError, asyncpg.DuplicateObjectError) as refused:
        wanted = f"{domain.create_place(target)}; {domain.let(target, shape.key)}"
        raise unfit(f"the database refuses: {say(refused)}; let {target.user} create, or run: {wanted}") from refused


async def _is_there(connection: asyncpg.Connection, table: str) -> bool:
    return await connection.fetchval("SELECT to_regclass($1)", table) is not None


async def check(connection: asyncpg.Connection, target: Target, shape: Shape) -> None:
    """Look whether rows fit a table. Raises: TableUnfit (422)."""
    oid = await connection.fetchval("SELECT to_regclass($1)::oid", domain.full(target))
    if oid is None:
        wanted = domain.create(target, shape.columns, shape.key)
        raise unfit(f"there is no table {domain.full(target)}; make it, or ask for it with `create`: {wanted}")
    held = {row["name"]: Held(row["name"], row["kind"], row["length"], row["is_needed"]) for row in await connection.fetch(_HELD, oid)}
    unique = [row["names"] for row in await connection.fetch(_UNIQUE, oid)]
    found = domain.faults(shape.columns, held, shape.key, unique)
    if found:
        told = "; ".join(f"column {name} {why}" for name, why in found)
        errors = [{"pointer": f"/table/{name}", "detail": why} for name, why in found]
        raise TableUnfit(f"{domain.full(target)} cannot hold the rows: {told}", errors=errors)


def unfit(detail: str) -> TableUnfit:
    """Return the problem of a table that is not there or may not be used."""
    return TableUnfit.at("/table", detail)


async def place_of(connection: asyncpg.Connection, target: Target, subscription_id: UUID, epoch: int) -> Place | None:
    """Return how far the table is, as it says itself; None before its first rows, and after a replay. Raises: TableUnfit (422)."""
    query = f"SELECT epoch, topic, offsets FROM {domain.quoted(target.schema_name)}.{domain.PLACE} WHERE subscription_id = $1"  # quoted
    row = await connection.fetchrow(query, subscription_id)
    if row is None or row["epoch"] != epoch:
        return None
    try:
        offsets = json.loads(row["offsets"])
        return Place(topic=row["topic"], marks=offsets.pop(_MARKS, {}), offsets=offsets)
    except (AttributeError, KeyError, TypeError, ValueError) as changed:
        detail = f"{domain.quoted(target.schema_name)}.{domain.PLACE} is not as this node left it: empty the table and it, and replay"
        raise unfit(detail) from changed


async def keep(
    connection: asyncpg.Connection,
    target: Target,
    shape: Shape,
    rows: Sequence[Row],
    *,
    emptied: Sequence[str],
    subscription_id: UUID,
    epoch: int,
    before: Place | None,
    behind: Place,
) -> bool:
    """Bring rows to the table and move its place on, both or neither; false when another worker was there first.

    before: the place as the table said it; None when it said none for this epoch. emptied: columns whose items are granted no more.
    """
    places = f"{domain.quoted(target.schema_name)}.{domain.PLACE}"
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('dxmesh ' || $1, 0))", str(subscription_id))
        if await place_of(connection, target, subscription_id, epoch) != before:
            return False
        if named := [row["name"] for row in await connection.fetch(_NAMED, domain.full(target), list(emptied))]:
            await connection.execute(domain.empty(target, named))
        await connection.execute(f"CREATE TEMP TABLE {domain.ROWS} (value text, gone boolean) ON COMMIT DROP")
        await connection.copy_records_to_table(domain.ROWS, records=domain.copied(rows, shape.key), columns=["value", "gone"])
        await connection.execute(domain.apply(target, shape.columns, shape.key))
        await connection.execute(
            f"""INSERT INTO {places} AS p VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subscription_id) DO UPDATE
            SET epoch = EXCLUDED.epoch, topic = EXCLUDED.topic, offsets = EXCLUDED.offsets,
            row_count = p.row_count + EXCLUDED.row_count, changed_at = EXCLUDED.changed_at""",
            subscription_id,
            epoch,
            behind.topic,
            json.dumps({**behind.offsets, _MARKS: behind.marks}),
            len(rows),
            utc_now(),
        )
    return True


def say(error: BaseException) -> str:
    """Return what the database said, without any value of a row and without what it was entered with."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncpg.PostgresError):
        told = ((name, getattr(error, name, None)) for name in ("table_name", "column_name", "constraint_name"))
        named = [f"{name} {str(value)[:_MOST_NAME]}" for name, value in told if value]
        return " ".join([f"{type(error).__name__} ({error.sqlstate})", *named])
    if isinstance(error, ConnectionError) and "rejected SSL" in str(error):  # the words of asyncpg, which has no type for it
        return "it offers no TLS: let it, or write ?sslmode=disable where the node's operator allows that"
    return type(error).__name__ + (f": {error.strerror}" if isinstance(error, OSError) and error.strerror else "")


def away(error: BaseException) -> DatabaseAway:
    """Return the problem of a database that could not be entered."""
    detail = f"the database cannot be entered: {say(error)}; look at host, port, user, password, database and sslmode"
    return DatabaseAway.at("/url", detail)
