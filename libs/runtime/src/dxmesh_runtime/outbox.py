"""The outbox: an event is written in the transaction of the state it tells of; the relay carries it to Kafka."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid, insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.db import uuid7
from dxmesh_runtime.telemetry import current_traceparent
from dxmesh_schemas.event import Event, Meta
from dxmesh_schemas.problem import TooLarge

CHANNEL = "outbox"
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
metadata = MetaData()
outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("event_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("subject", Text),
    Column("traceparent", Text),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("published_at", DateTime(timezone=True)),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Index("outbox_pending", "seq", postgresql_where=text("published_at IS NULL")),
    Index("outbox_place", "topic", "partition", "offset", postgresql_where=text("published_at IS NOT NULL")),
)

ENTRY = ("event_id", "event_type", "source", "topic", "key", "subject", "traceparent", "payload", "created_at")
"""The columns of a row as it is written; the relay fills in the others."""

_WRITE = insert(outbox)


class EventTooLarge(TooLarge):
    """An event's payload is beyond what a record may hold."""

    slug, title = "event-too-large", "The change is too large for one event"


async def add(tx: AsyncSession, event: Event, *, now: datetime, subject: str | None = None) -> Meta:
    """Write an event into the caller's transaction; call it after the aggregate's row is locked, so order per key holds.

    Raises: EventTooLarge (413) beyond 4 MiB.
    """
    return (await add_all(tx, [event], now=now, subject=subject))[0]


async def add_all(tx: AsyncSession, events: Sequence[Event], *, now: datetime, subject: str | None = None) -> list[Meta]:
    """Write events, in their order, with one statement. Raises: EventTooLarge (413)."""
    entries = [entry(event, now=now, subject=subject) for event in events]
    await write(tx, [row for _, row in entries])
    return [meta for meta, _ in entries]


async def write(tx: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows made by `entry`, in their order, with one statement; each may belong to a trace of its own."""
    if rows:
        await tx.execute(_WRITE, rows)


def entry(event: Event, *, now: datetime, subject: str | None = None) -> tuple[Meta, dict[str, Any]]:
    """Return an event's context and its row, to be written with others, in the current trace. Raises: EventTooLarge (413)."""
    payload = event.encode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EventTooLarge(f"{event.TYPE} has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are sent: split the change")
    meta = Meta(uuid7(), event.TYPE, event.SOURCE, now, subject, current_traceparent())
    return meta, {
        "event_id": meta.event_id,
        "event_type": event.TYPE,
        "source": event.SOURCE,
        "topic": event.TOPIC,
        "key": event.key,
        "subject": subject,
        "traceparent": meta.traceparent,
        "payload": payload,
        "created_at": now,
    }


_NOTIFY = f"""
CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('{CHANNEL}', ''); RETURN NULL; END $$;
"""


def create_v1(op: Any) -> None:
    """Create the table and the trigger that wakes the relay (called by a service's first migration)."""
    op.create_table(
        "outbox",
        Column("seq", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("event_type", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("subject", Text),
        Column("traceparent", Text),
        Column("payload", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("published_at", DateTime(timezone=True)),
        Column("partition", Integer),
        Column("offset", BigInteger),
    )
    op.create_index("outbox_pending", "outbox", ["seq"], postgresql_where=text("published_at IS NULL"))
    op.create_index("outbox_place", "outbox", ["topic", "partition", "offset"], postgresql_where=text("published_at IS NOT NULL"))
    op.execute(_NOTIFY)
    op.execute("CREATE TRIGGER outbox_added AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify()")
