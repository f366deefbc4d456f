"""What changes organizations."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization import store
from catalog_svc.organization.errors import UsccTaken
from dxmesh_runtime import outbox
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import Level, OrganizationKind
from dxmesh_schemas.catalog_events import OrganizationChanged, OrganizationEvent, OrganizationRegistered


async def register(
    tx: AsyncSession, *, uscc: str, name: str, level: Level, division_code: str, kind: OrganizationKind, now: datetime
) -> store.Organization:
    """Enter an organization.

    Raises: UsccTaken (409) with the id of the organization that has the code.
    Emits: catalog.organization.registered.v1.
    """
    row = await store.add(tx, uuid7(), uscc=uscc, name=name, level=level, division_code=division_code, kind=kind, now=now)
    if row is None:
        known = await store.find_by_uscc(tx, uscc)
        members = {"organization_id": str(known.organization_id)} if known else {}
        raise UsccTaken(f"{uscc} is registered; change that entry with PUT instead", **members)
    await outbox.add(tx, _event(OrganizationRegistered, row), now=now)
    return row


async def change(
    tx: AsyncSession, organization_id: UUID, *, name: str, level: Level, division_code: str, kind: OrganizationKind, now: datetime
) -> store.Organization:
    """Change an organization's entry; the uscc is its identity and stays. The same entry again changes nothing.

    Raises: OrganizationNotFound (404).
    Emits: catalog.organization.changed.v1, when something changed.
    """
    row = await store.get(tx, organization_id, lock=True)
    wanted = (name, level.value, division_code, kind.value)
    if (row.name, row.level, row.division_code, row.kind) == wanted:
        return row
    row.name, row.level, row.division_code, row.kind = wanted
    row.changed_at = now
    await outbox.add(tx, _event(OrganizationChanged, row), now=now)
    return row


def _event(kind: type[OrganizationEvent], row: store.Organization) -> OrganizationEvent:
    return kind(
        organization_id=row.organization_id,
        uscc=row.uscc,
        name=row.name,
        level=Level(row.level),
        division_code=row.division_code,
        kind=OrganizationKind(row.kind),
    )
