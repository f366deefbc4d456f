"""What changes the lists that are kept."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.organization import store as organizations
from catalog_svc.resource import store as resources
from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.rules import effective_sharing
from catalog_svc.sharing_list import domain, plan, scenario, store, telling
from catalog_svc.sharing_list.domain import EntryChange, KeptKind, Owned, Part, Status
from catalog_svc.sharing_list.errors import ImportRefused, ListEntryInvalid, ListEntryPassed, ListEntryTaken
from catalog_svc.sharing_list.sheet import RowFault, Sheet
from catalog_svc.system import store as systems
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import DataItem, OpenType, SharingType
from dxmesh_schemas.catalog_events import ResourcePublished
from dxmesh_schemas.exchange import GrantActivated
from dxmesh_schemas.problem import Fault, Forbidden
from dxmesh_schemas.text import comparable

Mode = Literal["all", "good"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, in rows; faults are named up to a thousand."""

    received_count: int
    created_count: int
    changed_count: int
    unchanged_count: int
    refused_count: int
    faults: Sequence[RowFault]


def keeps(who: Principal, organization_id: UUID) -> bool:
    """Say whether the caller keeps this owner's entries: its own steward, or the data authority."""
    return who.has("authority") or (who.has("steward") and who.organization_id == organization_id)


def refuse_reader(who: Principal) -> None:
    """Raise Forbidden (403) for a caller that keeps no entries at all."""
    if not (who.has("authority") or who.has("steward")):
        raise Forbidden("lists are kept by stewards of the owners and the data authority")


async def create(
    tx: AsyncSession, kind: KeptKind, organization_id: UUID, entry: EntryChange, *, by: Principal, now: datetime
) -> store.ListEntry:
    """Enter an entry of a list.

    Raises: Forbidden (403), OrganizationNotFound (404), ListEntryInvalid (422), ListEntryTaken (409).
    Emits: catalog.list_entry.entered.v1.
    Source: 政务数据共享责任清单, 需求清单, 负面清单: an owner, a status and a due date each.
    """
    refuse_reader(by)
    if not keeps(by, organization_id):
        raise Forbidden("an entry is kept by a steward of its owner or the data authority")
    await store.hold(tx, kind.value, alone=False)
    await organizations.get(tx, organization_id, lock=True)
    await _check(tx, kind, entry, organization_id, row=None)
    row = store.ListEntry(
        entry_id=uuid7(), kind=kind.value, organization_id=organization_id, version=1, created_at=now, **_fields(kind, entry)
    )
    row.changed_at, row.changed_by = now, by.subject
    tx.add(row)
    await tx.flush()
    await telling.keep_and_tell(tx, [row.entry_id], now=now)
    return row


async def change(
    tx: AsyncSession,
    kind: KeptKind,
    entry_id: UUID,
    entry: EntryChange,
    *,
    by: Principal,
    versions: Sequence[int] | None,
    now: datetime,
) -> store.ListEntry:
    """Change an entry, keeping what it was; the same again changes nothing. A scenario that says something else is approved anew.

    Raises: Forbidden (403), ListEntryNotFound (404), ListEntryPassed (412), ListEntryInvalid (422), ListEntryTaken (409).
    Emits: catalog.list_entry.changed.v1 or .ended.v1.
    """
    refuse_reader(by)
    await store.hold(tx, kind.value, alone=False)
    owner_id = (await store.get(tx, kind, entry_id)).organization_id
    if not keeps(by, owner_id):
        raise Forbidden("an entry is kept by a steward of its owner or the data authority")
    await organizations.get(tx, owner_id, lock=True)
    row = await store.get(tx, kind, entry_id, lock=True)
    if versions is not None and row.version not in versions:
        raise ListEntryPassed("read the entry again and repeat the change on what it is now", version=row.version)
    await _check(tx, kind, entry, owner_id, row=row)
    wanted = _kept_approvals(_fields(kind, entry), row)
    if all(getattr(row, name) == value for name, value in wanted.items()):
        return row
    for name, value in wanted.items():
        setattr(row, name, value)
    row.version, row.changed_at, row.changed_by = row.version + 1, now, by.subject
    await tx.flush()
    await telling.keep_and_tell(tx, [row.entry_id], now=now)
    return row


async def negative_faults(tx: AsyncSession, entry: Definition | Settled, *, organization_id: UUID, resource_id: UUID | None) -> list[Fault]:
    """Return what of a resource's entry its provider's negative list forbids: how it is shared, or that it is opened."""
    entries = await store.list_forbidding(
        tx, organization_id, resource_id=resource_id, system_id=entry.system_id, name_key=comparable(entry.name)
    )
    whole = Part(effective_sharing(entry), entry.open_type)
    items = {item.code: _part(f"/items/{place}", item, whole) for place, item in enumerate(entry.items)}
    return domain.forbidden(entries, whole, items)


