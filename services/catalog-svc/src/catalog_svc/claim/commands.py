"""What makes an item the source of a data element, and what ends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.arbitration import closing
from catalog_svc.arbitration import store as arbitrations
from catalog_svc.claim import domain, store
from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.errors import ClaimInvalid, ClaimReleased, SourceHeld
from catalog_svc.matching import commands as matching
from catalog_svc.matching import store as items
from catalog_svc.matching.domain import Element, Match, Verdict, compare
from catalog_svc.organization import store as organizations
from catalog_svc.resource import commands as resource_commands
from catalog_svc.resource import store as resources
from catalog_svc.resource.errors import IllegalTransition
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import DataItem, ResourceSnapshot
from dxmesh_schemas.catalog_sources import SourceAssigned, SourceReleased
from dxmesh_schemas.problem import Forbidden


@dataclass(frozen=True, slots=True)
class Rival:
    """A source that is, or may be, the same data element."""

    held: store.Held
    match: Match

    def as_dict(self) -> dict[str, Any]:
        """Return it as an answer names it."""
        claim, entry, organization, resource = self.held
        return {
            "claim_id": str(claim.claim_id),
            "organization": {"organization_id": str(organization.organization_id), "uscc": organization.uscc, "name": organization.name},
            "resource_id": str(claim.resource_id),
            "resource_code": resource.resource_code,
            "resource_name": resource.name,
            "item": claim.item,
            "item_name": entry.name,
            "similarity": self.match.similarity,
            "verdict": self.match.verdict.value,
            "reasons": list(self.match.reasons),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item in force that somebody wants to be a source."""

    resource: resources.Resource
    organization: organizations.Organization
    item: DataItem
    element: Element

    @property
    def division_code(self) -> str:
        """Return the division the item would be the source for."""
        return self.organization.division_code


async def candidate(tx: AsyncSession, resource_id: UUID, code: str, *, by: Principal) -> Candidate:
    """Return an item that may become a source: its organization locked against moving, then its division against other claims,
    then its resource against withdrawal.

    Raises: ResourceNotFound (404), Forbidden (403), IllegalTransition (409) for a resource not in force, ClaimInvalid (422).
    """
    row = await resource_commands.get_visible(tx, resource_id, by=by)
    if not resource_commands.may_edit(by, row.organization_id):
        raise Forbidden("sources are claimed by a steward of the provider or the data authority")
    organization = await organizations.get(tx, row.organization_id, lock=True)
    await items.lock_resources(tx, [resource_id])
    await index(tx, row)
    await store.lock_division(tx, organization.division_code)
    row = await resources.get(tx, resource_id, lock=True)
    if row.version == 0 or row.withdrawn_at is not None:
        raise IllegalTransition(f"only an item of a published resource is a source; this one is {row.state}", state=row.state)
    await index(tx, row)  # a version that was published while it waited
    return await _candidate(tx, row, organization, await _in_force(tx, row), code)


async def index(tx: AsyncSession, row: resources.Resource) -> None:
    """Index a resource's items unless the event of its version has done so: before the division is locked, as the event does."""
    if row.version and row.withdrawn_at is None:
        known = await items.newest_versions(tx, [row.resource_id])
        if known.get(row.resource_id, 0) < row.version:
            await matching.index(tx, [await _in_force(tx, row)])


async def _in_force(tx: AsyncSession, row: resources.Resource) -> ResourceSnapshot:
    return ResourceSnapshot.model_validate((await resources.get_version(tx, row.resource_id, row.version)).snapshot)


async def _candidate(
    tx: AsyncSession, row: resources.Resource, organization: organizations.Organization, snapshot: ResourceSnapshot, code: str
) -> Candidate:
    """Return an item of the version in force. Raises: ClaimInvalid (422)."""
    item = snapshot.item(code)
    element = (await matching.lexicon(tx)).of_item(item, snapshot.name) if item is not None else None
    elsewhere = item is not None and item.reference is not None and item.reference.resource_id != row.resource_id
    domain.refuse_item(item, code, element, refers_elsewhere=elsewhere)
    assert item is not None, "a missing item was refused"
    assert element is not None, "a missing item was refused"
    return Candidate(row, organization, item, element)


async def claim(
    tx: AsyncSession, resource_id: UUID, code: str, *, by: Principal, now: datetime
) -> tuple[store.SourceClaim, bool, Sequence[Rival]]:
    """Make an item its division's source; return the claim, whether it is new, and the sources that might be the same.

    Raises: ResourceNotFound (404), Forbidden (403), IllegalTransition (409), ClaimInvalid (422), SourceHeld (409).
    Emits: catalog.source.assigned.v1.
    Source: 政务数据共享条例 Art. 19.
    """
    wanted = await candidate(tx, resource_id, code, by=by)
    known = await store.find_held(tx, resource_id, code)
    found = await rivals(tx, wanted)
    doubtful = [rival for rival in found if rival.match.verdict is Verdict.DOUBTFUL]
    if known is not None:
        return known, False, doubtful
    same = [rival for rival in found if rival.match.verdict is Verdict.SAME]
    if same:
        raise _held(same[0], wanted)
    return await assign(tx, wanted, case_id=None, by=by.subject, now=now), True, doubtful


