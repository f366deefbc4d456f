"""From the rows of a kept list's file to the entries they ask for, row by row, with what is wrong named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from catalog_svc.sharing_list import domain, template
from catalog_svc.sharing_list.domain import EntryChange, KeptKind, ListKind, Owned
from catalog_svc.sharing_list.sheet import Sheet, choice
from dxmesh_schemas.text import comparable

_COLUMNS = {
    "/name": "name",
    "/content": "content",
    "/status": "status",
    "/due_on": "due_on",
    "/resource_id": "resource_code",
    "/system_id": "system_name",
    "/counterpart_id": "counterpart_uscc",
    "/basis": "basis_kind",
    "/basis/kind": "basis_kind",
    "/basis/title": "basis_title",
    "/basis/article": "basis_article",
    "/forbids": "forbids",
}
_KEY = ("kind", "title", "article")


@dataclass(frozen=True, slots=True)
class Known:
    """What is registered, as far as a file speaks of it."""

    owners: Mapping[str, UUID]  # by uscc: organizations whose entries the caller keeps
    organizations: Mapping[str, UUID]  # by uscc: all
    resources: Mapping[str, tuple[UUID, UUID, bool]]  # by code: id, provider, whether in force
    systems: Mapping[tuple[UUID, str], UUID]  # by owner and compared name


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry a row asks for: of `entry_id` when the row names one, else of that owner and name."""

    row: int
    owner_id: UUID
    name_key: str
    entry_id: UUID | None
    version: int | None
    entry: EntryChange


@dataclass(slots=True)
class _Seen:
    names: dict[tuple[UUID, str], int] = field(default_factory=dict)
    ids: dict[UUID, int] = field(default_factory=dict)


def wanted(kind: KeptKind, found: Sheet, known: Known) -> list[Wanted]:
    """Return the entries of the rows that are good, noting in `found` what is wrong with the others."""
    entries = []
    seen = _Seen()
    for row, cells in found.cells:
        entry = _row(kind, found, row, cells, known)
        if entry is not None and _is_first(found, entry, seen):
            entries.append(entry)
    return entries


def _is_first(found: Sheet, entry: Wanted, seen: _Seen) -> bool:
    first = seen.names.setdefault((entry.owner_id, entry.name_key), entry.row)
    if first != entry.row:
        found.fault(entry.row, "name", f"the owner and name are those of row {first}", "remove one of the two rows")
        return False
    if entry.entry_id is not None and (first := seen.ids.setdefault(entry.entry_id, entry.row)) != entry.row:
        found.fault(entry.row, "entry_id", f"is that of row {first}", "remove one of the two rows")
        return False
    return True


def _row(kind: KeptKind, found: Sheet, row: int, cells: Mapping[str, Any], known: Known) -> Wanted | None:
    before = found.fault_count
    for column in template.COLUMNS[found.kind]:
        if column.is_needed and cells.get(column.field) is None:
            found.fault(row, column.field, "is empty")
    owner_id = _owner(found, row, cells, known)
    entry_id = _id(found, row, cells.get("entry_id"))
    fields = _fields(found, row, cells, known, owner_id)
    if owner_id is None or found.fault_count > before:
        return None
    try:
        entry = EntryChange.model_validate(fields)
    except ValidationError as wrong:
        for one in wrong.errors(include_url=False, include_context=False):
            pointer = "/" + "/".join(str(part) for part in one["loc"][:2])
            found.fault(row, _COLUMNS.get(pointer, "name"), one["msg"].removeprefix("Value error, "))
        return None
    for pointer, what in domain.faults(kind, entry, Owned(owner_id)):
        reason, _, remedy = what.partition("; ")
        found.fault(row, _COLUMNS[pointer], reason, remedy or None)
    if found.fault_count > before:
        return None
    return Wanted(row, owner_id, comparable(entry.name), entry_id, cells.get("version"), entry)


def _owner(found: Sheet, row: int, cells: Mapping[str, Any], known: Known) -> UUID | None:
    uscc = cells.get("owner_uscc")
    if uscc is None:
        return None
    if uscc not in known.owners:
        reason = "is an organization you do not keep entries of" if uscc in known.organizations else "is no registered organization"
        found.fault(row, "owner_uscc", f"{uscc!r} {reason}")
        return None
    return known.owners[uscc]


def _id(found: Sheet, row: int, text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        found.fault(row, "entry_id", f"{text!r} is no number of an entry")
        return None


def _fields(found: Sheet, row: int, cells: Mapping[str, Any], known: Known, owner_id: UUID | None) -> dict[str, Any]:
    fields: dict[str, Any] = {name: cells.get(name) for name in ("name", "content", "due_on")}
    fields["content"] = fields["content"] or ""
    fields["status"] = _choice(found, row, cells, "status", domain.STATUS_TITLES)
    if (code := cells.get("resource_code")) is not None:
        resource_id, provider_id, in_force = known.resources.get(code, (None, None, False))
        is_others = in_force and found.kind is not ListKind.NEGATIVE
        if resource_id is None or not (is_others or provider_id == owner_id):
            which = "of the owner" if found.kind is ListKind.NEGATIVE else "in force, nor one of the owner"
            found.fault(row, "resource_code", f"{code!r} is no data resource {which}")
        fields["resource_id"] = resource_id
    if (name := cells.get("system_name")) is not None and owner_id is not None:
        fields["system_id"] = known.systems.get((owner_id, comparable(name)))
        if fields["system_id"] is None:
            found.fault(row, "system_name", f"{name!r} is no system of the owner")
    if (uscc := cells.get("counterpart_uscc")) is not None:
        fields["counterpart_id"] = known.organizations.get(uscc)
        if fields["counterpart_id"] is None:
            found.fault(row, "counterpart_uscc", f"{uscc!r} is no registered organization")
    if any(cells.get(f"basis_{name}") is not None for name in _KEY):
        kind = _choice(found, row, cells, "basis_kind", template.BASIS_TITLES)
        fields["basis"] = {"kind": kind, "title": cells.get("basis_title"), "article": cells.get("basis_article")}
    fields["forbids"] = _choice(found, row, cells, "forbids", domain.FORBIDS_TITLES)
    return fields


def _choice(found: Sheet, row: int, cells: Mapping[str, Any], name: str, titles: Mapping[Any, str]) -> Any:
    try:
        return choice(titles, cells.get(name))
    except ValueError as wrong:
        found.fault(row, name, str(wrong))
        return None
