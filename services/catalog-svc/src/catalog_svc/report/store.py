"""What is reported, each by one query over what is registered; "in force" is published and not withdrawn."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Index, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.resource.store import Resource

# counts and sums come from the index alone: a row of `resource` carries its definition and is far wider
Index(
    "resource_in_force",
    Resource.organization_id,
    Resource.system_id,
    Resource.sharing_type,
    Resource.item_count,
    Resource.shareable_item_count,
    postgresql_where=text("version > 0 AND withdrawn_at IS NULL"),
)
IN_FORCE = "version > 0 AND withdrawn_at IS NULL"
_LEDGER = text(
    f"""
    WITH held AS (
        SELECT organization_id, count(*) AS resources, sum(item_count) AS items, sum(shareable_item_count) AS shareable,
               count(*) FILTER (WHERE sharing_type <> 'NOT_SHARED') AS shared
        FROM resource WHERE {IN_FORCE} GROUP BY organization_id
    ), running AS (SELECT organization_id, count(*) AS systems FROM system GROUP BY organization_id)
    SELECT o.level, o.organization_id, o.name, o.uscc,
           count(*)::int AS organization_count,
           coalesce(sum(running.systems), 0)::int AS system_count,
           coalesce(sum(held.resources), 0)::int AS resource_count,
           coalesce(sum(held.shared), 0)::int AS shareable_resource_count,
           coalesce(sum(held.items), 0)::int AS item_count,
           coalesce(sum(held.shareable), 0)::int AS shareable_item_count
    FROM organization o
    LEFT JOIN held USING (organization_id)
    LEFT JOIN running USING (organization_id)
    GROUP BY GROUPING SETS ((o.level, o.organization_id, o.name, o.uscc), (o.level), ())
    ORDER BY array_position(ARRAY['nation', 'province', 'city', 'county'], o.level), o.uscc
    """
)
OF = "(CAST(:of AS uuid) IS NULL OR o.organization_id = CAST(:of AS uuid))"
"""Which organizations a reader gets."""
_COVERAGE = text(
    f"""
    SELECT s.system_id, s.name AS system_name, o.organization_id, o.name AS organization_name, o.uscc, o.level, s.registered_at,
           EXISTS (SELECT FROM resource r WHERE r.system_id = s.system_id AND {IN_FORCE}) AS is_covered
    FROM system s JOIN organization o USING (organization_id)
    WHERE s.state <> 'retired' AND {OF}
    ORDER BY o.uscc, s.name_key, s.system_id
    """
)
_ORPHANS = text(
    f"""
    SELECT 'resource' AS kind, r.resource_id AS id, r.name, o.organization_id, o.name AS organization_name,
           'its system belongs to another organization' AS reason
    FROM resource r JOIN system s USING (system_id) JOIN organization o ON o.organization_id = r.organization_id
    WHERE r.withdrawn_at IS NULL AND s.organization_id <> r.organization_id AND {OF}
    UNION ALL
    SELECT 'resource', r.resource_id, r.name, o.organization_id, o.name, 'the version in force is not kept'
    FROM resource r JOIN organization o USING (organization_id)
    WHERE {IN_FORCE} AND {OF}
      AND NOT EXISTS (SELECT FROM resource_version v WHERE v.resource_id = r.resource_id AND v.version = r.version)
    UNION ALL
    SELECT e.kind || ' list entry', e.entry_id, e.name, o.organization_id, o.name, 'the data resource it refers to is withdrawn'
    FROM list_entry e JOIN organization o USING (organization_id) JOIN resource r ON r.resource_id = e.resource_id
    WHERE r.withdrawn_at IS NOT NULL AND e.status NOT IN ('done', 'cancelled', 'lifted') AND {OF}
    ORDER BY 5, 1, 3, 2
    """
)
# as sharing_list.store.list_forbidding: the resource an entry names, else those of its system, else the one of its name
_BOUND = """
    r.organization_id = e.organization_id AND (
        r.resource_id = e.resource_id
        OR (e.resource_id IS NULL AND r.system_id = e.system_id)
        OR (e.resource_id IS NULL AND e.system_id IS NULL AND r.name_key = e.name_key)
    )
