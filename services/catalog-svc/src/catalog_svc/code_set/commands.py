"""What changes code sets."""

import re
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.code_set import domain, store
from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import Entry, day_of, in_force
from catalog_svc.code_set.errors import CodeSetForeign, CodeSetInvalid, CodeSetIsRetired
from catalog_svc.organization.store import Organization
from catalog_svc.resource import store as resources
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog_events import CodeSetPublished, CodeSetRetired
from dxmesh_schemas.problem import Fault, Forbidden

Pointer = Callable[[int, str], str]
"""From the index of an entry and its field to the JSON pointer the sender knows it by."""


class Put(NamedTuple):
    """What came of putting a source's entries: the version, whether it is new, and the entries left out."""

    version: store.CodeSetVersion
    is_new: bool
    refused: list[Fault]


class Retired(NamedTuple):
    """A code set that was retired, and the resources in force whose items still use it."""

    code_set: store.CodeSet
    used_by: Sequence[UUID]


async def publish(
    tx: AsyncSession,
    name: str,
    *,
    about: About,
    entries: Sequence[Entry],
    pointer: Pointer,
    by: str,
    now: datetime,
    owner: Organization | None = None,
) -> tuple[store.CodeSetVersion, bool]:
    """Put a code set in force; return its version and whether it is new. The same content, in any order, is the same version.

    Raises: CodeSetForeign (403), CodeSetInvalid (422), CodeSetIsRetired (409).
    Emits: catalog.code_set.published.v1, with the codes in force today, when the version is new.
    """
    refuse_foreign(name, owner)
    settled = await checked(tx, name, about=about, entries=entries, pointer=pointer, now=now)
    row = await store.lock(tx, name, title=about.title, now=now, organization_id=owner.organization_id if owner is not None else None)
    return await _advance(tx, row, about, settled, by=by, now=now)


async def checked(tx: AsyncSession, name: str, *, about: About, entries: Sequence[Entry], pointer: Pointer, now: datetime) -> list[Entry]:
    """Return entries with what their codes say filled in. Raises: CodeSetInvalid (422) for what no version may hold."""
    outer = await _outer(tx, name, about)
    settled = domain.settle(entries, about.kind, outer)
    _refuse(_named(settled, domain.entry_faults(settled, outer=outer), pointer))
    today = day_of(now)
    codes = in_force(settled, today, leading_source=about.leading_source)
    _refuse_size(codes, len(settled), about, today)
    _refuse_large(CodeSetPublished(name=name, version=1, title=about.title, codes=tuple(codes)))
    return settled


def refuse_foreign(name: str, owner: Organization | None) -> None:
    """Refuse a name that stands in another's name space. Raises: CodeSetForeign (403)."""
    uscc = domain.owner_of(name)
    if owner is not None and uscc != owner.uscc:
        space = domain.space_of(owner.uscc)
        raise CodeSetForeign(f"names of your organization's code sets begin with {space!r}; publish it as {space}…", begins_with=space)
    if owner is None and uscc is not None:
        raise CodeSetForeign(f"{name!r} is for the organization {uscc} to publish; choose a name that begins otherwise")


async def put_sources(
    tx: AsyncSession,
    name: str,
    *,
    sources: Collection[str],
    about: Callable[[About | None], About],
    entries: Sequence[Entry],
    pointer: Pointer,
    skip_bad: bool,
    by: str,
    now: datetime,
) -> Put:
    """Put what some sources say in place of what they said before, beside what the others say.

    `about` makes what the set is from what it was; `skip_bad` leaves faulty entries out and names them, else one refuses all.
    Raises: CodeSetForeign (403), CodeSetInvalid (422), CodeSetIsRetired (409).
    Emits: catalog.code_set.published.v1, when the version is new.
    """
    refuse_foreign(name, None)
    row = await store.lock(tx, name, title=name, now=now)
    own = about((await store.get_version(tx, name)).about if row.version else None)
    outer = await _outer(tx, name, own)
    others = [entry for _, entry in await store.entries_now(tx, name) if entry.source not in sources]
    places, refused = list(range(len(entries))), list[Fault]()
    while True:
        settled = domain.settle([*(entries[place] for place in places), *others], own.kind, outer)
        kept = places

        def where(index: int, field: str, kept: list[int] = kept) -> str:
            return pointer(kept[index], field) if index < len(kept) else f"/sources/{others[index - len(kept)].source}"

        found = domain.entry_faults(settled, outer=outer, limit=len(settled) if skip_bad else domain.MAX_FAULTS)
        bad = {index for index, _, _ in found}
        if not found:
            break
        if not skip_bad or any(index >= len(places) for index in bad):
            _refuse(_named(settled, found[: domain.MAX_FAULTS], where))
        refused += _named(settled, found, where)
        places = [place for index, place in enumerate(places) if index not in bad]
    version, is_new = await _advance(tx, row, own, settled, by=by, now=now)
    return Put(version, is_new, refused)