async def rivals(tx: AsyncSession, wanted: Candidate) -> list[Rival]:
    """Return the division's other sources that are or may be the same data element, the most alike first.

    Those that were found to be different data elements are left out, as long as both go by the names they had then.
    """
    [keys] = await matching.like_keys(tx, [wanted.element], most=20)
    resource_id, code = wanted.resource.resource_id, wanted.item.code
    known = await matching.lexicon(tx)
    rulings = await arbitrations.distinct_from(tx, resource_id, code)
    found = []
    for held in await store.held_of_keys(tx, keys, division_code=wanted.division_code):
        claim, entry, _, resource = held
        if (claim.resource_id, claim.item) == (resource_id, code) or any(
            (claim.resource_id, claim.item) == (ruling.resource_id, ruling.item)
            and known.element(ruling.own_name, form=wanted.element.format).name.key == wanted.element.name.key
            and known.element(ruling.name, form=entry.format).name.key == entry.key
            for ruling in rulings
        ):
            continue
        match = compare(wanted.element, entry.element(resource.name))
        if match.verdict is not Verdict.DIFFERENT:
            found.append(Rival(held, match))
    return sorted(found, key=lambda rival: -rival.match.similarity)


async def assign(tx: AsyncSession, wanted: Candidate, *, case_id: UUID | None, by: str, now: datetime) -> store.SourceClaim:
    """Write a claim down, after `candidate` has locked the division. Emits: catalog.source.assigned.v1."""
    row = store.SourceClaim(
        claim_id=uuid7(),
        division_code=wanted.division_code,
        organization_id=wanted.organization.organization_id,
        resource_id=wanted.resource.resource_id,
        item=wanted.item.code,
        item_name=wanted.item.name,
        state=ClaimState.HELD.value,
        case_id=case_id,
        claimed_by=by,
        claimed_at=now,
    )
    tx.add(row)
    await tx.flush()
    event = SourceAssigned(
        resource_id=row.resource_id,
        item=row.item,
        item_name=row.item_name,
        claim_id=row.claim_id,
        organization_id=row.organization_id,
        division_code=row.division_code,
        case_id=case_id,
        assigned_at=now,
    )
    await outbox.add(tx, event, now=now)
    return row


