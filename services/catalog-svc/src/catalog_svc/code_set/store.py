"""Code sets, their versions and what they say of each code, in PostgreSQL."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, defer, mapped_column, relationship

from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import CodeSetKind, Entry
from catalog_svc.code_set.errors import CodeSetNotFound
from catalog_svc.rows import Base
from dxmesh_runtime.db import locked


class CodeSet(Base):
    """A code set, the node's or an organization's own; version 0 is one whose first version is being written in this transaction."""

    __tablename__ = "code_set"
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)
    code_count: Mapped[int] = mapped_column(Integer)  # in force
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(Text, server_default="own")
    organization_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("organization.organization_id"))
    retired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retired_by: Mapped[str | None] = mapped_column(Text)
    retirement_reason: Mapped[str | None] = mapped_column(Text)


class CodeSetVersion(Base):
    """One version of a code set, never changed; `codes` are those in force `codes_on` that day, which its event carried."""

    __tablename__ = "code_set_version"
    name: Mapped[str] = mapped_column(Text, ForeignKey("code_set.name"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    codes: Mapped[list[str]] = mapped_column(JSONB)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    kind: Mapped[str] = mapped_column(Text, server_default="own")
    standard: Mapped[str | None] = mapped_column(Text)
    parent_set: Mapped[str | None] = mapped_column(Text)
    leading_source: Mapped[str | None] = mapped_column(Text)
    codes_on: Mapped[date] = mapped_column(Date)
    entry_count: Mapped[int] = mapped_column(Integer)
    published_by: Mapped[str | None] = mapped_column(Text)
    of: Mapped[CodeSet] = relationship(lazy="joined", innerjoin=True)

    @property
    def organization_id(self) -> UUID | None:
        """Return whose the set is, None for the node's."""
        return self.of.organization_id

    @property
    def retired_at(self) -> datetime | None:
        """Return since when the set is retired."""
        return self.of.retired_at

    @property
    def about(self) -> About:
        """Return what the set is, beside its codes."""
        return About(self.title, CodeSetKind(self.kind), self.standard, self.parent_set, self.leading_source)


class CodeSetEntry(Base):
    """What a source says of a code, in the versions from `from_version` to the one before `until_version`."""

    __tablename__ = "code_set_entry"
    __table_args__ = (
        Index("ix_code_set_entry_name_code", "name", "code"),
        Index("ix_code_set_entry_name_parent", "name", "parent"),
    )
    entry_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, ForeignKey("code_set.name"))
    code: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Text)
    parent: Mapped[str | None] = mapped_column(Text)
    valid_from: Mapped[date | None] = mapped_column(Date)
    valid_until: Mapped[date | None] = mapped_column(Date)
    is_retired: Mapped[bool] = mapped_column(Boolean)
    successors: Mapped[list[str]] = mapped_column(ARRAY(Text))
    note: Mapped[str | None] = mapped_column(Text)
    from_version: Mapped[int] = mapped_column(Integer)
    until_version: Mapped[int | None] = mapped_column(Integer)


_SAID = (
    CodeSetEntry.code,
    CodeSetEntry.source,
    CodeSetEntry.label,
    CodeSetEntry.parent,
    CodeSetEntry.valid_from,
    CodeSetEntry.valid_until,
    CodeSetEntry.is_retired,
    CodeSetEntry.successors,
    CodeSetEntry.note,
)
"""What an Entry holds, in its order."""


def _entry(said: Sequence[Any]) -> Entry:
    code, source, label, parent, valid_from, valid_until, is_retired, successors, note = said
    return Entry(code, source, label, parent, valid_from, valid_until, is_retired, tuple(successors), note)


async def lock(tx: AsyncSession, name: str, *, title: str, now: datetime, organization_id: UUID | None = None) -> CodeSet:
    """Return the code set with its row locked, made with version 0 when it is new."""
    fresh = insert(CodeSet).values(name=name, title=title, version=0, code_count=0, published_at=now, organization_id=organization_id)
    await tx.execute(fresh.on_conflict_do_nothing(index_elements=["name"]))
    return (await tx.scalars(locked(select(CodeSet).where(CodeSet.name == name)))).one()


async def get_version(tx: AsyncSession, name: str, version: int | None = None) -> CodeSetVersion:
    """Return a version of a code set, the newest when none is named. Raises: CodeSetNotFound (404)."""
    query = select(CodeSetVersion).where(CodeSetVersion.name == name).order_by(CodeSetVersion.version.desc()).limit(1)
    if version is not None:
        query = query.where(CodeSetVersion.version == version)
    row = await tx.scalar(query)
    if row is None:
        raise CodeSetNotFound(f"no code set {name!r}" + (f" has a version {version}" if version else " is known"))
    return row