async def meet_by_publication(tx: AsyncSession, resource_ids: Collection[UUID], *, now: datetime) -> None:
    """Count open duties as done by the version in force that they wait for, and demands as answered: it can be asked for by now."""
    found = await store.in_force(tx, resource_ids)
    for kind, status in ((KeptKind.DUTY, Status.DONE), (KeptKind.DEMAND, Status.IN_PROGRESS)):
        await store.hold(tx, kind.value, alone=False)
        await _meet(tx, await store.lock_waiting(tx, kind, found), status, by=ResourcePublished.SOURCE, now=now)


async def meet_by_grant(tx: AsyncSession, granted: Collection[tuple[UUID, UUID]], *, now: datetime) -> None:
    """Count demands as done by grants, each of (requester, resource): whoever asked reads the data by now."""
    found = await store.in_force(tx, {resource_id for _, resource_id in granted})
    await store.hold(tx, KeptKind.DEMAND.value, alone=False)
    waiting = await store.lock_waiting(tx, KeptKind.DEMAND, found)
    met = [(row, resource_id) for row, resource_id in waiting if (row.organization_id, resource_id) in granted]
    await _meet(tx, met, Status.DONE, by=GrantActivated.SOURCE, now=now)


async def import_entries(tx: AsyncSession, kind: KeptKind, found: Sheet, *, mode: Mode, by: Principal, now: datetime) -> Imported:
    """Enter and change the entries a file asks for: all of them or none, or (mode good) those whose row is good.

    Rows of an owner and name that the list has are that entry: an import twice over enters nothing twice.
    Raises: Forbidden (403), ImportRefused (422).
    Emits: catalog.list_entry.entered.v1, .changed.v1 and .ended.v1, one for each entry that is written.
    """
    refuse_reader(by)
    await store.hold(tx, kind.value, alone=True)
    known = await _known(tx, found, by)
    # in a thread: a large file must not keep others waiting
    wanted = await asyncio.to_thread(plan.wanted, kind, found, known)
    present = await store.entries_of(tx, kind, {one.owner_id for one in wanted})
    by_id = {row.entry_id: row for row in present}
    by_name = {(row.organization_id, row.name_key): row for row in present}
    fresh, changed, unchanged = list[dict[str, Any]](), list[dict[str, Any]](), 0
    touched: dict[UUID, int] = {}
    for one in wanted:
        row = by_name.get((one.owner_id, one.name_key))
        if one.entry_id is not None:
            named = by_id.get(one.entry_id)
            if named is None or named.organization_id != one.owner_id:
                found.fault(one.row, "entry_id", "is no entry of this owner in the list")
                continue
            if row is not None and row is not named:
                found.fault(one.row, "name", "is that of another entry of the owner", "choose another name")
                continue
            row = named
        fields = _unsaid(_fields(kind, one.entry), row)
        if row is not None and (first := touched.setdefault(row.entry_id, one.row)) != one.row:
            found.fault(one.row, "name", f"is the entry that row {first} speaks of", "remove one of the two rows")
            continue
        stamp = {"changed_at": now, "changed_by": by.subject}
        if row is None:
            identity = {"entry_id": uuid7(), "kind": kind.value, "organization_id": one.owner_id}
            fresh.append({**identity, "version": 1, "created_at": now, **stamp, **fields})
        elif all(getattr(row, name) == value for name, value in fields.items()):
            unchanged += 1
        elif one.version is not None and one.version != row.version:
            found.fault(one.row, "version", f"the entry was changed meanwhile: its version is {row.version}", "export the list again")
        else:
            changed.append({"entry_id": row.entry_id, "version": row.version + 1, **stamp, **fields})
    refuse_faulty(found, mode)
    await store.write(tx, fresh, changed)
    await telling.keep_and_tell(tx, [row["entry_id"] for row in (*fresh, *changed)], now=now)
    return Imported(found.row_count, len(fresh), len(changed), unchanged, len(found.refused_rows), found.faults)


def refuse_faulty(found: Sheet, mode: Mode) -> None:
    """Raise ImportRefused (422) when a row is wrong and all were to be taken, or when none is good."""
    refused = found.refused_rows
    if not refused or (mode == "good" and len(refused) < found.row_count):
        return
    first = found.faults[0]
    detail = f"{len(refused)} of {found.row_count} rows are wrong and nothing was kept; row {first.row}"
    detail += f", column {first.column}" if first.column else ""
    raise ImportRefused(
        f"{detail}: {first.reason}; {first.remedy}. Mend the rows and send the file again"
        + (", or send it with mode=good to keep the others" if len(refused) < found.row_count else ""),
        errors=[fault.as_error() for fault in found.faults],
        received_count=found.row_count,
        refused_count=len(refused),
    )


async def _known(tx: AsyncSession, found: Sheet, by: Principal) -> plan.Known:
    every = await store.organizations_by_uscc(tx)
    named = {cells.get("owner_uscc") for _, cells in found.cells}
    owners = {uscc: owner for uscc, owner in every.items() if uscc in named and keeps(by, owner)}
    codes = {code for _, cells in found.cells if (code := cells.get("resource_code")) is not None}
    return plan.Known(
        owners=owners,
        organizations=every,
        resources=await store.resources_by_code(tx, codes, owners.values()) if codes else {},
        systems=await store.systems_by_name(tx, owners.values()),
    )


