"""What opens an arbitration case, what both sides add, and what the authority decides."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.arbitration import domain, store
from catalog_svc.arbitration.domain import CaseState, Outcome
from catalog_svc.arbitration.errors import CaseNotFound, CaseOpen, DecisionImpossible, NothingToArbitrate
from catalog_svc.claim import commands as claims
from catalog_svc.claim import store as claim_store
from catalog_svc.claim.domain import ClaimState
from catalog_svc.claim.errors import ClaimInvalid
from catalog_svc.matching.domain import Verdict
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog_sources import ArbitrationDecided, ArbitrationOpened
from dxmesh_schemas.problem import Forbidden

_READS_ALL = ("authority", "auditor", "operator")


def sees_all(who: Principal) -> bool:
    """Say whether the caller sees every case."""
    return any(who.has(role) for role in _READS_ALL)


async def get_visible(tx: AsyncSession, case_id: UUID, *, by: Principal, lock: bool = False) -> store.ArbitrationCase:
    """Return a case of the caller's organization, or any for those who see all. Raises: CaseNotFound (404)."""
    row = await store.get(tx, case_id, lock=lock)
    if not sees_all(by) and by.organization_id not in (row.claimant_organization_id, row.holder_organization_id):
        raise CaseNotFound(f"no arbitration case you may see has the id {case_id}")
    return row


async def open_case(
    tx: AsyncSession, resource_id: UUID, item: str, *, statement: str, by: Principal, now: datetime
) -> store.ArbitrationCase:
    """Bring an item that was refused as a source before the authority, against the source most like it.

    Raises: ResourceNotFound (404), Forbidden (403), IllegalTransition (409), ClaimInvalid (422), NothingToArbitrate (409),
    CaseOpen (409).
    Emits: catalog.arbitration.opened.v1.
    Source: 政务数据共享条例 Art. 19, 28.
    """
    wanted = await claims.candidate(tx, resource_id, item, by=by)
    if await claim_store.find_held(tx, resource_id, item) is not None:
        raise NothingToArbitrate("the item is the division's source already")
    others = await claims.rivals(tx, wanted)
    rival = next((one for one in others if one.held[0].organization_id != wanted.organization.organization_id), None)
    if rival is None:
        detail = "no source of another organization in the division is like this item; claim it with POST /v1/source-claims"
        raise NothingToArbitrate(detail)
    holder, entry = rival.held[0], rival.held[1]
    known = await store.find_open(tx, resource_id, item, holder.claim_id)
    if known is not None:
        raise CaseOpen(f"the case was opened at {known.opened_at.isoformat()}; add a statement to it", case_id=str(known.case_id))
    row = store.ArbitrationCase(
        case_id=uuid7(),
        division_code=wanted.division_code,
        state=CaseState.OPEN.value,
        claimant_organization_id=wanted.organization.organization_id,
        claimant_resource_id=resource_id,
        claimant_item=item,
        claimant_item_name=wanted.item.name,
        holder_claim_id=holder.claim_id,
        holder_organization_id=holder.organization_id,
        holder_resource_id=holder.resource_id,
        holder_item=holder.item,
        holder_item_name=entry.name,
        similarity=rival.match.similarity,
        reasons=list(rival.match.reasons),
        opened_by=by.subject,
        opened_at=now,
    )
    tx.add(row)
    await tx.flush()
    await _say(tx, row.case_id, wanted.organization.organization_id, statement, by=by, now=now)
    await outbox.add(
        tx,
        ArbitrationOpened(
            case_id=row.case_id,
            division_code=row.division_code,
            claimant_organization_id=row.claimant_organization_id,
            claimant_resource_id=row.claimant_resource_id,
            claimant_item=row.claimant_item,
            holder_organization_id=row.holder_organization_id,
            holder_resource_id=row.holder_resource_id,
            holder_item=row.holder_item,
            opened_at=now,
        ),
        now=now,
    )
    return row


