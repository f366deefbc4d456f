"""The api_call, api_hour and api_rate tables: each call, what became of it by the hour, and the calls of a minute."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, Index, delete, func, select, text
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from exchange_svc.api.questions import Counted, Withheld
from exchange_svc.rows import Base


class ApiCall(Base):
    """A call that is not among the hours yet. refused: the slug of the problem, null when it was answered."""

    __tablename__ = "api_call"
    call_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    grant_id: Mapped[UUID]
    api: Mapped[str]
    resource_id: Mapped[UUID]
    provider_id: Mapped[UUID]
    requester_id: Mapped[UUID]
    system_id: Mapped[UUID | None]
    subject: Mapped[str]
    refused: Mapped[str | None]
    row_count: Mapped[int]
    question_count: Mapped[int]
    called_at: Mapped[datetime]


class ApiHour(Base):
    """The calls of one hour by a grant, a system and a client. told_at: when the hour was told as it is, null while that is due."""

    __tablename__ = "api_hour"
    __table_args__ = (
        Index("ix_api_hour_resource", "resource_id", "hour"),
        Index("ix_api_hour_requester", "requester_id", "hour"),
        Index("ix_api_hour_untold", "hour", postgresql_where=text("told_at IS NULL")),
        Index("uq_api_hour", "hour", "grant_id", "api", "system_id", "subject", unique=True, postgresql_nulls_not_distinct=True),
    )
    hour_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    hour: Mapped[datetime]
    grant_id: Mapped[UUID]
    api: Mapped[str]
    resource_id: Mapped[UUID]
    provider_id: Mapped[UUID]
    requester_id: Mapped[UUID]
    system_id: Mapped[UUID | None]
    subject: Mapped[str]
    call_count: Mapped[int]
    refused_count: Mapped[int]
    row_count: Mapped[int]
    question_count: Mapped[int]
    last_called_at: Mapped[datetime]
    told_at: Mapped[datetime | None]


class ApiRate(Base):
    """How many calls of a minute a grant has used."""

    __tablename__ = "api_rate"
    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    minute: Mapped[datetime]
    used: Mapped[int]


class ApiCount(Base):
    """A count that a grant asked for on a day in China, as it was found first. asked: its conditions, sorted."""

    __tablename__ = "api_count"
    grant_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    asked: Mapped[list[str]]
    row_count: Mapped[int]
    withheld: Mapped[str | None]


_ENTER = text("""
    INSERT INTO api_call (grant_id, api, resource_id, provider_id, requester_id, system_id, subject, refused,
                          row_count, question_count, called_at)
    SELECT grant_id, :api, resource_id, provider_id, requester_id, CAST(:system_id AS uuid), :subject, CAST(:refused AS text),
           :row_count, :question_count, :called_at
    FROM "grant" WHERE grant_id = :grant_id AND (CAST(:mark AS text) IS NULL OR xmin::text = :mark)
    RETURNING call_id
""")
_TAKE = text("""
    INSERT INTO api_rate AS held (grant_id, minute, used) VALUES (:grant_id, :minute, 1)
    ON CONFLICT (grant_id) DO UPDATE
        SET used = CASE WHEN held.minute < excluded.minute THEN 1 ELSE held.used + 1 END, minute = greatest(held.minute, excluded.minute)
        WHERE held.minute < excluded.minute OR held.used < :most
    RETURNING used
""")
_ROLL_UP = text("""
    WITH taken AS (
        DELETE FROM api_call WHERE call_id IN (SELECT call_id FROM api_call ORDER BY call_id LIMIT :most FOR UPDATE SKIP LOCKED) RETURNING *
    ), hours AS (
        INSERT INTO api_hour AS held (hour, grant_id, api, resource_id, provider_id, requester_id, system_id, subject,
                                      call_count, refused_count, row_count, question_count, last_called_at)
        SELECT date_trunc('hour', called_at), grant_id, api, resource_id, provider_id, requester_id, system_id, subject,
               count(*) FILTER (WHERE refused IS NULL), count(refused), sum(row_count), sum(question_count), max(called_at)
        FROM taken GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 7, 8
        ON CONFLICT (hour, grant_id, api, system_id, subject) DO UPDATE
            SET call_count = held.call_count + excluded.call_count, refused_count = held.refused_count + excluded.refused_count,
                row_count = held.row_count + excluded.row_count, question_count = held.question_count + excluded.question_count,
                last_called_at = greatest(held.last_called_at, excluded.last_called_at), told_at = NULL
    )
    SELECT count(*) FROM taken
""")
_USED = """
    SELECT hour, grant_id, api, resource_id, provider_id, requester_id, system_id, subject,
           call_count, refused_count, row_count, question_count, last_called_at FROM api_hour
    UNION ALL
    SELECT date_trunc('hour', called_at), grant_id, api, resource_id, provider_id, requester_id, system_id, subject,
           (refused IS NULL)::int, (refused IS NOT NULL)::int, row_count, question_count, called_at FROM api_call