async def find(tx: AsyncSession, name: str) -> CodeSet | None:
    """Return a code set, if one of that name was published."""
    return await tx.get(CodeSet, name)


async def get(tx: AsyncSession, name: str, *, lock: bool = False) -> CodeSet:
    """Return a code set. Raises: CodeSetNotFound (404)."""
    row = await tx.get(CodeSet, name, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise CodeSetNotFound(f"no code set {name!r} is known")
    return row


async def known_among(tx: AsyncSession, names: Collection[str]) -> tuple[dict[str, int], frozenset[str]]:
    """Return the newest version of each of these code sets that exists, and which of them are retired."""
    rows = (await tx.execute(select(CodeSet.name, CodeSet.version, CodeSet.retired_at).where(CodeSet.name.in_(names)))).all()
    return {row.name: row.version for row in rows}, frozenset(row.name for row in rows if row.retired_at is not None)


async def list_page(
    tx: AsyncSession,
    *,
    q: str | None,
    kind: CodeSetKind | None,
    after: str | None,
    limit: int,
    organization_id: UUID | None = None,
    retired: bool | None = None,
) -> Sequence[CodeSet]:
    """Return up to limit + 1 code sets by name."""
    query = select(CodeSet).order_by(CodeSet.name).limit(limit + 1)
    if q:
        query = query.where(CodeSet.name.icontains(q, autoescape=True) | CodeSet.title.icontains(q, autoescape=True))
    if kind is not None:
        query = query.where(CodeSet.kind == kind.value)
    if organization_id is not None:
        query = query.where(CodeSet.organization_id == organization_id)
    if retired is not None:
        query = query.where(CodeSet.retired_at.is_not(None) if retired else CodeSet.retired_at.is_(None))
    if after is not None:
        query = query.where(CodeSet.name > after)
    return (await tx.scalars(query)).all()


async def list_versions(tx: AsyncSession, name: str, *, after: int | None, limit: int) -> Sequence[CodeSetVersion]:
    """Return up to limit + 1 versions of a code set without their codes, oldest first."""
    query = select(CodeSetVersion).options(defer(CodeSetVersion.codes, raiseload=True)).where(CodeSetVersion.name == name)
    query = query.order_by(CodeSetVersion.version).limit(limit + 1)
    return (await tx.scalars(query if after is None else query.where(CodeSetVersion.version > after))).all()


def _in_version(name: str, version: int) -> ColumnElement[bool]:
    row = CodeSetEntry
    return and_(row.name == name, row.from_version <= version, or_(row.until_version.is_(None), row.until_version > version))


def _valid_on(day: date, leading_source: str | None) -> ColumnElement[bool]:
    row = CodeSetEntry
    held = and_(
        or_(row.valid_from.is_(None), row.valid_from <= day), or_(row.valid_until.is_(None), row.valid_until > day), ~row.is_retired
    )
    return held if leading_source is None else and_(held, row.source == leading_source)


async def entries_now(tx: AsyncSession, name: str) -> list[tuple[int, Entry]]:
    """Return what the newest version says, each with its row's id, as it was entered."""
    query = select(CodeSetEntry.entry_id, *_SAID).where(CodeSetEntry.name == name, CodeSetEntry.until_version.is_(None))
    return [(row[0], _entry(row[1:])) for row in await tx.execute(query.order_by(CodeSetEntry.entry_id))]


async def codes_now(tx: AsyncSession, name: str) -> set[str]:
    """Return every code of the newest version, retired ones too."""
    query = select(CodeSetEntry.code).where(CodeSetEntry.name == name, CodeSetEntry.until_version.is_(None))
    return set(await tx.scalars(query))


async def change_entries(tx: AsyncSession, name: str, *, version: int, gone: Collection[int], fresh: Sequence[Entry]) -> None:
    """End these rows with the version before, and begin these entries with this one."""
    if gone:
        ids = literal(sorted(gone), ARRAY(BigInteger))
        await tx.execute(update(CodeSetEntry).where(CodeSetEntry.entry_id == func.any(ids)).values(until_version=version))
    rows = [
        {
            "name": name,
            "code": entry.code,
            "source": entry.source,
            "label": entry.label,
            "parent": entry.parent,
            "valid_from": entry.valid_from,
            "valid_until": entry.valid_until,
            "is_retired": entry.is_retired,
            "successors": list(entry.successors),
            "note": entry.note,
            "from_version": version,
        }
        for entry in fresh
    ]
    if rows:
        await tx.execute(insert(CodeSetEntry), rows)


async def sources(tx: AsyncSession, name: str, version: int) -> list[str]:
    """Return the sources a version was made of."""
    return sorted(await tx.scalars(select(CodeSetEntry.source).where(_in_version(name, version)).distinct()))


async def entries_of(tx: AsyncSession, name: str, version: int, codes: Collection[str]) -> dict[str, list[Entry]]:
    """Return what a version says of these codes, as it was entered."""
    found: dict[str, list[Entry]] = defaultdict(list)
    if codes:
        query = select(*_SAID).where(_in_version(name, version), CodeSetEntry.code == func.any(literal(list(codes), ARRAY(Text))))
        for row in await tx.execute(query.order_by(CodeSetEntry.entry_id)):
            found[row[0]].append(_entry(row))
    return found


async def forerunners(tx: AsyncSession, name: str, version: int, code: str) -> list[str]:
    """Return the codes that became this one."""
    query = select(CodeSetEntry.code).where(_in_version(name, version), CodeSetEntry.successors.contains([code])).distinct()
    return sorted(await tx.scalars(query))


async def valid_codes(tx: AsyncSession, row: CodeSetVersion, day: date) -> list[str]:
    """Return the codes of a version that held on a day, as they were entered."""
    query = select(CodeSetEntry.code).where(_in_version(row.name, row.version), _valid_on(day, row.leading_source))
    query = query.group_by(CodeSetEntry.code).order_by(func.min(CodeSetEntry.entry_id))
    return list(await tx.scalars(query))


async def page_of_codes(
    tx: AsyncSession,
    row: CodeSetVersion,
    *,
    on: date | None,
    q: str | None,
    parent: str | None,
    after: str | None,
    limit: int,
) -> list[str]:
    """Return up to limit + 1 codes of a version: all, or those that held on a day; found by code or label."""
    query = select(CodeSetEntry.code).where(_in_version(row.name, row.version))
    if on is not None:
        query = query.where(_valid_on(on, row.leading_source))
    if q:
        query = query.where(CodeSetEntry.code.startswith(q, autoescape=True) | CodeSetEntry.label.icontains(q, autoescape=True))
    if parent is not None:
        query = query.where(CodeSetEntry.parent == parent)
    return await _by_code(tx, query, after, limit)


async def page_of_conflicts(
    tx: AsyncSession, row: CodeSetVersion, source_count: int, *, on: date, after: str | None, limit: int
) -> list[str]:
    """Return up to limit + 1 codes that one source of a version has in force and another has not, or has under another label."""
    valid = _valid_on(on, None)
    having = func.count(case((valid, CodeSetEntry.source)).distinct())
    labels = func.count(case((valid, func.coalesce(CodeSetEntry.label, ""))).distinct())
    query = select(CodeSetEntry.code).where(_in_version(row.name, row.version)).group_by(CodeSetEntry.code)
    query = query.having(and_(having > 0, or_(having < source_count, labels > 1)))
    query = query.order_by(CodeSetEntry.code).limit(limit + 1)
    return list(await tx.scalars(query if after is None else query.where(CodeSetEntry.code > after)))


async def differing(
    tx: AsyncSession, name: str, older: int, newer: int, *, after: str | None, limit: int
) -> tuple[list[str], dict[str, tuple[list[Entry], list[Entry]]]]:
    """Return up to limit + 1 codes of which two versions say different things, and what each says (older, newer)."""
    row = CodeSetEntry
    ended = and_(row.from_version <= older, row.until_version > older, row.until_version <= newer)
    begun = and_(row.from_version > older, row.from_version <= newer, or_(row.until_version.is_(None), row.until_version > newer))
    codes = await _by_code(tx, select(row.code).where(row.name == name, or_(ended, begun)), after, limit)
    before = await entries_of(tx, name, older, codes)
    behind = await entries_of(tx, name, newer, codes)
    return codes, {code: (before.get(code, []), behind.get(code, [])) for code in codes}


async def _by_code(tx: AsyncSession, query: Select[str], after: str | None, limit: int) -> list[str]:
    query = query.distinct().order_by(CodeSetEntry.code).limit(limit + 1)
    return list(await tx.scalars(query if after is None else query.where(CodeSetEntry.code > after)))


async def due_for_change(tx: AsyncSession, today: date) -> list[str]:
    """Return the code sets of which a code has begun or ended since the day their newest version speaks of."""
    entry, version = CodeSetEntry, CodeSetVersion

    def passed(bound: ColumnElement[date | None]) -> ColumnElement[bool]:
        return and_(bound > version.codes_on, bound <= today)

    query = (
        select(CodeSet.name)
        .join(version, and_(version.name == CodeSet.name, version.version == CodeSet.version))
        .join(entry, and_(entry.name == CodeSet.name, entry.until_version.is_(None)))
        .where(
            CodeSet.retired_at.is_(None),
            version.codes_on < today,
            or_(passed(entry.valid_from.expression), passed(entry.valid_until.expression)),
        )
    )
    return sorted(await tx.scalars(query.distinct()))