async def add_statement(tx: AsyncSession, case_id: UUID, *, text: str, by: Principal, now: datetime) -> store.ArbitrationStatement:
    """Add what the caller's organization says. Raises: CaseNotFound (404), Forbidden (403), CaseDecided (409)."""
    row = await get_visible(tx, case_id, by=by, lock=True)
    if not by.has("steward") or by.organization_id not in (row.claimant_organization_id, row.holder_organization_id):
        raise Forbidden("statements are made by stewards of the two organizations")
    domain.refuse_change(CaseState(row.state), row.outcome)
    return await _say(tx, case_id, by.own_organization, text, by=by, now=now)


async def decide(tx: AsyncSession, case_id: UUID, *, outcome: Outcome, reason: str, by: Principal, now: datetime) -> store.ArbitrationCase:
    """Name the source, or find the two items to be different data elements.

    Raises: CaseNotFound (404), CaseDecided (409), DecisionImpossible (409), also while a third source is the same data element.
    Emits: catalog.arbitration.decided.v1; catalog.source.released.v1 and .assigned.v1 when the source changes.
    Source: 政务数据共享条例 Art. 19.
    """
    row = await store.get(tx, case_id)
    await claim_store.lock_division(tx, row.division_code)
    row = await store.get(tx, case_id, lock=True)
    domain.refuse_change(CaseState(row.state), row.outcome)
    holder = await claim_store.get(tx, row.holder_claim_id, lock=True)
    if outcome is Outcome.HOLDER:
        if holder.state != ClaimState.HELD.value:
            detail = f"the holder's source was released ({holder.release_reason}); decide for the claimant"
            raise DecisionImpossible(detail, errors=[{"pointer": "/outcome", "detail": detail}])
    else:
        wanted = await _claimant(tx, row, by=by)
        await _refuse_third(tx, wanted, holder_claim_id=holder.claim_id)
        if outcome is Outcome.CLAIMANT and holder.state == ClaimState.HELD.value:
            await claims.end(tx, holder, reason=f"arbitration {case_id}: {reason}", now=now)
        if await claim_store.find_held(tx, row.claimant_resource_id, row.claimant_item) is None:
            await claims.assign(tx, wanted, case_id=case_id, by=by.subject, now=now)
    row.state, row.outcome, row.decision_reason = CaseState.DECIDED.value, outcome.value, reason
    row.decided_by, row.decided_at = by.subject, now
    await tx.flush()
    source = holder if outcome is Outcome.HOLDER else await claim_store.find_held(tx, row.claimant_resource_id, row.claimant_item)
    assert source is not None, "the source that was named is held"
    await outbox.add(
        tx,
        ArbitrationDecided(
            case_id=case_id,
            outcome=outcome.value,
            reason=reason,
            source_organization_id=source.organization_id,
            source_resource_id=source.resource_id,
            source_item=source.item,
            decided_at=now,
        ),
        now=now,
    )
    return row


async def _claimant(tx: AsyncSession, row: store.ArbitrationCase, *, by: Principal) -> claims.Candidate:
    try:
        return await claims.candidate(tx, row.claimant_resource_id, row.claimant_item, by=by)
    except (IllegalTransition, ClaimInvalid, ResourceNotFound) as gone:
        detail = f"the claimant's item cannot be a source any more ({gone.detail}); decide for the holder"
        raise DecisionImpossible(detail, errors=[{"pointer": "/outcome", "detail": detail}]) from gone


async def _refuse_third(tx: AsyncSession, wanted: claims.Candidate, *, holder_claim_id: UUID) -> None:
    for rival in await claims.rivals(tx, wanted):
        if rival.match.verdict is Verdict.SAME and rival.held[0].claim_id != holder_claim_id:
            detail = "a third source is the same data element; decide the case against it too, or have it released"
            raise DecisionImpossible(detail, holder=rival.as_dict(), errors=[{"pointer": "/outcome", "detail": detail}])


async def _say(
    tx: AsyncSession, case_id: UUID, organization_id: UUID, text: str, *, by: Principal, now: datetime
) -> store.ArbitrationStatement:
    row = store.ArbitrationStatement(
        statement_id=uuid7(), case_id=case_id, organization_id=organization_id, body=text, made_by=by.subject, made_at=now
    )
    tx.add(row)
    await tx.flush()
    return row