async def release(tx: AsyncSession, claim_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.SourceClaim:
    """Give a source up: another item of the division may claim the data element.

    Raises: ClaimNotFound (404), Forbidden (403), ClaimReleased (409).
    Emits: catalog.source.released.v1.
    """
    row = await store.get(tx, claim_id)
    if not resource_commands.may_edit(by, row.organization_id):
        raise Forbidden("a source is released by a steward of its organization or the data authority")
    await store.lock_division(tx, row.division_code)
    row = await store.get(tx, claim_id, lock=True)
    if row.state == ClaimState.RELEASED.value:
        at = row.released_at.isoformat() if row.released_at else None
        raise ClaimReleased("the source was released before; nothing is left to release", released_at=at)
    await end(tx, row, reason=reason, now=now)
    return row


async def end(tx: AsyncSession, row: store.SourceClaim, *, reason: str, now: datetime, case_id: UUID | None = None) -> None:
    """End a claim whose row and division are locked; cases about it lapse, but for the one that ends it (`case_id`).

    Emits: catalog.source.released.v1; catalog.arbitration.closed.v1 for each case that lapses.
    """
    row.state, row.released_at, row.release_reason = ClaimState.RELEASED.value, now, reason
    await tx.flush()
    event = SourceReleased(
        resource_id=row.resource_id,
        item=row.item,
        item_name=row.item_name,
        claim_id=row.claim_id,
        organization_id=row.organization_id,
        division_code=row.division_code,
        reason=reason,
        released_at=now,
    )
    await outbox.add(tx, event, now=now)
    cases = await arbitrations.lock_waiting_about(tx, row.resource_id, row.item, but=case_id)
    await closing.lapse(tx, cases, reason=f"the source {row.item_name!r} ended: {reason}", now=now)


async def end_of_resource(tx: AsyncSession, resource_id: UUID, *, kept: frozenset[str], reason: str, now: datetime) -> None:
    """End the claims of a resource's items, but for those `kept`, and bring those to the version in force; likewise the cases for them.

    Emits: catalog.source.released.v1, .assigned.v1, catalog.arbitration.closed.v1.
    """
    divisions = await store.held_in(tx, resource_id) | await arbitrations.waiting_in(tx, resource_id)
    if not divisions:
        return
    for division in sorted(divisions):
        await store.lock_division(tx, division)
    resource = await resources.get(tx, resource_id)
    snapshot = await _in_force(tx, resource)
    for row in await store.held_of_resource(tx, resource_id):
        if row.item in kept:
            await _follow(tx, row, resource, snapshot, now=now)
        else:
            await end(tx, row, reason=reason, now=now)
    for case in await arbitrations.lock_waiting_for_resource(tx, resource_id):
        why: str | None = reason
        if case.claimant_item in kept:
            _, why = await _as_it_is(tx, case.claimant_item_name, resource, snapshot, case.claimant_item)
        if why is not None:
            await closing.lapse(tx, [case], reason=why, now=now)


async def move(tx: AsyncSession, organization_id: UUID, *, before: str, now: datetime) -> None:
    """Take the sources of an organization, locked, from the division it left to the one it is in now; its cases lapse.

    A source that another organization holds there already ends.
    Emits: catalog.source.released.v1, .assigned.v1, catalog.arbitration.closed.v1.
    """
    organization = await organizations.get(tx, organization_id)
    for division in sorted({before, organization.division_code}):
        await store.lock_division(tx, division)
    why = f"the organization moved from division {before} to {organization.division_code}"
    for row in await store.held_of_organization(tx, organization_id):
        resource = await resources.get(tx, row.resource_id)
        found, _ = await _as_it_is(tx, row.item_name, resource, await _in_force(tx, resource), row.item)
        if found is None or resource.withdrawn_at is not None:
            await end(tx, row, reason=f"{why}; the item is no source any more", now=now)
        else:
            await _renew(tx, row, found, why=why, now=now)
    await closing.lapse(tx, await arbitrations.lock_waiting_for_organization(tx, organization_id), reason=why, now=now)


async def _follow(
    tx: AsyncSession, row: store.SourceClaim, resource: resources.Resource, snapshot: ResourceSnapshot, *, now: datetime
) -> None:
    """Keep a claim whose item is the same data element as before, also under a synonym; check one that is another anew."""
    found, why = await _as_it_is(tx, row.item_name, resource, snapshot, row.item)
    if found is not None and why is None:
        row.item_name = found.item.name
    elif found is not None and why is not None:
        await _renew(tx, row, found, why=why, now=now)
    else:
        await end(tx, row, reason=why or "", now=now)


async def _as_it_is(
    tx: AsyncSession, name: str, resource: resources.Resource, snapshot: ResourceSnapshot, code: str
) -> tuple[Candidate | None, str | None]:
    """Return what may be claimed of an item in the version in force, and why it is not the data element any more that had this name."""
    version = f"version {snapshot.version} of the resource"
    organization = await organizations.get(tx, resource.organization_id)
    try:
        found = await _candidate(tx, resource, organization, snapshot, code)
    except ClaimInvalid as gone:
        return None, f"{version}: {gone.detail}"
    if found.item.name == name:
        return found, None
    before = (await matching.lexicon(tx)).element(name, form=found.element.format, subject=snapshot.name)
    is_same = compare(before, found.element).verdict is Verdict.SAME
    return found, None if is_same else f"{version} calls the item {found.item.name!r}, not {name!r} any more"


async def _renew(tx: AsyncSession, row: store.SourceClaim, wanted: Candidate, *, why: str, now: datetime) -> None:
    """End a claim and make it anew for what its item is now, unless another source there is that data element."""
    same = [rival for rival in await rivals(tx, wanted) if rival.match.verdict is Verdict.SAME]
    if same:
        holder = same[0].as_dict()
        held = f"{holder['item_name']!r} of {holder['organization']['name']} is the source of that in {wanted.division_code}"
        await end(tx, row, reason=f"{why}; {held}: an arbitration case may change it", now=now)
        return
    await end(tx, row, reason=f"{why}; it is claimed anew", now=now)
    await assign(tx, wanted, case_id=None, by=row.claimed_by, now=now)


def _held(rival: Rival, wanted: Candidate) -> SourceHeld:
    holder = rival.as_dict()
    name = holder["organization"]["name"]
    reasons = "; ".join(rival.match.reasons)
    what = f"{wanted.item.name!r} is the data element {holder['item_name']!r} of {name} ({rival.match.similarity:.2f}: {reasons})"
    if rival.held[0].organization_id == wanted.organization.organization_id:
        href = f"/v1/source-claims/{holder['claim_id']}/release"
        return SourceHeld(f"{what}; release that source of your own first", holder=holder, release={"method": "POST", "href": href})
    arbitration = domain.how_to_arbitrate(str(wanted.resource.resource_id), wanted.item.code)
    detail = f"{what}, which is the division's source; ask for that item instead, or open an arbitration case"
    return SourceHeld(detail, holder=holder, arbitration=arbitration)