"""
_NON_SHARING = text(
    f"""
    SELECT r.resource_id, r.resource_code, r.name, o.organization_id, o.name AS organization_name, o.uscc, o.level,
           r.item_count, r.item_count - r.shareable_item_count AS not_shared_item_count,
           r.definition #>> '{{non_sharing_basis,kind}}' AS basis_kind,
           r.definition #>> '{{non_sharing_basis,title}}' AS basis_title,
           r.definition #>> '{{non_sharing_basis,article}}' AS basis_article,
           EXISTS (SELECT FROM list_entry e WHERE e.kind = 'negative' AND e.status = 'in_force' AND e.forbids = 'sharing' AND {_BOUND})
             AS is_on_negative_list
    FROM resource r JOIN organization o USING (organization_id)
    WHERE r.version > 0 AND r.withdrawn_at IS NULL AND r.sharing_type = 'NOT_SHARED'
    ORDER BY o.uscc, r.resource_code
    """
)
_NEGATIVE_LIST = text(
    f"""
    SELECT e.entry_id, e.name AS entry_name, o.organization_id, o.name AS organization_name, o.uscc, o.level, e.forbids,
           e.basis ->> 'kind' AS basis_kind, e.basis ->> 'title' AS basis_title, e.basis ->> 'article' AS basis_article, e.due_on,
           r.resource_id, r.resource_code, r.name, r.sharing_type, r.open_type,
           coalesce(CASE e.forbids WHEN 'sharing' THEN r.sharing_type <> 'NOT_SHARED' ELSE r.open_type <> 'CLOSED' END, false)
             AND (e.items = '[]' OR EXISTS (
                 SELECT FROM jsonb_array_elements(r.definition -> 'items') i WHERE e.items ? (i ->> 'code')
                 AND CASE e.forbids WHEN 'sharing' THEN i ->> 'sharing_type' <> 'NOT_SHARED' ELSE i ->> 'open_type' <> 'CLOSED' END
             )) AS is_breached
    FROM list_entry e JOIN organization o USING (organization_id)
    LEFT JOIN resource r ON r.version > 0 AND r.withdrawn_at IS NULL AND {_BOUND}
    WHERE e.kind = 'negative' AND e.status = 'in_force'
    ORDER BY is_breached DESC, o.uscc, e.name_key, e.entry_id, r.resource_code
    """
)
_OFF_CLOUD = text(
    f"""
    SELECT s.system_id, s.name AS system_name, o.organization_id, o.name AS organization_name, o.uscc, o.level, s.state, s.registered_at,
           CASE s.on_gov_cloud WHEN true THEN 'on' WHEN false THEN 'off' ELSE 'unsaid' END AS cloud,
           (SELECT p.reason FROM system_step p WHERE p.system_id = s.system_id AND p.state = 'in_service') AS reason
    FROM system s JOIN organization o USING (organization_id)
    WHERE s.state <> 'retired' AND s.kind = 'own' AND {OF}
    ORDER BY o.uscc, s.name_key, s.system_id
    """
)
_LAPSED_PAPERS = text(
    f"""
    SELECT o.organization_id, o.name AS organization_name, o.uscc, o.level, o.kind, owed.paper, owed.held ->> 'title' AS title,
           owed.held ->> 'number' AS number, CAST(owed.held ->> 'valid_until' AS date) AS valid_until,
           CASE WHEN owed.held IS NULL THEN 'missing' ELSE 'lapsed' END AS standing,
           CAST(:today AS date) - CAST(owed.held ->> 'valid_until' AS date) AS lapsed_days,
           (SELECT count(*) FROM resource r WHERE r.organization_id = o.organization_id AND {IN_FORCE})::int AS resource_count
    FROM organization o CROSS JOIN LATERAL (
        SELECT CASE o.kind WHEN 'public_utility' THEN 'licence' ELSE 'contract' END AS paper,
               CASE o.kind WHEN 'public_utility' THEN o.licence ELSE o.contract END AS held
    ) owed
    WHERE o.kind <> 'department' AND {OF}
      AND (owed.held IS NULL OR CAST(owed.held ->> 'valid_until' AS date) < CAST(:today AS date))
    ORDER BY resource_count DESC, o.uscc
    """
)
_DUPLICATES = text(
    f"""
    SELECT r.name_key, r.resource_id, r.resource_code, r.name, o.organization_id, o.name AS organization_name, o.uscc, o.level,
           twice.provider_count
    FROM resource r JOIN organization o USING (organization_id)
    JOIN (
        SELECT name_key, count(DISTINCT organization_id)::int AS provider_count FROM resource WHERE {IN_FORCE}
        GROUP BY name_key HAVING count(DISTINCT organization_id) > 1
    ) twice USING (name_key)
    WHERE r.version > 0 AND r.withdrawn_at IS NULL
    ORDER BY r.name_key, o.uscc, r.resource_id
    """
)


async def ledger(tx: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return the ledger in one query: a line a department, a line a level (organization_id null), one for all (level null too)."""
    return await rows_of(tx, _LEDGER)


async def coverage(tx: AsyncSession, *, of: UUID | None) -> Sequence[dict[str, Any]]:
    """Return every system that is not retired, with whether a resource in force hangs on it."""
    return await rows_of(tx, _COVERAGE, of=of)


async def orphans(tx: AsyncSession, *, of: UUID | None) -> Sequence[dict[str, Any]]:
    """Return what hangs on nothing: resources without a system of their provider or a kept version, entries of resources that are gone."""
    return await rows_of(tx, _ORPHANS, of=of)


async def non_sharing(tx: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return the resources in force that are not shared, with the basis each cites."""
    return await rows_of(tx, _NON_SHARING)


async def negative_list(tx: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return each entry of the negative list in force with every resource in force that it binds, those that break it ahead."""
    return await rows_of(tx, _NEGATIVE_LIST)


async def off_cloud(tx: AsyncSession, *, of: UUID | None) -> Sequence[dict[str, Any]]:
    """Return the organizations' own systems that are not retired, with whether they are on the government cloud."""
    return await rows_of(tx, _OFF_CLOUD, of=of)


async def lapsed_papers(tx: AsyncSession, *, of: UUID | None, today: date) -> Sequence[dict[str, Any]]:
    """Return the public utilities without a licence and the social bodies without a contract that is good today."""
    return await rows_of(tx, _LAPSED_PAPERS, of=of, today=today)


async def duplicates(tx: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return the resources in force whose name, as names are compared, several providers have."""
    return await rows_of(tx, _DUPLICATES)


async def rows_of(tx: AsyncSession, query: TextClause, **given: Any) -> Sequence[dict[str, Any]]:
    """Return the rows of a report's query."""
    return [dict(row) for row in (await tx.execute(query, given)).mappings()]