async def bring_into_force(tx: AsyncSession, name: str, *, now: datetime) -> store.CodeSetVersion | None:
    """Make a version with today's codes, when a code began or ended since the last one; None when nothing changed.

    Emits: catalog.code_set.published.v1.
    """
    title = (await store.get_version(tx, name)).title
    row = await store.lock(tx, name, title=title, now=now)
    about = (await store.get_version(tx, name)).about
    entries = [entry for _, entry in await store.entries_now(tx, name)]
    version, is_new = await _advance(tx, row, about, entries, by=None, now=now)
    return version if is_new else None


async def retire(tx: AsyncSession, name: str, *, reason: str, by: Principal, now: datetime) -> Retired:
    """Take a code set out of use: what uses it in force goes on, nothing new does; its versions stay, its name is not given again.

    Raises: CodeSetNotFound (404), Forbidden (403), CodeSetIsRetired (409).
    Emits: catalog.code_set.retired.v1.
    """
    row = await store.get(tx, name, lock=True)
    if not (by.has("authority") or (by.has("steward") and row.organization_id is not None and row.organization_id == by.organization_id)):
        raise Forbidden("a code set is retired by a steward of the organization whose it is, or by the data authority")
    refuse_retired(row)
    row.retired_at, row.retired_by, row.retirement_reason = now, by.subject, reason
    await tx.flush()
    used_by = await resources.with_code_set(tx, name)
    await outbox.add(tx, CodeSetRetired(name=name, version=row.version, title=row.title, reason=reason, retired_at=now), now=now)
    return Retired(row, used_by)


def refuse_retired(row: store.CodeSet | None) -> None:
    """Refuse to go on with a retired code set. Raises: CodeSetIsRetired (409)."""
    if row is not None and row.retired_at is not None:
        raise CodeSetIsRetired(
            f"{row.name!r} is retired since {day_of(row.retired_at)} ({row.retirement_reason}); publish under another name"
        )


async def _outer(tx: AsyncSession, name: str, about: About) -> set[str]:
    """Return the codes of the parent set. Raises: CodeSetInvalid (422) when it has none."""
    if about.parent_set is None:
        return set()
    codes = await store.codes_now(tx, about.parent_set) if about.parent_set != name else set()
    if not codes:
        _refuse([("/parent_set", f"{about.parent_set!r} is no other code set that is known; publish it first, or leave it out")])
    return codes


def _named(entries: Sequence[Entry], faults: Sequence[domain.EntryFault], pointer: Pointer) -> list[Fault]:
    """Return faults by the pointers the sender knows; what a fault says of another entry is put the same way."""

    def other(found: re.Match[str]) -> str:
        return pointer(int(found[1]), "code")

    return [
        (pointer(index, field), re.sub(r"/entries/(\d+)", other, f"{entries[index].code[:50]!r} {what}")) for index, field, what in faults
    ]


async def _advance(
    tx: AsyncSession, row: store.CodeSet, about: About, entries: Sequence[Entry], *, by: str | None, now: datetime
) -> tuple[store.CodeSetVersion, bool]:
    """Write the next version of a locked set, unless it would say what the newest one says. Raises: CodeSetIsRetired (409)."""
    refuse_retired(row)
    today = day_of(now)
    codes = in_force(entries, today, leading_source=about.leading_source)
    if by is not None:  # what the calendar changes is never refused
        _refuse_size(codes, len(entries), about, today)
    current = await store.get_version(tx, row.name) if row.version else None
    stored = await store.entries_now(tx, row.name) if row.version else []
    wanted, held = set(entries), {entry for _, entry in stored}
    if current is not None and current.about == about and wanted == held and set(codes) == set(current.codes):
        return current, False
    row.title, row.version, row.code_count, row.kind, row.published_at = about.title, row.version + 1, len(codes), about.kind.value, now
    event = CodeSetPublished(name=row.name, version=row.version, title=about.title, codes=tuple(codes), organization_id=row.organization_id)
    _refuse_large(event)
    version = store.CodeSetVersion(
        of=row,
        name=row.name,
        version=row.version,
        title=about.title,
        codes=codes,
        published_at=now,
        kind=about.kind.value,
        standard=about.standard,
        parent_set=about.parent_set,
        leading_source=about.leading_source,
        codes_on=today,
        entry_count=len(entries),
        published_by=by,
    )
    tx.add(version)
    await tx.flush()
    gone = [entry_id for entry_id, entry in stored if entry not in wanted]
    fresh = [entry for entry in entries if entry not in held]
    await store.change_entries(tx, row.name, version=row.version, gone=gone, fresh=fresh)
    await outbox.add(tx, event, now=now)
    return version, True


def _refuse_size(codes: Sequence[str], entry_count: int, about: About, today: date) -> None:
    fault = domain.size_fault(codes, entry_count, today)
    if fault is not None and not codes and about.leading_source is not None:
        fault = f"{fault}; the leading source {about.leading_source!r} alone decides what is in force"
    _refuse([("/codes", fault)] if fault else [])


def _refuse_large(event: CodeSetPublished) -> None:
    fault = domain.event_fault(event)
    _refuse([fault] if fault else [])


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise CodeSetInvalid.of(faults)
