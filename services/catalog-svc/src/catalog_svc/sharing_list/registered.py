"""What a file of the system or data list enters into the register: systems, and resources as drafts; what is there stays as it is."""

from datetime import datetime
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.resource import commands as resources
from catalog_svc.resource import store as resource_store
from catalog_svc.resource.definition import Definition
from catalog_svc.resource.domain import CodeScheme
from catalog_svc.sharing_list import catalog_file, store, template
from catalog_svc.sharing_list.catalog_file import Group
from catalog_svc.sharing_list.commands import Imported, Mode, keeps, refuse_faulty, refuse_reader
from catalog_svc.sharing_list.domain import ListKind
from catalog_svc.sharing_list.errors import ImportTooLarge
from catalog_svc.sharing_list.sheet import Cells, Sheet, choice
from catalog_svc.system import commands as systems
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.problem import Problem
from dxmesh_schemas.text import check_name, comparable

MAX_SYSTEMS = 5_000
MAX_RESOURCES = 2_000
"""Of one import: each is entered by the rules of its own noun, in one transaction for all."""


async def import_systems(tx: AsyncSession, found: Sheet, *, mode: Mode, by: Principal, now: datetime) -> Imported:
    """Register the systems of a file; one the owner has by that name already is left as it is.

    Raises: Forbidden (403), ImportRefused (422), ImportTooLarge (413).
    Emits: catalog.system.registered.v1 for each new one.
    """
    refuse_reader(by)
    if found.row_count > MAX_SYSTEMS:
        raise ImportTooLarge(f"one import takes {MAX_SYSTEMS} systems; split the file", max_rows=MAX_SYSTEMS)
    await store.hold(tx, ListKind.SYSTEM.value, alone=True)
    every = await store.organizations_by_uscc(tx)
    known = await store.systems_by_name(tx, [owner for owner in every.values() if keeps(by, owner)])
    seen: dict[tuple[UUID, str], int] = {}
    created = unchanged = 0
    for row, cells in found.cells:
        before = found.fault_count
        named = _system(found, row, cells, every, by)
        extras = _extras(found, row, cells)
        if named is None or found.fault_count > before:
            continue
        owner_id, name = named
        key = (owner_id, comparable(name))
        if (first := seen.setdefault(key, row)) != row:
            found.fault(row, "name", f"the owner and name are those of row {first}", "remove one of the two rows")
        elif key in known:
            unchanged += 1
        else:
            try:
                async with tx.begin_nested():
                    await systems.register(tx, owner_id, name=name, by=by, now=now, **extras)
                created += 1
            except Problem as wrong:
                found.fault(row, "name", wrong.detail)
    refuse_faulty(found, mode)
    return Imported(found.row_count, created, 0, unchanged, len(found.refused_rows), found.faults)


def _system(found: Sheet, row: int, cells: Cells, every: dict[str, UUID], by: Principal) -> tuple[UUID, str] | None:
    owner_id = _owner(found, row, cells.get("owner_uscc"), "owner_uscc", every, by)
    name = cells.get("name")
    if name is None:
        found.fault(row, "name", "is empty")
        return None
    try:
        checked = check_name(name)
        if len(checked) > 200:
            raise ValueError(f"has {len(checked)} characters")
    except ValueError as wrong:
        found.fault(row, "name", str(wrong))
        return None
    return (owner_id, checked) if owner_id is not None else None


def _extras(found: Sheet, row: int, cells: Cells) -> systems.Extras:
    extras = systems.Extras()
    for name, titles in (("kind", template.SYSTEM_TITLES), ("on_gov_cloud", {True: "是", False: "否"})):
        try:
            chosen = choice(titles, cells.get(name))
        except ValueError as wrong:
            found.fault(row, name, str(wrong))
            continue
        if chosen is not None:
            extras[name] = chosen  # type: ignore[literal-required]  # one of the two names above
    return extras


