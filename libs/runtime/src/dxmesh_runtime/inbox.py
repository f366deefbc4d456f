"""The inbox: each event id takes effect once per consumer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime.outbox import metadata

inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("claimed_at", DateTime(timezone=True), nullable=False, index=True),
    PrimaryKeyConstraint("consumer", "event_id"),
)
_CLAIM = text(
    "INSERT INTO inbox (consumer, event_id, claimed_at) SELECT :consumer, id, :now FROM unnest(CAST(:ids AS uuid[])) AS id "
    "ON CONFLICT DO NOTHING RETURNING event_id"
)


async def claim(tx: AsyncSession, consumer: str, event_ids: Sequence[UUID], *, now: datetime) -> set[UUID]:
    """Claim event ids for a consumer in the transaction of their effect; return those not claimed before."""
    result = await tx.execute(_CLAIM, {"consumer": consumer, "now": now, "ids": list(event_ids)})
    return set(result.scalars())


def create_v1(op: Any) -> None:
    """Create the table (called by a service's first migration)."""
    op.create_table(
        "inbox",
        Column("consumer", Text, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("claimed_at", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("consumer", "event_id"),
    )
    op.create_index("ix_inbox_claimed_at", "inbox", ["claimed_at"])
