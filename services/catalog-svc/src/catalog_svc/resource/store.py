"""Data resources, their versions, and the numbers of their codes in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Integer, Row, Text, Uuid, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, defer, mapped_column

from catalog_svc.organization.store import Organization
from catalog_svc.resource.definition import Settled
from catalog_svc.resource.domain import KNOWN_TO_ALL, State, shareable_count
from catalog_svc.resource.errors import ResourceNotFound
from catalog_svc.rows import Base
from dxmesh_runtime.db import locked
from dxmesh_schemas.text import comparable


class Resource(Base):
    """A data resource: `definition` is in force, `draft` waits to be published; the columns beside them show what all may see."""

    __tablename__ = "resource"
    __table_args__ = (
        Index("resource_name", "organization_id", "name_key", unique=True, postgresql_where=text("state <> 'withdrawn'")),
        Index("ix_resource_system_id", "system_id"),
        Index("ix_resource_effective_at", "effective_at", postgresql_where=text("effective_at IS NOT NULL")),
    )
    resource_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    system_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("system.system_id"))
    resource_code: Mapped[str] = mapped_column(Text, unique=True)
    state: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)  # the version in force; 0 before the first
    revision: Mapped[int] = mapped_column(Integer)  # counts every change; the ETag
    definition: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    draft: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    sharing_type: Mapped[str] = mapped_column(Text)
    open_type: Mapped[str] = mapped_column(Text)
    update_cycle: Mapped[str] = mapped_column(Text)
    taxonomies: Mapped[list[str]] = mapped_column(ARRAY(Text))  # codes of entries of taxonomies
    item_count: Mapped[int] = mapped_column(Integer)
    shareable_item_count: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    withdrawn_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    withdrawal_reason: Mapped[str | None] = mapped_column(Text)
    draft_state: Mapped[str | None] = mapped_column(Text)  # where the draft stands; null without one
    effective_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # when an announced draft comes in force

    def show(self, entry: Settled) -> None:
        """Set the columns that lists, searches and totals read from an entry."""
        self.system_id, self.name, self.name_key, self.summary = entry.system_id, entry.name, comparable(entry.name), entry.summary
        self.sharing_type, self.open_type, self.update_cycle = entry.sharing_type.value, entry.open_type.value, entry.update_cycle.value
        self.item_count, self.shareable_item_count = len(entry.items), shareable_count(entry.items)
        self.taxonomies = list(entry.taxonomies)


WITHOUT_ENTRIES = (defer(Resource.definition, raiseload=True), defer(Resource.draft, raiseload=True))
"""Options of a list, which shows of an entry only what the columns beside it do: an entry is read at a hundred times their cost."""


class ResourceVersion(Base):
    """A published version, never changed: the snapshot its event carried."""

    __tablename__ = "resource_version"
    resource_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("resource.resource_id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    published_by: Mapped[str] = mapped_column(Text)


class ResourceCodeNumber(Base):
    """The last number given out under a prefix of resource codes."""

    __tablename__ = "resource_code_number"
    prefix: Mapped[str] = mapped_column(Text, primary_key=True)
    last_number: Mapped[int] = mapped_column(Integer)


async def next_number(tx: AsyncSession, prefix: str) -> int:
    """Return the next number under a prefix; the prefix is locked until the transaction ends, so no number is lost."""
    statement = insert(ResourceCodeNumber).values(prefix=prefix, last_number=1)
    statement = statement.on_conflict_do_update(index_elements=["prefix"], set_={"last_number": ResourceCodeNumber.last_number + 1})
    return (await tx.scalars(statement.returning(ResourceCodeNumber.last_number))).one()


async def get(tx: AsyncSession, resource_id: UUID, *, lock: bool = False) -> Resource:
    """Return a resource, its row locked and read anew when asked. Raises: ResourceNotFound (404)."""
    query = select(Resource).where(Resource.resource_id == resource_id)
    if lock:
        # key_share: rows that refer to the resource may be inserted meanwhile, as by the index of items
        query = locked(query, key_share=True)
    row = await tx.scalar(query)
    if row is None:
        raise ResourceNotFound(f"no resource you may see has the id {resource_id}")
    return row


async def find_by_name(tx: AsyncSession, organization_id: UUID, name_key: str, *, other_than: UUID | None) -> Resource | None:
    """Return another resource of the provider with that name; withdrawn ones have given theirs up."""
    query = select(Resource).where(
        Resource.organization_id == organization_id, Resource.name_key == name_key, Resource.state != State.WITHDRAWN.value
    )
    return await tx.scalar(query if other_than is None else query.where(Resource.resource_id != other_than))


async def definitions_of_published(tx: AsyncSession, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return the definitions in force of those of these resources that are published."""
    if not ids:
        return {}
    query = select(Resource.resource_id, Resource.definition).where(
        Resource.resource_id.in_(ids), Resource.state == State.PUBLISHED.value, Resource.definition.is_not(None)
    )
    return {resource_id: definition for resource_id, definition in await tx.execute(query) if definition is not None}


