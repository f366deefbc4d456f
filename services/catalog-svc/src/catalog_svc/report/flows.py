"""What flowed, each report by one query: duties against what came, and systems of which nothing comes or goes any more."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.report.store import OF, rows_of

# a duty speaks of the resource it names, else of its owner's resource of its name (sharing_list.store.lock_waiting)
_DUTIES = text(
    f"""
    SELECT e.entry_id, e.name AS entry_name, o.organization_id, o.name AS organization_name, o.uscc, o.level, e.status, e.due_on,
           r.resource_id, r.resource_code, r.name, r.published_at, m.kind AS mount_kind,
           a.first_accepted_at, a.accepted_at, a.batch_count, a.row_count,
           CASE WHEN r.resource_id IS NULL THEN 'unpublished' WHEN m.resource_id IS NULL THEN 'unmounted'
                WHEN CASE m.kind WHEN 'replica' THEN a.resource_id IS NOT NULL ELSE m.confirmed_at IS NOT NULL END THEN 'supplied'
                ELSE 'declared' END AS flow,
           e.due_on < CAST(:today AS date) AS is_past_due
    FROM list_entry e JOIN organization o USING (organization_id)
    LEFT JOIN LATERAL (
        SELECT * FROM resource r WHERE r.version > 0 AND r.withdrawn_at IS NULL AND (
            r.resource_id = e.resource_id
            OR (e.resource_id IS NULL AND r.organization_id = e.organization_id AND r.name_key = e.name_key)
        ) LIMIT 1
    ) r ON true
    LEFT JOIN mount m ON m.resource_id = r.resource_id
    LEFT JOIN resource_arrival a ON a.resource_id = r.resource_id
    WHERE e.kind = 'duty' AND e.status <> 'cancelled' AND {OF}
    ORDER BY o.uscc, e.due_on, e.name_key, e.entry_id
    """
)
_IDLE_SYSTEMS = text(
    f"""
    WITH flow AS (
        SELECT r.system_id, greatest(max(a.accepted_at), max(d.delivered_at), max(m.confirmed_at)) AS last_flow_at,
               count(*) FILTER (WHERE r.withdrawn_at IS NULL) AS resource_count
        FROM resource r
        LEFT JOIN resource_arrival a USING (resource_id)
        LEFT JOIN resource_outflow d USING (resource_id)
        LEFT JOIN mount m USING (resource_id)
        WHERE r.version > 0 GROUP BY r.system_id
    )
    SELECT s.system_id, s.name AS system_name, o.organization_id, o.name AS organization_name, o.uscc, o.level, s.state, s.registered_at,
           coalesce(flow.resource_count, 0)::int AS resource_count, flow.last_flow_at,
           CASE WHEN flow.last_flow_at IS NULL THEN 'never' ELSE 'ceased' END AS flow,
           extract(day FROM CAST(:now AS timestamptz) - coalesce(flow.last_flow_at, s.registered_at))::int AS idle_days
    FROM system s JOIN organization o USING (organization_id) LEFT JOIN flow USING (system_id)
    WHERE s.state <> 'retired' AND coalesce(flow.last_flow_at, s.registered_at) < CAST(:since AS timestamptz) AND {OF}
    ORDER BY (flow.last_flow_at IS NULL), idle_days DESC, o.uscc, s.name_key, s.system_id
    """
)


async def duties(tx: AsyncSession, *, of: UUID | None, today: date) -> Sequence[dict[str, Any]]:
    """Return each entry of the duty list that is not cancelled, with its resource in force and what came of it."""
    return await rows_of(tx, _DUTIES, of=of, today=today)


async def idle_systems(tx: AsyncSession, *, of: UUID | None, since: datetime, now: datetime) -> Sequence[dict[str, Any]]:
    """Return the systems that are not retired of which nothing came or went since then: batches, deliveries, calls, proxies.

    One of which nothing ever did is counted from its registration, and stands behind the others.
    """
    return await rows_of(tx, _IDLE_SYSTEMS, of=of, since=since, now=now)