def _owner(found: Sheet, row: int, uscc: str | None, field: str, every: dict[str, UUID], by: Principal) -> UUID | None:
    if uscc is None:
        found.fault(row, field, "is empty")
        return None
    owner_id = every.get(uscc)
    if owner_id is None or not keeps(by, owner_id):
        reason = "is no registered organization" if owner_id is None else "is an organization you do not keep entries of"
        found.fault(row, field, f"{uscc!r} {reason}")
        return None
    return owner_id


async def import_resources(tx: AsyncSession, found: Sheet, *, mode: Mode, by: Principal, now: datetime, scheme: CodeScheme) -> Imported:
    """Enter the resources of a file as drafts; one the provider has by that name already is left as it is.

    The counts are of rows; a resource is taken with all its rows or not at all.
    Raises: Forbidden (403), ImportRefused (422), ImportTooLarge (413).
    Source: 编制指南 (发改高技〔2017〕1272号), the template's columns.
    """
    refuse_reader(by)
    gathered = catalog_file.groups(found)
    if len(gathered) > MAX_RESOURCES:
        raise ImportTooLarge(f"one import takes {MAX_RESOURCES} resources; split the file", max_resources=MAX_RESOURCES)
    await store.hold(tx, ListKind.DATA.value, alone=True)
    every = await store.organizations_by_uscc(tx)
    known = await store.systems_by_name(tx, [owner for owner in every.values() if keeps(by, owner)])
    created = unchanged = 0
    for group in gathered:
        is_new = None
        if found.refused_rows.isdisjoint(row for row, _ in group.rows):
            is_new = await _enter(tx, found, group, every, known, by, now, scheme)
        if is_new is None:
            _refuse_rest(found, group)
        elif is_new:
            created += len(group.rows)
        else:
            unchanged += len(group.rows)
    refuse_faulty(found, mode)
    return Imported(found.row_count, created, 0, unchanged, len(found.refused_rows), found.faults)


def _refuse_rest(found: Sheet, group: Group) -> None:
    for row, _ in group.rows:
        if row not in found.refused_rows:
            found.fault(row, None, f"belongs to the resource of row {group.row}, which has a fault", "mend that row")


async def _enter(
    tx: AsyncSession,
    found: Sheet,
    group: Group,
    every: dict[str, UUID],
    known: dict[tuple[UUID, str], UUID],
    by: Principal,
    now: datetime,
    scheme: CodeScheme,
) -> bool | None:
    """Enter a group's resource; return whether it is new, None when it has a fault."""
    before = found.fault_count
    owner_id = _owner(found, group.row, group.first.get("provider_uscc"), "provider_uscc", every, by)
    for name in template.NEEDED[ListKind.DATA]:
        if name not in ("item_name", "item_type", "provider_uscc") and group.first.get(name) is None:
            found.fault(group.row, name, "is empty")
    for row, cells in group.rows:
        for name in ("item_name", "item_type"):
            if cells.get(name) is None:
                found.fault(row, name, "is empty")
    if owner_id is None or found.fault_count > before:
        return None
    if await resource_store.find_by_name(tx, owner_id, comparable(group.first["name"]), other_than=None) is not None:
        return False
    system_id = known.get((owner_id, comparable(group.first["system_name"])))
    if system_id is None:
        found.fault(group.row, "system_name", f"{group.first['system_name']!r} is no system of the provider")
        return None
    entry = catalog_file.definition(found, group, system_id=system_id)
    if found.fault_count > before:
        return None
    try:
        wanted = Definition.model_validate(entry)
        async with tx.begin_nested():
            await resources.create(tx, wanted, by=by, now=now, scheme=scheme)
    except ValidationError as wrong:
        for one in wrong.errors(include_url=False, include_context=False):
            _fault(found, group, "/" + "/".join(str(part) for part in one["loc"]), one["msg"].removeprefix("Value error, "))
        return None
    except Problem as refused:
        for one in refused.members.get("errors") or [{"pointer": "/name", "detail": refused.detail}]:
            _fault(found, group, one["pointer"], one["detail"])
        return None
    return True


def _fault(found: Sheet, group: Group, pointer: str, what: str) -> None:
    row, field = catalog_file.place_of(group, pointer)
    reason, _, remedy = what.partition("; ")
    found.fault(row, field, reason, remedy or None)
