"""What changes organizations."""

from datetime import date, datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.claim import commands as claims
from catalog_svc.etag import Tags, refuse_passed
from catalog_svc.officer import store as officers
from catalog_svc.organization import domain, store
from catalog_svc.organization.domain import Standing
from catalog_svc.organization.errors import OrganizationInvalid, PaperNotGood, UsccTaken
from dxmesh_runtime import outbox
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import Contract, Level, Licence, Officer, OrganizationKind
from dxmesh_schemas.catalog_events import OrganizationChanged, OrganizationEvent, OrganizationPaperLapsed, OrganizationRegistered
from dxmesh_schemas.problem import Fault

_TOLD_AT_ONCE = 100


class Extras(TypedDict, total=False):
    """What of an organization may be left out: as it was, or nothing at first."""

    parent_id: UUID | None
    licence: Licence | None
    contract: Contract | None


async def register(
    tx: AsyncSession,
    *,
    uscc: str,
    name: str,
    level: Level,
    division_code: str,
    kind: OrganizationKind,
    now: datetime,
    **extras: Unpack[Extras],
) -> store.Organization:
    """Enter an organization.

    Raises: OrganizationInvalid (422), UsccTaken (409) with the id of the organization that has the code.
    Emits: catalog.organization.registered.v1.
    """
    standing = Standing(kind, extras.get("licence"), extras.get("contract"))
    faults = domain.faults(standing, before=None, today=domain.day_of(now))
    parent_id = extras.get("parent_id")
    if parent_id is not None and await store.find(tx, parent_id) is None:
        faults.append(_no_parent(parent_id))
    _refuse(faults)
    row = await store.add(tx, uuid7(), uscc=uscc, name=name, level=level, division_code=division_code, kind=kind, now=now, **extras)
    if row is None:
        known = await store.find_by_uscc(tx, uscc)
        members = {"organization_id": str(known.organization_id)} if known else {}
        raise UsccTaken(f"{uscc} is registered; change that entry with PUT instead", **members)
    await outbox.add(tx, await _event(tx, OrganizationRegistered, row, now), now=now)
    return row


async def change(
    tx: AsyncSession,
    organization_id: UUID,
    *,
    name: str,
    level: Level,
    division_code: str,
    kind: OrganizationKind,
    now: datetime,
    if_match: Tags = None,
    **extras: Unpack[Extras],
) -> store.Organization:
    """Change an organization's entry; the uscc is its identity and stays. The same entry again changes nothing.

    Raises: OrganizationNotFound (404), EntryPassed (412), OrganizationInvalid (422), also for a parent that stands under the organization.
    One that moves to another division takes its sources along, as far as no other organization holds them there.
    Emits: catalog.organization.changed.v1, when something changed; catalog.source.released.v1 and .assigned.v1 as it moves.
    """
    row = await store.get(tx, organization_id, lock=True)
    division_before = row.division_code
    refuse_passed(if_match, row.changed_at)
    before = _standing(row)
    standing = Standing(kind, extras.get("licence", before.licence), extras.get("contract", before.contract))
    parent_id = extras.get("parent_id", row.parent_id)
    faults = domain.faults(standing, before=before, today=domain.day_of(now))
    if parent_id is not None and parent_id != row.parent_id:
        await store.lock_tree(tx)
        above = await store.above(tx, parent_id)
        if not above:
            faults.append(_no_parent(parent_id))
        elif domain.loop(organization_id, above):
            what = "is the organization itself" if parent_id == organization_id else "stands under the organization"
            faults.append(("/parent_id", f"{what}, which would make a loop; move that one first or name another parent"))
    _refuse(faults)
    wanted = (name, level.value, division_code, kind.value, parent_id, store.as_json(standing.licence), store.as_json(standing.contract))
    if (row.name, row.level, row.division_code, row.kind, row.parent_id, row.licence, row.contract) == wanted:
        return row
    row.name, row.level, row.division_code, row.kind, row.parent_id, row.licence, row.contract = wanted
    if division_code != division_before:
        await claims.move(tx, organization_id, before=division_before, now=now)
    await announce(tx, row, now=now)
    return row


async def announce(tx: AsyncSession, row: store.Organization, *, now: datetime) -> None:
    """Tell the mesh of an organization's new state, its officers included.

    Emits: catalog.organization.changed.v1.
    """
    row.changed_at = now
    await tx.flush()
    await outbox.add(tx, await _event(tx, OrganizationChanged, row, now), now=now)


def refuse_without_paper(row: store.Organization, *, now: datetime) -> None:
    """Let nothing of a provider come in force while the licence or contract its data are had by is not good.

    What is in force stays so: no service ends without cause (政务数据共享条例 Art. 27); the authority is told and may withdraw it.
    Raises: PaperNotGood (409).
    """
    fault = domain.paper_fault(_standing(row), today=domain.day_of(now))
    if fault is not None:
        raise PaperNotGood.of([(f"/provider{fault[0]}", fault[1])], organization_id=str(row.organization_id))


async def tell_lapsed(tx: AsyncSession, now: datetime) -> int:
    """Tell of licences and contracts that lapsed, each once; return of how many. Tellers at once share the work.

    Emits: catalog.organization.paper_lapsed.v1.
    """
    rows = await store.lock_untold_lapsed(tx, today=domain.day_of(now), limit=_TOLD_AT_ONCE)
    for row in rows:
        paper = domain.OWED[OrganizationKind(row.kind)]
        until = date.fromisoformat(getattr(row, paper)["valid_until"])
        row.told_lapsed = until
        await tx.flush()
        event = OrganizationPaperLapsed(**await _snapshot(tx, row, now), paper=paper, valid_until=until)
        await outbox.add(tx, event, now=now)
    return len(rows)


def _no_parent(parent_id: UUID) -> Fault:
    return "/parent_id", f"no organization has the id {parent_id}; register the parent first, or leave it out"


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise OrganizationInvalid.of(faults)


def _standing(row: store.Organization) -> Standing:
    return Standing(
        kind=OrganizationKind(row.kind),
        licence=None if row.licence is None else Licence.model_validate(row.licence),
        contract=None if row.contract is None else Contract.model_validate(row.contract),
    )


async def _event(tx: AsyncSession, kind: type[OrganizationEvent], row: store.Organization, now: datetime) -> OrganizationEvent:
    return kind(**await _snapshot(tx, row, now))


async def _snapshot(tx: AsyncSession, row: store.Organization, now: datetime) -> dict[str, Any]:
    standing = _standing(row)
    terms = await officers.list_unended(tx, row.organization_id, today=domain.day_of(now))
    return {
        "organization_id": row.organization_id,
        "uscc": row.uscc,
        "name": row.name,
        "level": Level(row.level),
        "division_code": row.division_code,
        "kind": standing.kind,
        "parent_id": row.parent_id,
        "licence": standing.licence,
        "contract": standing.contract,
        "officers": tuple(Officer.model_validate(term, from_attributes=True) for term in terms),
    }
