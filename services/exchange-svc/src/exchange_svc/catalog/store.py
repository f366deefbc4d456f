"""The replica's tables: organizations, resources and each of their versions."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, Uuid, any_, bindparam, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from dxmesh_runtime.db import locked
from dxmesh_schemas.catalog import Level, OrganizationKind, OrganizationRef, ResourceSnapshot
from exchange_svc.catalog.errors import OrganizationUnknown, ResourceNotFound
from exchange_svc.rows import Base

_MOST_VERSIONS = 500
_versions: dict[tuple[UUID, int], ResourceSnapshot] = {}


class Organization(Base):
    """An organization as its newest event told it; kind and level are null for one that was told before they were kept."""

    __tablename__ = "organization"
    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    uscc: Mapped[str]
    name: Mapped[str]
    division_code: Mapped[str]
    kind: Mapped[str | None]
    level: Mapped[str | None]
    changed_at: Mapped[datetime]

    def ref(self) -> OrganizationRef:
        """Return the organization as events carry it."""
        return OrganizationRef(organization_id=self.organization_id, uscc=self.uscc, name=self.name, division_code=self.division_code)


class System(Base):
    """An organization's information system as its newest event told it."""

    __tablename__ = "system"
    system_id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    name: Mapped[str]
    is_retired: Mapped[bool]
    changed_at: Mapped[datetime]


class Resource(Base):
    """The version in force of a resource; its row is the lock under which batches get their sequence and views open."""

    __tablename__ = "resource"
    __table_args__ = (Index("ix_resource_provider", "provider_id"),)
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    provider_id: Mapped[UUID]
    snapshot: Mapped[dict[str, Any]]
    last_sequence: Mapped[int] = mapped_column(server_default="0")
    withdrawn_at: Mapped[datetime | None]

    def read(self) -> ResourceSnapshot:
        """Return the version in force."""
        return ResourceSnapshot.model_validate(self.snapshot)


class ResourceVersion(Base):
    """One published version of a resource: batches and views keep to the one they were made under."""

    __tablename__ = "resource_version"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    snapshot: Mapped[dict[str, Any]]


class ResourceMount(Base):
    """How a resource's data are reached at its provider; kept also when it was taken away, so that what comes late changes nothing."""

    __tablename__ = "resource_mount"
    resource_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str | None]
    address: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]


async def put_mount(
    tx: AsyncSession, resource_id: UUID, *, kind: str | None, address: str | None, confirmed_at: datetime | None, changed_at: datetime
) -> None:
    """Enter how a resource is mounted now; an older state changes nothing."""
    values = {"kind": kind, "address": address, "confirmed_at": confirmed_at, "changed_at": changed_at}
    entry = insert(ResourceMount).values(resource_id=resource_id, **values)
    newer = ResourceMount.changed_at <= entry.excluded.changed_at
    await tx.execute(entry.on_conflict_do_update(index_elements=["resource_id"], set_=values, where=newer))


async def find_mount(tx: AsyncSession, resource_id: UUID) -> ResourceMount | None:
    """Return how a resource is mounted, if that was ever said."""
    return await tx.get(ResourceMount, resource_id)


async def put_organization(
    tx: AsyncSession, organization: OrganizationRef, *, kind: OrganizationKind, level: Level, changed_at: datetime
) -> None:
    """Enter an organization, or its newer state; an older one changes nothing."""
    values = {
        "uscc": organization.uscc,
        "name": organization.name,
        "division_code": organization.division_code,
        "kind": kind.value,
        "level": level.value,
        "changed_at": changed_at,
    }
    entry = insert(Organization).values(organization_id=organization.organization_id, **values)
    await tx.execute(
        entry.on_conflict_do_update(
            index_elements=["organization_id"], set_=values, where=Organization.changed_at < entry.excluded.changed_at
        )
    )


async def put_system(
    tx: AsyncSession, system_id: UUID, *, organization_id: UUID, name: str, is_retired: bool, changed_at: datetime
) -> None:
    """Enter a system, or its newer state; an older one changes nothing."""
    values = {"organization_id": organization_id, "name": name, "is_retired": is_retired, "changed_at": changed_at}
    entry = insert(System).values(system_id=system_id, **values)
    await tx.execute(
        entry.on_conflict_do_update(index_elements=["system_id"], set_=values, where=System.changed_at < entry.excluded.changed_at)
    )


