"""The entries of the kept lists in PostgreSQL, with their history."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Select,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    false,
    func,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from catalog_svc.organization.store import Organization
from catalog_svc.resource.store import Resource
from catalog_svc.rows import Base
from catalog_svc.sharing_list.domain import ENDED, Forbidding, Forbids, KeptKind, Status
from catalog_svc.sharing_list.errors import ListEntryNotFound
from catalog_svc.system.store import System
from dxmesh_runtime.db import locked

_WRITTEN_ROWS = 5_000


class ListEntry(Base):
    """An entry of the demand, duty, negative or scenario list."""

    __tablename__ = "list_entry"
    __table_args__ = (
        UniqueConstraint("kind", "organization_id", "name_key"),
        Index("list_entry_page", "kind", "entry_id"),
        Index("ix_list_entry_resource_id", "resource_id"),
    )
    entry_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    organization_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    due_on: Mapped[date | None] = mapped_column(Date)
    counterpart_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    resource_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("resource.resource_id"))
    system_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("system.system_id"))
    basis: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    forbids: Mapped[str | None] = mapped_column(Text)  # of the negative list alone
    items: Mapped[list[str]] = mapped_column(JSONB, server_default="[]")  # codes, of the resource; none for all of it
    scenario: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # the terms of a scenario
    approvals: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")  # of the scenario as it stands
    version: Mapped[int] = mapped_column(Integer)  # counts every change; the ETag
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_by: Mapped[str] = mapped_column(Text)


class ListEntryVersion(Base):
    """What an entry was at one version, never changed."""

    __tablename__ = "list_entry_version"
    entry_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("list_entry.entry_id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_by: Mapped[str] = mapped_column(Text)


_CHANGING = (
    "name",
    "name_key",
    "content",
    "status",
    "due_on",
    "counterpart_id",
    "resource_id",
    "items",
    "system_id",
    "basis",
    "forbids",
    "scenario",
    "approvals",
)
_STAMP = ("version", "changed_at", "changed_by")
_INSERT = text("INSERT INTO list_entry SELECT * FROM jsonb_populate_recordset(NULL::list_entry, CAST(:rows AS jsonb))")
_UPDATE = text(
    f"UPDATE list_entry e SET {', '.join(f'{name} = given.{name}' for name in (*_CHANGING, *_STAMP))} "
    "FROM jsonb_populate_recordset(NULL::list_entry, CAST(:rows AS jsonb)) given WHERE given.entry_id = e.entry_id"
)
_SNAPSHOT = ", ".join(f"'{name}', {name}" for name in _CHANGING if name != "name_key")
_KEEP = text(
    "INSERT INTO list_entry_version (entry_id, version, snapshot, changed_at, changed_by) "
    f"SELECT entry_id, version, jsonb_build_object({_SNAPSHOT}), "
    "changed_at, changed_by FROM list_entry WHERE entry_id = ANY(CAST(:ids AS uuid[]))"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries a reader asks for."""

    organization_id: UUID | None = None
    status: Status | None = None
    due_by: date | None = None
    overdue_on: date | None = None  # not ended, and due before this day
    resource_id: UUID | None = None
    q: str | None = None


async def hold(tx: AsyncSession, kind: str, *, alone: bool) -> None:
    """Let nobody else (`alone`), or no import, change a list until the transaction ends."""
    lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
    await tx.execute(select(lock(func.hashtext(f"sharing_list/{kind}"))))


async def get(tx: AsyncSession, kind: KeptKind, entry_id: UUID, *, lock: bool = False) -> ListEntry:
    """Return an entry, its row locked when asked. Raises: ListEntryNotFound (404)."""
    query = select(ListEntry).where(ListEntry.kind == kind.value, ListEntry.entry_id == entry_id)
    row = await tx.scalar(locked(query) if lock else query)
    if row is None:
        raise ListEntryNotFound(f"the {kind.value} list has no entry {entry_id}")
    return row


async def find_by_name(tx: AsyncSession, kind: KeptKind, organization_id: UUID, name_key: str) -> ListEntry | None:
    """Return the owner's entry of that name."""
    query = select(ListEntry).where(ListEntry.kind == kind.value, ListEntry.organization_id == organization_id)
    return await tx.scalar(query.where(ListEntry.name_key == name_key))


