"""The reading and subscriber_behind tables; who subscribes; and what of views was not had."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, delete, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.paging import newest_first
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.catalog.store import Resource
from exchange_svc.grant.domain import IN_FORCE
from exchange_svc.grant.store import Grant, View
from exchange_svc.lag.domain import MOST_BATCHES, Span, Unread
from exchange_svc.rows import Base
from exchange_svc.subscription import domain as subscriptions
from exchange_svc.subscription.domain import Place
from exchange_svc.subscription.store import Subscription


class Reading(Base):
    """How far a requester read by pull, or fetched packages. name: of the system that calls, or of the subscription.

    place: `subscription.domain.Place`, of changes; sequence: of the last batch in the rows.
    """

    __tablename__ = "reading"
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"), primary_key=True)
    mode: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    place: Mapped[dict[str, Any]]
    read_at: Mapped[datetime]


class Behind(Base):
    """A subscriber that was told to be behind, until it is told to have caught up."""

    __tablename__ = "subscriber_behind"
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.grant_id"), primary_key=True)
    mode: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    told_at: Mapped[datetime]

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells it from the others of its grant."""
        return (self.mode, self.name)


@dataclass(frozen=True, slots=True)
class Held:
    """A grant in force, the view it reads, and its resource as it is now."""

    grant: Grant
    view: View
    resource: Resource


_ENTRY = insert(Reading)
_NOTE = _ENTRY.on_conflict_do_update(
    index_elements=["grant_id", "mode", "name"],
    set_={
        "sequence": func.greatest(Reading.sequence, _ENTRY.excluded.sequence),  # an older package may be fetched behind a newer one
        "place": _ENTRY.excluded.place,
        "read_at": _ENTRY.excluded.read_at,
    },
    where=or_(
        Reading.sequence < _ENTRY.excluded.sequence,
        Reading.place != _ENTRY.excluded.place,
        Reading.read_at < _ENTRY.excluded.read_at - timedelta(minutes=1),  # who asks again and again is not written each time
    ),
)
_UNREAD = text(f"""
    WITH asked AS MATERIALIZED (
        SELECT asked.*, (SELECT max(sequence) FROM delivery WHERE view_id = asked.view_id) AS newest,
               EXISTS (
                   SELECT FROM view_end CROSS JOIN LATERAL jsonb_each_text(ends) AS last(partition, "offset")
                   WHERE view_id = asked.view_id
                         AND last."offset"::bigint >= coalesce((asked.offsets ->> last.partition)::bigint, 0)
               ) AS may_be_unread
        FROM jsonb_to_recordset(CAST(:asked AS jsonb))
             AS asked(number int, view_id uuid, resource_id uuid, sequence bigint, offsets jsonb, since timestamptz)
    )
    SELECT number, false AS is_coming, count(*) AS batch_count, sum(of_rows.row_count)::bigint AS row_count, min(completed_at) AS oldest_at
    FROM asked CROSS JOIN LATERAL (
        SELECT ranges, completed_at FROM delivery
        WHERE view_id = asked.view_id AND delivery.sequence > asked.sequence AND (since IS NULL OR completed_at >= since)
        ORDER BY delivery.sequence DESC LIMIT {MOST_BATCHES}
    ) AS delivered CROSS JOIN LATERAL (
        SELECT sum((part ->> 2)::bigint - greatest((part ->> 1)::bigint, coalesce((asked.offsets ->> (part ->> 0))::bigint, 0)) + 1)
               AS row_count
        FROM jsonb_array_elements(ranges) AS part
        WHERE (part ->> 2)::bigint >= coalesce((asked.offsets ->> (part ->> 0))::bigint, 0)
    ) AS of_rows
    WHERE may_be_unread AND of_rows.row_count > 0 GROUP BY number
    UNION ALL
    SELECT number, true, count(*), sum(accepted_count)::bigint, min(assessed_at)
    FROM asked CROSS JOIN LATERAL (
        SELECT accepted_count, assessed_at FROM batch
        WHERE resource_id = asked.resource_id AND batch.sequence > greatest(coalesce(newest, 0), asked.sequence)
        ORDER BY batch.sequence DESC LIMIT {MOST_BATCHES}
    ) AS coming
    GROUP BY number
""")  # made of this module's own words


async def note_read(
    tx: AsyncSession | AsyncConnection, grant_id: UUID, mode: Mode, name: str, *, sequence: int, place: Place, now: datetime
) -> None:
    """Note how far a grant was read by a way."""
    values = {"sequence": sequence, "place": place.model_dump(mode="json"), "read_at": now}
    await tx.execute(_NOTE, {"grant_id": grant_id, "mode": mode, "name": name, **values})