"""
_PERIODS = {
    "total": "''",
    "day": "to_char(hour AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD')",
    "hour": "to_char(hour AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD\"T\"HH24:MI:SS\"+08:00\"')",
}
_UNTOLD = text("""
    SELECT hour, grant_id, api, resource_id, provider_id, requester_id, g.requester AS requester,
           sum(call_count)::bigint AS call_count, sum(refused_count)::bigint AS refused_count, sum(row_count)::bigint AS row_count,
           sum(question_count)::bigint AS question_count, max(last_called_at) AS last_called_at,
           array_agg(DISTINCT system_id) FILTER (WHERE system_id IS NOT NULL) AS system_ids
    FROM api_hour u JOIN "grant" g USING (grant_id, resource_id, provider_id, requester_id)
    WHERE (hour, grant_id, api) IN (
        SELECT hour, grant_id, api FROM api_hour WHERE told_at IS NULL AND hour < :before GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT :most)
    GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 4, 1, 2, 3
""")
_TOLD = text("UPDATE api_hour SET told_at = :now WHERE told_at IS NULL AND hour = :hour AND grant_id = :grant_id AND api = :api")
LOCK = 0x64786170
"""The advisory lock of who makes hours of calls."""
COUNT_LOCK = 0x64786163
"""The advisory lock, together with a grant, of who asks for counts."""


async def enter(connection: AsyncConnection, grant_id: UUID, entry: Mapping[str, Any], *, mark: str | None) -> bool:
    """Enter a call by a grant; with a mark, only if the grant's row still has it. Return whether it was entered."""
    return (await connection.execute(_ENTER, {**entry, "grant_id": grant_id, "mark": mark})).first() is not None


async def take(tx: AsyncConnection | AsyncSession, grant_id: UUID, *, minute: datetime, limit: int) -> bool:
    """Use one call of a minute; return whether there was one left. A process whose clock is behind uses those of the minute begun."""
    return (await tx.execute(_TAKE, {"grant_id": grant_id, "minute": minute, "most": limit})).first() is not None


async def roll_up(tx: AsyncSession, *, most: int) -> int:
    """Make hours of at most so many calls; return how many they were. The sum of calls and hours is the same at every time."""
    return int((await tx.execute(_ROLL_UP, {"most": most})).scalar_one())


async def list_untold(tx: AsyncSession, *, before: datetime, most: int) -> Sequence[RowMapping]:
    """Return the hours that began before a time and were not told as they are: one row a grant and API."""
    return (await tx.execute(_UNTOLD, {"before": before, "most": most})).mappings().all()


async def note_told(tx: AsyncSession, rows: Sequence[RowMapping], *, now: datetime) -> None:
    """Note that hours are told as they are."""
    if rows:
        named = [{"now": now, "hour": row["hour"], "grant_id": row["grant_id"], "api": row["api"]} for row in rows]
        await (await tx.connection()).execute(_TOLD, named)


async def forget(tx: AsyncSession, *, before: datetime) -> None:
    """Remove hours whose time as records of use is over."""
    await tx.execute(delete(ApiHour).where(ApiHour.hour < before, ApiHour.told_at.is_not(None)))