async def _meet(tx: AsyncSession, entries: Sequence[tuple[store.ListEntry, UUID]], status: Status, *, by: str, now: datetime) -> None:
    """Write into entries which resource meets them; what is so already stays as it is."""
    changed = [(row, resource_id) for row, resource_id in entries if (row.resource_id, row.status) != (resource_id, status.value)]
    for row, resource_id in changed:
        row.resource_id, row.status = resource_id, status.value
        row.version, row.changed_at, row.changed_by = row.version + 1, now, by
    if changed:
        await tx.flush()
        await telling.keep_and_tell(tx, [row.entry_id for row, _ in changed], now=now)


def _fields(kind: KeptKind, entry: EntryChange) -> dict[str, Any]:
    return {
        "name": entry.name,
        "name_key": comparable(entry.name),
        "content": entry.content,
        "status": (entry.status or domain.first_status(kind)).value,
        "due_on": entry.due_on,
        "counterpart_id": entry.counterpart_id,
        "resource_id": entry.resource_id,
        "items": list(entry.items),
        "system_id": entry.system_id,
        "basis": entry.basis.model_dump(mode="json") if entry.basis else None,
        "forbids": (entry.forbids or domain.Forbids.SHARING).value if kind is KeptKind.NEGATIVE else None,
        "scenario": _said(entry.scenario) if entry.scenario else None,
        "approvals": list[dict[str, Any]](),
    }


def _said(wanted: scenario.TermsIn) -> dict[str, Any]:
    """Return a scenario as it is kept: terms it does not say are left out, so that it compares equal to what was approved before."""
    return wanted.model_dump(mode="json", exclude={"terms"} if wanted.terms is None else None)


def _kept_approvals(wanted: dict[str, Any], row: store.ListEntry) -> dict[str, Any]:
    before = {name: getattr(row, name) for name in ("name", "content", "scenario")}
    return wanted | {"approvals": row.approvals} if domain.keeps_approvals(before, wanted) else wanted


def _unsaid(wanted: dict[str, Any], row: store.ListEntry | None) -> dict[str, Any]:
    """Add what a file does not say of an entry that is there: its scenario stays, and its items as long as it is of the same resource."""
    if row is None:
        return wanted
    items = row.items if wanted["resource_id"] == row.resource_id else []
    return _kept_approvals(wanted | {"scenario": row.scenario, "items": items}, row)


def _part(pointer: str, item: DataItem, whole: Part) -> Part:
    return Part(
        SharingType.NOT_SHARED if whole.sharing is SharingType.NOT_SHARED else item.sharing_type,
        OpenType.CLOSED if whole.opening is OpenType.CLOSED else item.open_type,
        pointer,
    )


async def _check(tx: AsyncSession, kind: KeptKind, entry: EntryChange, owner_id: UUID, *, row: store.ListEntry | None) -> None:
    resource = await tx.get(resources.Resource, entry.resource_id) if entry.resource_id else None
    resource_is_known = entry.resource_id is None or (row is not None and row.resource_id == entry.resource_id)
    if not resource_is_known:
        is_others = kind is not KeptKind.NEGATIVE and resource is not None and resource.version > 0
        resource_is_known = resource is not None and resource.withdrawn_at is None and (is_others or resource.organization_id == owner_id)
    system = await systems.find(tx, entry.system_id) if entry.system_id else None
    asks_or_names = entry.counterpart_id is not None or entry.scenario is not None
    every: Collection[UUID] = (await store.organizations_by_uscc(tx)).values() if asks_or_names else ()
    owned = Owned(
        owner_id,
        knows_resource=resource_is_known,
        knows_system=system is not None and system.organization_id == owner_id,
        knows_counterpart=entry.counterpart_id in every,
        items=_codes(resource, owner_id) if resource is not None and resource_is_known else None,
    )
    faults = domain.faults(kind, entry, owned)
    if entry.scenario is not None and (row is None or row.scenario != entry.scenario.model_dump(mode="json")):
        named = {data.resource_id for data in entry.scenario.data if data.resource_id is not None}
        items = {key: _item_codes(one) for key, one in (await resources.definitions_of_published(tx, named)).items()}
        faults += scenario.faults(entry.scenario, organizations=set(every), items=items)
    if faults:
        raise ListEntryInvalid.of(faults)
    known = await store.find_by_name(tx, kind, owner_id, comparable(entry.name))
    if known is not None and (row is None or known.entry_id != row.entry_id):
        detail = f"the owner has an entry called {known.name!r} in this list; change that one, or choose another name"
        raise ListEntryTaken.at("/name", detail, entry_id=str(known.entry_id))


def _codes(resource: resources.Resource, owner_id: UUID) -> Collection[str]:
    """Return the codes of a resource's items in force, and to its provider those of its draft."""
    draft = resource.draft if resource.organization_id == owner_id else None
    return _item_codes(resource.definition or {}) | _item_codes(draft or {})


def _item_codes(definition: Mapping[str, Any]) -> set[str]:
    return {item["code"] for item in definition.get("items", ())}