async def list_held(
    tx: AsyncSession,
    *,
    organization_id: UUID | None = None,
    resource_id: UUID | None = None,
    grant_id: UUID | None = None,
    taxonomy: str | None = None,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    now: datetime,
) -> Sequence[Held]:
    """Return grants in force that an organization gave or holds (all of them when None), newest first."""
    query = (
        select(Grant, View, Resource)
        .join(View, View.view_id == Grant.view_id)
        .join(Resource, Resource.resource_id == Grant.resource_id)
        .where(*_in_force(now))
    )
    if organization_id is not None:
        query = query.where(or_(Grant.requester_id == organization_id, Grant.provider_id == organization_id))
    if resource_id is not None:
        query = query.where(Grant.resource_id == resource_id)
    if grant_id is not None:
        query = query.where(Grant.grant_id == grant_id)
    if taxonomy is not None:
        query = query.where(Resource.snapshot["taxonomies"].contains([taxonomy]))
    rows = await tx.execute(newest_first(query, Grant.activated_at, Grant.grant_id, limit=limit, after=after))
    return [Held(*row) for row in rows]


def _in_force(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Grant.state.in_(IN_FORCE), or_(Grant.use_until.is_(None), Grant.use_until > now)


async def lock_in_force(tx: AsyncSession, grant_ids: Collection[UUID], *, now: datetime) -> Sequence[Grant]:
    """Return those of some grants that are in force and that nobody else works on, their rows held until the transaction ends."""
    if not grant_ids:
        return []
    query = select(Grant).where(Grant.grant_id.in_(grant_ids), *_in_force(now)).order_by(Grant.grant_id)
    return (await tx.scalars(query.with_for_update(skip_locked=True).execution_options(populate_existing=True))).all()


async def list_behind(tx: AsyncSession, grant_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Behind]]:
    """Return the subscribers of grants that were told to be behind."""
    found: dict[UUID, list[Behind]] = {}
    for row in await tx.scalars(select(Behind).where(Behind.grant_id.in_(grant_ids))):
        found.setdefault(row.grant_id, []).append(row)
    return found


async def forget_ended(tx: AsyncSession, *, now: datetime) -> None:
    """Forget who was behind by grants that are over."""
    ended = select(Grant.grant_id).where(Grant.grant_id == Behind.grant_id, *_in_force(now)).exists()
    await tx.execute(delete(Behind).where(~ended))


async def list_subscriptions(tx: AsyncSession, grant_ids: Collection[UUID]) -> Sequence[Subscription]:
    """Return the subscriptions of grants that are not ended, oldest first."""
    query = select(Subscription).where(Subscription.grant_id.in_(grant_ids), Subscription.state != subscriptions.State.ENDED)
    return (await tx.scalars(query.order_by(Subscription.created_at, Subscription.subscription_id))).all()


async def list_readings(tx: AsyncSession, grant_ids: Collection[UUID]) -> Sequence[Reading]:
    """Return how far grants were read by pull and by packages."""
    query = select(Reading).where(Reading.grant_id.in_(grant_ids))
    return (await tx.scalars(query.order_by(Reading.grant_id, Reading.mode, Reading.name))).all()


async def resources_of_views(tx: AsyncSession, view_ids: Collection[UUID]) -> Mapping[UUID, UUID]:
    """Return the resource of each view."""
    rows = await tx.execute(select(View.view_id, View.resource_id).where(View.view_id.in_(view_ids)))
    return {row[0]: row[1] for row in rows}


async def unread(tx: AsyncSession, spans: Sequence[tuple[Span, UUID]]) -> Sequence[tuple[Unread, Unread]]:
    """Return for each span what of its view is on the topic and was not had, and what is accepted and not yet there.

    Told by what each delivery wrote where, so markers of transactions count as nothing; a view that ends everywhere below the offsets
    costs one look. The resource beside a span is its view's.
    """
    asked = [
        {
            "number": number,
            "view_id": str(span.view_id),
            "resource_id": str(resource_id),
            "sequence": span.sequence,
            "offsets": {str(partition): offset for partition, offset in span.offsets.items()},
            "since": None if span.since is None else span.since.isoformat(),
        }
        for number, (span, resource_id) in enumerate(spans)
    ]
    found: dict[tuple[int, bool], Unread] = {}
    if asked:
        for row in await tx.execute(_UNREAD, {"asked": json.dumps(asked)}):
            found[row.number, row.is_coming] = Unread(row.batch_count, row.row_count, row.oldest_at, row.batch_count >= MOST_BATCHES)
    return [(found.get((number, False), Unread()), found.get((number, True), Unread())) for number in range(len(spans))]
