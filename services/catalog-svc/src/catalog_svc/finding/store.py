"""What the search index is made of, read from PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, func, select, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased
from sqlalchemy.types import Uuid

from catalog_svc.finding.entry import Entry, Organization, Taxonomy
from catalog_svc.organization.store import Organization as OrganizationRow
from catalog_svc.resource.store import Resource
from catalog_svc.taxonomy.store import Taxonomy as TaxonomyRow

CHANNEL = "finding"
"""Where triggers say the id of every resource and organization that changed, and `taxonomy` when an entry of one did."""
TAXONOMY = "taxonomy"

_shown = case((Resource.version > 0, Resource.definition), else_=Resource.draft)


def _texts(path: str) -> Any:
    return func.jsonb_path_query_array(_shown, type_coerce(path, JSONPATH), type_=JSONB)


_ENTRIES = (
    select(
        Resource.resource_id,
        Resource.revision,
        Resource.state,
        Resource.version,
        Resource.system_id,
        Resource.resource_code,
        Resource.update_cycle,
        Resource.item_count,
        Resource.shareable_item_count,
        Resource.published_at,
        Resource.name,
        Resource.summary,
        Resource.sharing_type,
        Resource.open_type,
        Resource.taxonomies,
        _shown["class_path"].astext.label("class_path"),
        _shown["format_class"].astext.label("format"),
        _shown["open_theme"].astext.label("theme"),
        _texts("$.items[*].code").label("codes"),
        _texts("$.items[*].name").label("names"),
        OrganizationRow.organization_id,
        OrganizationRow.uscc,
        OrganizationRow.name.label("organization_name"),
        OrganizationRow.division_code,
        OrganizationRow.level,
    )
    .join(OrganizationRow, OrganizationRow.organization_id == Resource.organization_id)
    .where(Resource.withdrawn_at.is_(None), _shown.is_not(None))
    .where(Resource.resource_id == func.any(bindparam("ids", type_=ARRAY(Uuid()))))
)
_REVISIONS = select(Resource.resource_id, Resource.revision).where(Resource.withdrawn_at.is_(None))


async def revisions(connection: AsyncConnection) -> dict[UUID, int]:
    """Return the revision of every resource that is not withdrawn."""
    return {row.resource_id: row.revision for row in await connection.execute(_REVISIONS)}


async def resources_of(connection: AsyncConnection, organization_ids: Collection[UUID]) -> Sequence[UUID]:
    """Return the ids of the resources of these organizations."""
    query = select(Resource.resource_id).where(Resource.organization_id.in_(organization_ids))
    return (await connection.scalars(query)).all()


async def organizations(connection: AsyncConnection) -> dict[UUID, Organization]:
    """Return every organization as results show it."""
    row = OrganizationRow
    query = select(row.organization_id, row.uscc, row.name, row.division_code, row.level)
    return {found.organization_id: Organization(*found) for found in await connection.execute(query)}


async def taxonomies(connection: AsyncConnection) -> dict[str, Taxonomy]:
    """Return every entry of a taxonomy by its code, retired ones too: they keep their members."""
    parent = aliased(TaxonomyRow)
    query = select(TaxonomyRow.code, TaxonomyRow.name, parent.code).outerjoin(parent, parent.taxonomy_id == TaxonomyRow.parent_id)
    return {code: Taxonomy(code, name, above) for code, name, above in await connection.execute(query)}


async def entries(connection: AsyncConnection, ids: Collection[UUID]) -> list[Entry]:
    """Return those of these resources that can be found: neither withdrawn nor without an entry."""
    return [_entry(row) for row in await connection.execute(_ENTRIES, {"ids": list(ids)})]


def _entry(row: Any) -> Entry:
    return Entry(
        resource_id=row.resource_id,
        revision=row.revision,
        state=row.state,
        version=row.version,
        organization=Organization(row.organization_id, row.uscc, row.organization_name, row.division_code, row.level),
        system_id=row.system_id,
        resource_code=row.resource_code,
        name=row.name,
        summary=row.summary,
        items=tuple(zip(row.codes, row.names, strict=True)),
        class_path=row.class_path,
        sharing_type=row.sharing_type,
        open_type=row.open_type,
        update_cycle=row.update_cycle,
        format=row.format,
        theme=row.theme,
        item_count=row.item_count,
        shareable_item_count=row.shareable_item_count,
        published_at=row.published_at,
        taxonomies=tuple(row.taxonomies),
    )