async def list_page(tx: AsyncSession, kind: KeptKind, asked: Asked, *, after: UUID | None, limit: int) -> Sequence[ListEntry]:
    """Return up to limit + 1 entries in the order they were entered."""
    query = chosen(select(ListEntry), kind, asked).order_by(ListEntry.entry_id).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(ListEntry.entry_id > after))).all()


def chosen(query: Select[*tuple[Any, ...]], kind: KeptKind, asked: Asked) -> Select[*tuple[Any, ...]]:
    """Return the query with only what is asked for of a list."""
    query = query.where(ListEntry.kind == kind.value)
    if asked.organization_id is not None:
        query = query.where(ListEntry.organization_id == asked.organization_id)
    if asked.status is not None:
        query = query.where(ListEntry.status == asked.status.value)
    if asked.resource_id is not None:
        query = query.where(ListEntry.resource_id == asked.resource_id)
    if asked.due_by is not None:
        query = query.where(ListEntry.due_on <= asked.due_by)
    if asked.overdue_on is not None:
        query = query.where(ListEntry.due_on < asked.overdue_on, ListEntry.status.not_in([status.value for status in ENDED]))
    if asked.q:
        query = query.where(or_(*(column.icontains(asked.q, autoescape=True) for column in (ListEntry.name, ListEntry.content))))
    return query


async def list_versions(tx: AsyncSession, entry_id: UUID, *, after: int | None, limit: int) -> Sequence[ListEntryVersion]:
    """Return up to limit + 1 versions, oldest first."""
    query = select(ListEntryVersion).where(ListEntryVersion.entry_id == entry_id).order_by(ListEntryVersion.version).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(ListEntryVersion.version > after))).all()


async def entries_of(tx: AsyncSession, kind: KeptKind, owners: Collection[UUID]) -> Sequence[ListEntry]:
    """Return all entries of these owners."""
    return (await tx.scalars(select(ListEntry).where(ListEntry.kind == kind.value, ListEntry.organization_id.in_(owners)))).all()


async def list_forbidding(
    tx: AsyncSession, organization_id: UUID, *, resource_id: UUID | None, system_id: UUID, name_key: str
) -> Sequence[Forbidding]:
    """Return the entries of the provider's negative list in force that bind a resource, None for one that is not entered yet; oldest first.

    An entry binds the resource it names; without one all of the system it names; without either the resource of its name.
    """
    query = select(ListEntry.entry_id, ListEntry.name, ListEntry.forbids, ListEntry.basis, ListEntry.items).where(
        ListEntry.kind == KeptKind.NEGATIVE.value,
        ListEntry.organization_id == organization_id,
        ListEntry.status == Status.IN_FORCE.value,
        or_(
            false() if resource_id is None else ListEntry.resource_id == resource_id,
            and_(ListEntry.resource_id.is_(None), ListEntry.system_id == system_id),
            and_(ListEntry.resource_id.is_(None), ListEntry.system_id.is_(None), ListEntry.name_key == name_key),
        ),
    )
    rows = await tx.execute(query.order_by(ListEntry.entry_id))
    return [
        Forbidding(row.entry_id, row.name, Forbids(row.forbids), f"《{row.basis['title']}》{row.basis['article']}", row.items)
        for row in rows
    ]


