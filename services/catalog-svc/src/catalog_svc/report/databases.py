"""What base databases, domain warehouses and theme databases hold, and what leads back to base data, each report by one query."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.report.store import IN_FORCE, rows_of

# a resource counts once for a database, also when it belongs to several that stand under it
_TAXONOMIES = text(
    f"""
    WITH RECURSIVE below AS (
        SELECT taxonomy_id AS top, taxonomy_id, code FROM taxonomy
        UNION ALL
        SELECT below.top, t.taxonomy_id, t.code FROM taxonomy t JOIN below ON t.parent_id = below.taxonomy_id
    ), member AS (
        SELECT resource_id, organization_id, item_count, shareable_item_count, unnest(taxonomies) AS code FROM resource WHERE {IN_FORCE}
    ), held AS (
        SELECT DISTINCT below.top, m.resource_id, m.organization_id, m.item_count, m.shareable_item_count
        FROM below JOIN member m USING (code)
    ), counted AS (
        SELECT held.top, count(*) AS resources, count(DISTINCT held.organization_id) AS providers, sum(held.item_count) AS items,
               sum(held.shareable_item_count) AS shareable, count(mount.resource_id) AS mounted,
               count(*) FILTER (WHERE (mount.kind = 'replica' AND a.resource_id IS NOT NULL)
                                   OR (mount.kind = 'proxy' AND mount.confirmed_at IS NOT NULL)) AS supplied
        FROM held LEFT JOIN mount USING (resource_id) LEFT JOIN resource_arrival a USING (resource_id) GROUP BY held.top
    )
    SELECT t.taxonomy_id, t.kind AS taxonomy_kind, t.code, t.name, above.code AS parent_code,
           t.lead_organization_id, o.name AS lead_name,
           coalesce(c.providers, 0)::int AS provider_count,
           coalesce(c.resources, 0)::int AS resource_count,
           coalesce(c.items, 0)::int AS item_count,
           coalesce(c.shareable, 0)::int AS shareable_item_count,
           coalesce(c.mounted, 0)::int AS mounted_count,
           coalesce(c.supplied, 0)::int AS supplied_count,
           t.retired_at IS NOT NULL AS is_retired
    FROM taxonomy t
    LEFT JOIN taxonomy above ON above.taxonomy_id = t.parent_id
    LEFT JOIN organization o ON o.organization_id = t.lead_organization_id
    LEFT JOIN counted c ON c.top = t.taxonomy_id
    WHERE t.retired_at IS NULL OR c.resources > 0
    ORDER BY array_position(ARRAY['base', 'domain', 'theme'], t.kind), t.code_key
    """
)
# from the base databases downwards, so that each resource is reached once; UNION without ALL ends also where a loop is kept
_LINEAGE = text(
    f"""
    WITH RECURSIVE named AS (
        SELECT coalesce(array_agg(code) FILTER (WHERE kind = 'base'), '{{}}') AS base,
               coalesce(array_agg(code) FILTER (WHERE kind = 'theme'), '{{}}') AS theme
        FROM taxonomy
    ), based AS (
        (
            SELECT resource_id FROM resource, named WHERE version > 0 AND taxonomies && named.base
            UNION
            SELECT e.resource_id FROM lineage_edge e JOIN taxonomy t ON t.taxonomy_id = e.source_taxonomy_id WHERE t.kind = 'base'
        )
        UNION
        SELECT e.resource_id FROM lineage_edge e JOIN based ON based.resource_id = e.source_resource_id
    ), derived AS (
        SELECT r.resource_id, coalesce(said.source_count, 0) AS source_count, based.resource_id IS NOT NULL AS has_base
        FROM resource r CROSS JOIN named
        LEFT JOIN (SELECT resource_id, count(*)::int AS source_count FROM lineage_edge GROUP BY resource_id) said USING (resource_id)
        LEFT JOIN based USING (resource_id)
        WHERE {IN_FORCE} AND (r.taxonomies && named.theme OR said.source_count > 0)
    )
    SELECT r.resource_id, r.resource_code, r.name, o.organization_id, o.name AS organization_name, o.uscc, o.level,
           CASE WHEN NOT derived.has_base THEN (
               SELECT string_agg(t.name, '、' ORDER BY t.code_key) FROM taxonomy t WHERE t.kind = 'theme' AND t.code = ANY (r.taxonomies)
           ) END AS theme_names,
           derived.source_count, derived.has_base
    FROM derived JOIN resource r USING (resource_id) JOIN organization o USING (organization_id)
    ORDER BY o.uscc, r.resource_code
    """
)


async def taxonomies(tx: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return for each base database, domain warehouse and theme database what belongs to it or to one below it, and how far it came."""
    return await rows_of(tx, _TAXONOMIES)


async def lineage(tx: AsyncSession) -> Sequence[dict[str, Any]]:
    """Return the derived resources in force: members of a theme database and those that say sources; and which lead to a base database.

    One leads there when it, or what it comes from over any number of steps, belongs to a base database or names one as its source.
    """
    return await rows_of(tx, _LINEAGE)
