"""What makes an item the source of a data element, and what ends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.arbitration import store as arbitrations
from catalog_svc.claim import domain, store
from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.errors import ClaimReleased, SourceHeld
from catalog_svc.matching import commands as matching
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
    """Return an item that may become a source, its division locked against other claims and its resource against withdrawal.

    Raises: ResourceNotFound (404), Forbidden (403), IllegalTransition (409) for a resource not in force, ClaimInvalid (422).
    """
    row = await resource_commands.get_visible(tx, resource_id, by=by)
    if not resource_commands.may_edit(by, row.organization_id):
        raise Forbidden("sources are claimed by a steward of the provider or the data authority")
    organization = await organizations.get(tx, row.organization_id)
    await store.lock_division(tx, organization.division_code)
    row = await resources.get(tx, resource_id, lock=True)
    if row.version == 0 or row.withdrawn_at is not None:
        raise IllegalTransition(f"only an item of a published resource is a source; this one is {row.state}", state=row.state)
    snapshot = ResourceSnapshot.model_validate((await resources.get_version(tx, resource_id, row.version)).snapshot)
    await matching.index(tx, snapshot)  # the claim may come before the event of the publication
    known = await matching.lexicon(tx)
    item = snapshot.item(code)
    element = known.of_item(item, snapshot.name) if item is not None else None
    elsewhere = item is not None and item.reference is not None and item.reference.resource_id != resource_id
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

    Those the authority has found to be different data elements are left out.
    """
    [keys] = await matching.like_keys(tx, [wanted.element], most=20)
    resource_id, code = wanted.resource.resource_id, wanted.item.code
    distinct = await arbitrations.distinct_from(tx, resource_id, code)
    found = []
    for held in await store.held_of_keys(tx, keys, division_code=wanted.division_code):
        claim, entry, _, resource = held
        if (claim.resource_id, claim.item) in {(resource_id, code), *distinct}:
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


async def end(tx: AsyncSession, row: store.SourceClaim, *, reason: str, now: datetime) -> None:
    """End a claim whose row is locked. Emits: catalog.source.released.v1."""
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


async def end_of_resource(tx: AsyncSession, resource_id: UUID, *, kept: frozenset[str], reason: str, now: datetime) -> None:
    """End the claims of a resource's items, but for those `kept`. Emits: catalog.source.released.v1 for each."""
    for row in await store.held_of_resource(tx, resource_id):
        if row.item not in kept:
            await end(tx, row, reason=reason, now=now)


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