async def in_force(tx: AsyncSession, ids: Collection[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Return the provider and compared name of those of these resources that are in force."""
    query = select(Resource.resource_id, Resource.organization_id, Resource.name_key)
    rows = await tx.execute(query.where(Resource.resource_id.in_(ids), Resource.version > 0, Resource.withdrawn_at.is_(None)))
    return {resource_id: (provider, name_key) for resource_id, provider, name_key in rows}


async def lock_waiting(tx: AsyncSession, kind: KeptKind, resources: Mapping[UUID, tuple[UUID, str]]) -> Sequence[tuple[ListEntry, UUID]]:
    """Lock the entries that are not ended and wait for one of these resources, each with that resource.

    An entry waits for the resource it names; without one for the one of its name, a duty with its owner, a demand with whom it asks.
    """
    of_name = {named: resource_id for resource_id, named in resources.items()}
    department = func.coalesce(ListEntry.counterpart_id, ListEntry.organization_id)  # only a demand asks another
    query = select(ListEntry, department).where(
        ListEntry.kind == kind.value,
        ListEntry.status.not_in([status.value for status in ENDED]),
        or_(
            ListEntry.resource_id.in_(resources),
            and_(ListEntry.resource_id.is_(None), tuple_(department, ListEntry.name_key).in_(of_name)),
        ),
    )
    rows = await tx.execute(locked(query.order_by(ListEntry.entry_id)))
    return [(row, row.resource_id or of_name[asked, row.name_key]) for row, asked in rows]


async def write(tx: AsyncSession, fresh: Sequence[dict[str, Any]], changed: Sequence[dict[str, Any]]) -> None:
    """Insert and change entries, some thousands with a statement, so that large files are quick."""
    for statement, rows in ((_INSERT, fresh), (_UPDATE, changed)):
        for start in range(0, len(rows), _WRITTEN_ROWS):
            piece = rows[start : start + _WRITTEN_ROWS]
            await tx.execute(statement, {"rows": orjson.dumps(piece, default=str).decode()})


async def keep(tx: AsyncSession, entry_ids: Sequence[UUID]) -> None:
    """Enter what these entries are now into their history."""
    await tx.execute(_KEEP, {"ids": list(entry_ids)})


async def list_told(tx: AsyncSession, entry_ids: Collection[UUID]) -> Sequence[dict[str, Any]]:
    """Return these entries as they are now, with their owners, the departments they ask, and the status they had before."""
    counterpart = aliased(Organization)
    ref = ("organization_id", "uscc", "name", "division_code")
    query = (
        select(
            *(column for column in ListEntry.__table__.columns),
            *(getattr(Organization, name).label(f"owner_{name}") for name in ref),
            *(getattr(counterpart, name).label(f"counterpart_{name}") for name in ref),
            ListEntryVersion.snapshot["status"].astext.label("status_before"),
        )
        .join_from(ListEntry, Organization, Organization.organization_id == ListEntry.organization_id)
        .outerjoin(counterpart, counterpart.organization_id == ListEntry.counterpart_id)
        .outerjoin(
            ListEntryVersion,
            and_(ListEntryVersion.entry_id == ListEntry.entry_id, ListEntryVersion.version == ListEntry.version - 1),
        )
        .where(ListEntry.entry_id.in_(entry_ids))
        .order_by(ListEntry.entry_id)
    )
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def provides(tx: AsyncSession, organization_id: UUID, *, resource_ids: Collection[UUID], class_prefixes: Collection[str]) -> bool:
    """Say whether an organization provides, in force, one of these resources or one of these classes."""
    class_path = Resource.definition["class_path"].astext
    under = [or_(class_path == prefix, class_path.startswith(f"{prefix}/", autoescape=True)) for prefix in class_prefixes]
    query = select(Resource.resource_id).where(Resource.organization_id == organization_id, Resource.version > 0)
    query = query.where(Resource.withdrawn_at.is_(None), or_(Resource.resource_id.in_(resource_ids), *under)).limit(1)
    return await tx.scalar(query) is not None


async def organizations_by_uscc(tx: AsyncSession) -> dict[str, UUID]:
    """Return the id of every organization by its code."""
    return {row.uscc: row.organization_id for row in await tx.execute(select(Organization.uscc, Organization.organization_id))}


async def resources_by_code(tx: AsyncSession, codes: Collection[str], owners: Collection[UUID]) -> dict[str, tuple[UUID, UUID, bool]]:
    """Return (id, provider, whether it is in force) of those of these codes that are not withdrawn."""
    query = select(Resource.resource_code, Resource.resource_id, Resource.organization_id, Resource.version > 0).where(
        Resource.resource_code.in_(codes), Resource.withdrawn_at.is_(None), or_(Resource.version > 0, Resource.organization_id.in_(owners))
    )
    return {code: (resource_id, owner, in_force) for code, resource_id, owner, in_force in await tx.execute(query)}


async def systems_by_name(tx: AsyncSession, owners: Collection[UUID]) -> dict[tuple[UUID, str], UUID]:
    """Return the systems of these organizations by owner and compared name."""
    query = select(System.organization_id, System.name_key, System.system_id).where(System.organization_id.in_(owners))
    return {(owner, key): system_id for owner, key, system_id in await tx.execute(query)}