async def ever_in(tx: AsyncSession, taxonomy: str) -> Sequence[UUID]:
    """Return the resources that name an entry of a taxonomy by its code: in force, in a draft, or in any version there was."""
    versions = select(ResourceVersion.resource_id).where(ResourceVersion.snapshot["taxonomies"].has_key(taxonomy))
    drafted = Resource.draft["taxonomies"].has_key(taxonomy)
    query = select(Resource.resource_id).where(or_(Resource.taxonomies.contains([taxonomy]), drafted, Resource.resource_id.in_(versions)))
    return (await tx.scalars(query.order_by(Resource.resource_id))).all()


async def with_code_set(tx: AsyncSession, name: str) -> Sequence[UUID]:
    """Return the resources in force an item of which is checked by a code set, as they were entered."""
    uses = Resource.definition.contains({"items": [{"code_set": {"name": name}}]})
    query = select(Resource.resource_id).where(Resource.state == State.PUBLISHED.value, uses).order_by(Resource.resource_id)
    return (await tx.scalars(query)).all()


async def list_page(
    tx: AsyncSession,
    *,
    drafts_of: UUID | None,
    all_drafts: bool,
    state: State | None,
    draft_state: str | None = None,
    provider: UUID | None,
    q: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Resource, Organization]]:
    """Return up to limit + 1 resources with their providers, as they were entered; drafts of one organization or of all.

    Withdrawn resources are left out unless asked for by state. None has its entry.
    """
    query = select(Resource, Organization).join(Organization, Organization.organization_id == Resource.organization_id)
    query = query.options(*WITHOUT_ENTRIES).order_by(Resource.resource_id).limit(limit + 1)
    query = query.where(Resource.state != State.WITHDRAWN.value if state is None else Resource.state == state.value)
    if not all_drafts:
        visible = Resource.state.in_(KNOWN_TO_ALL)
        query = query.where(visible if drafts_of is None else or_(visible, Resource.organization_id == drafts_of))
    if draft_state is not None:
        query = query.where(Resource.draft_state == draft_state)
        if not all_drafts:
            query = query.where(Resource.organization_id == drafts_of)
    if provider is not None:
        query = query.where(Resource.organization_id == provider)
    if q:
        query = query.where(
            or_(*(column.icontains(q, autoescape=True) for column in (Resource.name, Resource.summary, Resource.resource_code)))
        )
    if after is not None:
        query = query.where(Resource.resource_id > after)
    return (await tx.execute(query)).all()


async def list_due(tx: AsyncSession, *, now: datetime, limit: int) -> Sequence[UUID]:
    """Return the resources whose announced version is to come in force by now, the longest due first."""
    query = select(Resource.resource_id).where(Resource.effective_at <= now).order_by(Resource.effective_at).limit(limit)
    return (await tx.scalars(query)).all()


async def get_version(tx: AsyncSession, resource_id: UUID, version: int) -> ResourceVersion:
    """Return a published version. Raises: ResourceNotFound (404)."""
    row = await tx.get(ResourceVersion, (resource_id, version))
    if row is None:
        raise ResourceNotFound(f"no resource you may see has the id {resource_id} and a version {version}")
    return row


async def items_ever(tx: AsyncSession, resource_id: UUID) -> dict[str, dict[str, Any]]:
    """Return every item any version of a resource had, by code, as the latest version with it has it."""
    query = select(ResourceVersion.snapshot["items"]).where(ResourceVersion.resource_id == resource_id)
    versions = (await tx.scalars(query.order_by(ResourceVersion.version))).all()
    return {item["code"]: item for items in versions for item in items}


async def list_versions(
    tx: AsyncSession, resource_id: UUID, *, after: int | None, limit: int, whole: bool = False
) -> Sequence[ResourceVersion]:
    """Return up to limit + 1 versions, oldest first; `whole` ones have their snapshots."""
    query = select(ResourceVersion).where(ResourceVersion.resource_id == resource_id).order_by(ResourceVersion.version).limit(limit + 1)
    if not whole:
        query = query.options(defer(ResourceVersion.snapshot, raiseload=True))
    return (await tx.scalars(query if after is None else query.where(ResourceVersion.version > after))).all()