async def list_usage(
    tx: AsyncSession,
    *,
    by: str,
    party: UUID | None,
    resource_id: UUID | None,
    requester_id: UUID | None,
    system_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
    after: str | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return what was called, latest periods first: one row a period, grant, API, system and client; its `place` is where lists go on.

    party: only where this organization called or provides; None for all. Calls and hours are read in one statement, so none is
    missed or counted twice while calls become hours.
    """
    asked: dict[str, tuple[str, Any]] = {
        "party": ("(used.provider_id = :party OR used.requester_id = :party)", party),
        "resource_id": ("used.resource_id = :resource_id", resource_id),
        "requester_id": ("used.requester_id = :requester_id", requester_id),
        "system_id": ("used.system_id = :system_id", system_id),
        "since": ("hour >= :since", since),
        "until": ("hour < :until", until),
    }
    given = {name: value for name, (_, value) in asked.items() if value is not None}
    where = " AND ".join(["true", *(asked[name][0] for name in given)])
    place = "concat_ws('/', period, grant_id, api, coalesce(system_id::text, '-'), subject)"
    query = f"""
        WITH used AS ({_USED}), summed AS (
            SELECT {_PERIODS[by]} AS period, grant_id, api, used.resource_id, used.provider_id, used.requester_id, system_id, subject,
                   sum(call_count)::bigint AS call_count, sum(refused_count)::bigint AS refused_count,
                   sum(row_count)::bigint AS row_count, sum(question_count)::bigint AS question_count,
                   max(last_called_at) AS last_called_at
            FROM used WHERE {where} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        ), placed AS (SELECT *, {place} COLLATE "C" AS place FROM summed)
        SELECT placed.*, r.scenario, r.purpose, r.legal_basis
        FROM placed JOIN "grant" g USING (grant_id) JOIN sharing_request r USING (request_id)
        WHERE CAST(:after AS text) IS NULL OR place < :after ORDER BY place DESC LIMIT :limit
    """
    return (await tx.execute(text(query), {**given, "after": after, "limit": limit})).mappings().all()


_APIS = text("""
    WITH api(api) AS (VALUES ('pull'), ('verify')), held AS (
        SELECT resource_id, m.api, count(*) AS holder_count,
               (jsonb_agg(jsonb_build_object(
                    'grant_id', grant_id, 'requester', requester, 'use_until', use_until, 'terms', terms, 'state', state)
                    ORDER BY activated_at DESC, grant_id)) AS holders
        FROM "grant" CROSS JOIN LATERAL (
            SELECT mode AS api FROM jsonb_array_elements_text(coalesce(terms -> 'modes', '["pull"]')) mode WHERE mode IN ('pull', 'verify')
        ) m
        WHERE state IN ('delivering', 'active', 'suspended') AND (use_until IS NULL OR use_until > :now)
              AND (CAST(:caller AS uuid) IS NULL OR requester_id = :caller OR provider_id = :caller)
              AND (CAST(:resource_id AS uuid) IS NULL OR resource_id = :resource_id)
        GROUP BY 1, 2
    )
    SELECT resource_id, api, r.snapshot, r.provider_id, coalesce(held.holder_count, 0) AS holder_count, held.holders,
           coalesce(m.kind = 'proxy' AND m.address IS NOT NULL AND m.confirmed_at IS NOT NULL, false) AS is_proxied,
           concat(resource_id, '/', api) COLLATE "C" AS place
    FROM resource r CROSS JOIN api LEFT JOIN held USING (resource_id, api) LEFT JOIN resource_mount m USING (resource_id)
    WHERE r.withdrawn_at IS NULL
          AND (CAST(:provider_id AS uuid) IS NULL OR r.provider_id = :provider_id)
          AND (CAST(:resource_id AS uuid) IS NULL OR resource_id = :resource_id)
          AND (CAST(:caller AS uuid) IS NULL OR r.provider_id = :caller OR held.holder_count > 0)
          AND (CAST(:after AS text) IS NULL OR concat(resource_id, '/', api) COLLATE "C" > :after)
    ORDER BY place LIMIT :limit
""")
_CALLS = text(f"""
    SELECT resource_id, api, sum(call_count)::bigint AS call_count, sum(refused_count)::bigint AS refused_count,
           max(last_called_at) AS last_called_at
    FROM ({_USED}) used
    WHERE resource_id = ANY(:resources) AND (CAST(:caller AS uuid) IS NULL OR requester_id = :caller OR provider_id = :caller)
    GROUP BY 1, 2
""")


async def list_apis(
    tx: AsyncSession,
    *,
    caller: UUID | None,
    provider_id: UUID | None,
    resource_id: UUID | None,
    now: datetime,
    after: str | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return APIs with the grants they may be called by: all of them when `caller` is None, else those it provides or may call."""
    asked = {"caller": caller, "provider_id": provider_id, "resource_id": resource_id, "now": now, "after": after, "limit": limit}
    return (await tx.execute(_APIS, asked)).mappings().all()


async def count_calls(tx: AsyncSession, resource_ids: Collection[UUID], *, caller: UUID | None) -> dict[tuple[UUID, str], RowMapping]:
    """Return the calls of resources' APIs ever: a provider's all, a requester's its own."""
    rows = (await tx.execute(_CALLS, {"resources": list(resource_ids), "caller": caller})).mappings()
    return {(row["resource_id"], row["api"]): row for row in rows}


async def lock_counts(tx: AsyncSession, grant_id: UUID, *, today: date) -> dict[frozenset[str], Counted]:
    """Return the counts that a grant asked for today, in their order; until the transaction ends it asks for no others."""
    await tx.execute(text("SELECT pg_advisory_xact_lock(:lock, hashtext(:grant))"), {"lock": COUNT_LOCK, "grant": str(grant_id)})
    rows = await tx.scalars(select(ApiCount).where(ApiCount.grant_id == grant_id, ApiCount.day == today).order_by(ApiCount.number))
    counted = [Counted(frozenset(row.asked), row.row_count, Withheld(row.withheld) if row.withheld else None) for row in rows]
    return {one.asked: one for one in counted}


async def put_counts(tx: AsyncSession, grant_id: UUID, counted: Sequence[Counted], *, today: date) -> None:
    """Keep what was asked for, for the rest of the day; call it under the lock of `lock_counts`."""
    before = await tx.scalar(select(func.count()).select_from(ApiCount).where(ApiCount.grant_id == grant_id, ApiCount.day == today))
    await tx.execute(delete(ApiCount).where(ApiCount.grant_id == grant_id, ApiCount.day < today))
    for number, one in enumerate(counted, (before or 0) + 1):
        row = {"asked": sorted(one.asked), "row_count": one.count, "withheld": one.withheld}
        tx.add(ApiCount(grant_id=grant_id, day=today, number=number, **row))