_ENTER_VERSION = insert(ResourceVersion).on_conflict_do_nothing()
_ENTRY = insert(Resource)
_PUT_IN_FORCE = _ENTRY.on_conflict_do_update(
    index_elements=["resource_id"],
    set_={name: _ENTRY.excluded[name] for name in ("version", "provider_id", "snapshot")},
    where=Resource.version < _ENTRY.excluded.version,
)

_LOCK = locked(
    select(Resource).where(Resource.resource_id == any_(bindparam("resource_ids", type_=ARRAY(Uuid)))).order_by(Resource.resource_id)
)


async def put_resources(tx: AsyncSession, snapshots: Sequence[ResourceSnapshot]) -> None:
    """Enter versions of resources; the version in force never goes back."""
    rows = [
        {
            "resource_id": snapshot.resource_id,
            "version": snapshot.version,
            "provider_id": snapshot.provider.organization_id,
            "snapshot": snapshot.model_dump(mode="json"),
        }
        for snapshot in snapshots
    ]
    connection = await tx.connection()
    await connection.execute(_ENTER_VERSION, [{name: row[name] for name in ("resource_id", "version", "snapshot")} for row in rows])
    await connection.execute(_PUT_IN_FORCE, rows)


async def withdraw_resource(tx: AsyncSession, resource_id: UUID, *, withdrawn_at: datetime) -> None:
    """Mark a resource as withdrawn. Raises ResourceNotFound (404) when it was never published."""
    changed = await tx.execute(
        update(Resource).where(Resource.resource_id == resource_id).values(withdrawn_at=withdrawn_at).returning(Resource.resource_id)
    )
    if changed.first() is None:
        raise ResourceNotFound(f"resource {resource_id} was withdrawn before it was published")


async def get_organization(tx: AsyncSession, organization_id: UUID) -> Organization:
    """Return an organization. Raises OrganizationUnknown (409)."""
    row = await tx.get(Organization, organization_id)
    if row is None:
        raise OrganizationUnknown(
            f"organization {organization_id} is not in this node's catalogue, or its entry has not arrived yet: try again in a moment"
        )
    return row


async def levels_of(tx: AsyncSession, organization_ids: Collection[UUID]) -> dict[UUID, Level]:
    """Return the levels of organizations, of those whose level is known."""
    query = select(Organization.organization_id, Organization.level)
    known = query.where(Organization.organization_id.in_(organization_ids), Organization.level.is_not(None))
    return {row.organization_id: Level(row.level) for row in await tx.execute(known)}


async def find_resource(tx: AsyncSession, resource_id: UUID, *, lock: bool = False) -> Resource | None:
    """Return a resource in force or withdrawn; with `lock`, hold its row until the transaction ends."""
    query = select(Resource).where(Resource.resource_id == resource_id)
    return (await tx.scalars(locked(query) if lock else query)).one_or_none()


async def get_resource(tx: AsyncSession, resource_id: UUID, *, lock: bool = False) -> Resource:
    """Return a resource in force or withdrawn. Raises ResourceNotFound (404)."""
    row = await find_resource(tx, resource_id, lock=lock)
    if row is None:
        raise ResourceNotFound(f"resource {resource_id} is not published on this node, or you may not see it")
    return row


async def lock_resources(tx: AsyncSession, resource_ids: Collection[UUID]) -> dict[UUID, Resource]:
    """Lock the rows of several resources, in the order of their ids so that two lockers never wait for each other."""
    return {row.resource_id: row for row in await tx.scalars(_LOCK, {"resource_ids": list(resource_ids)})}


async def get_version(connection: AsyncConnection, resource_id: UUID, version: int) -> ResourceSnapshot:
    """Return a version that was published."""
    return (await list_versions(connection, [(resource_id, version)]))[resource_id, version]


async def list_versions(
    tx: AsyncConnection | AsyncSession, wanted: Collection[tuple[UUID, int]]
) -> Mapping[tuple[UUID, int], ResourceSnapshot]:
    """Return the snapshots of (resource_id, version) pairs; a pair that was never published is left out.

    A version never changes, so those asked for of late are kept in memory.
    """
    found = {place: _versions[place] for place in wanted if place in _versions}
    missing = [place for place in wanted if place not in found]
    if missing:
        columns = (ResourceVersion.resource_id, ResourceVersion.version)
        rows = await tx.execute(select(*columns, ResourceVersion.snapshot).where(tuple_(*columns).in_(missing)))
        read = {(row.resource_id, row.version): ResourceSnapshot.model_validate(row.snapshot) for row in rows}
        if len(_versions) + len(read) > _MOST_VERSIONS:
            _versions.clear()
        _versions.update(read)
        found |= read  # what was asked for is answered from here: others may have cleared the memory meanwhile
    return found
