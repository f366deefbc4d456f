"""What changes information systems."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization import store as organizations
from catalog_svc.system import store
from catalog_svc.system.errors import SystemNameTaken
from dxmesh_runtime import outbox
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog_events import SystemChanged, SystemRegistered
from dxmesh_schemas.text import comparable


async def register(tx: AsyncSession, organization_id: UUID, *, name: str, now: datetime) -> store.System:
    """Enter a system of an organization, whose row is locked so that its names are compared one at a time.

    Raises: OrganizationNotFound (404), SystemNameTaken (409).
    Emits: catalog.system.registered.v1.
    """
    await organizations.get(tx, organization_id, lock=True)
    await _refuse_taken(tx, organization_id, name)
    row = store.System(
        system_id=uuid7(), organization_id=organization_id, name=name, name_key=comparable(name), registered_at=now, changed_at=now
    )
    tx.add(row)
    await tx.flush()
    await outbox.add(tx, SystemRegistered(system_id=row.system_id, organization_id=organization_id, name=name), now=now)
    return row


async def rename(tx: AsyncSession, system_id: UUID, *, of: UUID | None, name: str, now: datetime) -> store.System:
    """Rename a system; the same name again changes nothing.

    Raises: SystemNotFound (404), SystemNameTaken (409).
    Emits: catalog.system.changed.v1, when the name changed.
    """
    row = await store.get(tx, system_id, of=of)
    await organizations.get(tx, row.organization_id, lock=True)
    await tx.refresh(row)
    if row.name == name:
        return row
    if row.name_key != comparable(name):
        await _refuse_taken(tx, row.organization_id, name)
    row.name, row.name_key, row.changed_at = name, comparable(name), now
    await outbox.add(tx, SystemChanged(system_id=row.system_id, organization_id=row.organization_id, name=name), now=now)
    return row


async def _refuse_taken(tx: AsyncSession, organization_id: UUID, name: str) -> None:
    known = await store.find_by_name(tx, organization_id, comparable(name))
    if known is not None:
        raise SystemNameTaken(f"the organization has a system called {known.name!r}; use it", system_id=str(known.system_id))
