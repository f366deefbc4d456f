"""What a resource looks like in answers: its head in lists, and all of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization import store as organizations
from catalog_svc.resource import commands, domain, store
from catalog_svc.resource.definition import Settled
from catalog_svc.resource.domain import State
from catalog_svc.step import domain as steps
from catalog_svc.step.domain import DraftState
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog import DataItem, OpenType, OrganizationRef, SharingType, StandingConsent, UpdateCycle
from dxmesh_schemas.catalog_attributes import (
    Census,
    FormatClass,
    NonSharingBasis,
    ResourceKind,
    SharingChannel,
    SharingMode,
    UsePurpose,
    Video,
)


class ResourceHead(BaseModel):
    """A data resource without its items; `responsible_role` is to act next."""

    resource_id: UUID
    resource_code: str
    state: State
    version: int | None
    has_draft: bool
    draft_state: DraftState | None
    responsible_role: str | None
    effective_at: datetime | None
    provider: OrganizationRef
    system_id: UUID
    name: str
    summary: str
    sharing_type: SharingType
    open_type: OpenType
    update_cycle: UpdateCycle
    item_count: int
    shareable_item_count: int
    created_at: datetime
    changed_at: datetime
    published_at: datetime | None
    withdrawn_at: datetime | None


class ResourceOut(ResourceHead):
    """A data resource: its provider and the data authority see the draft that waits, all others what is in force."""

    class_path: str
    kind: ResourceKind
    provider_unit: str | None
    steward: str | None
    items: tuple[DataItem, ...]
    key: tuple[str, ...]
    format_class: FormatClass | None
    format_type: str | None
    format_note: str | None
    sharing_condition: str | None
    sharing_scope: str | None
    sharing_purposes: tuple[UsePurpose, ...]
    sharing_reason: str | None
    sharing_channel: SharingChannel | None
    sharing_mode: SharingMode | None
    non_sharing_basis: NonSharingBasis | None
    open_condition: str | None
    open_theme: str | None
    taxonomies: tuple[str, ...]
    related_codes: tuple[str, ...]
    use_conditions: str | None
    data_category: str | None
    data_level: int | None
    is_important: bool
    is_core: bool
    census: Census | None
    business_item: str | None
    authority_source: str | None
    division_code: str | None
    video: Video | None
    max_quarantined_ratio: float
    standing_consent: StandingConsent | None
    schema_url: str | None
    withdrawal_reason: str | None


def head(row: store.Resource, organization: organizations.Organization, *, sees_draft: bool) -> dict[str, Any]:
    """Return what a list shows of a resource to one who sees its draft, or does not."""
    draft = DraftState(row.draft_state) if row.draft_state is not None and sees_draft else None
    return {
        "resource_id": row.resource_id,
        "resource_code": row.resource_code,
        "state": row.state,
        "version": row.version or None,
        "has_draft": draft is not None,
        "draft_state": draft,
        "responsible_role": steps.responsible_role(State(row.state), draft),
        "effective_at": row.effective_at,
        "provider": commands.provider_ref(organization),
        "system_id": row.system_id,
        "name": row.name,
        "summary": row.summary,
        "sharing_type": row.sharing_type,
        "open_type": row.open_type,
        "update_cycle": row.update_cycle,
        "item_count": row.item_count,
        "shareable_item_count": row.shareable_item_count,
        "created_at": row.created_at,
        "changed_at": row.changed_at,
        "published_at": row.published_at,
        "withdrawn_at": row.withdrawn_at,
    }


async def out(tx: AsyncSession, row: store.Resource, who: Principal, public_url: str, response: Response) -> ResourceOut:
    """Return a resource as the caller sees it, its revision in the answer's ETag."""
    sees_draft = commands.reads_draft(who, row.organization_id)
    shown = row.draft if row.draft is not None and sees_draft else row.definition
    assert shown is not None, "a resource has a draft or a definition, and a draft alone is seen by its provider only"
    entry = Settled.model_validate(shown)
    response.headers["ETag"] = f'"{row.revision}"'
    known = head(row, await organizations.get(tx, row.organization_id), sees_draft=sees_draft)
    own = {name: getattr(entry, name) for name in Settled.model_fields if name in ResourceOut.model_fields}
    counts = {"item_count": len(entry.items), "shareable_item_count": domain.shareable_count(entry.items)}
    url = domain.schema_url(public_url, row.resource_id, row.version) if row.version else None
    return ResourceOut(**(known | own | counts), schema_url=url, withdrawal_reason=row.withdrawal_reason)
