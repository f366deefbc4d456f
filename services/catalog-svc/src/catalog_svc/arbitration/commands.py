"""What opens an arbitration case, what both sides add, and how it is decided, objected to and taken back."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.arbitration import closing, domain, store
from catalog_svc.arbitration.domain import CaseState, Outcome, Step
from catalog_svc.arbitration.errors import CaseNotFound, CaseOpen, DecisionImpossible, NothingToArbitrate
from catalog_svc.claim import commands as claims
from catalog_svc.claim import store as claim_store
from catalog_svc.claim.errors import ClaimInvalid
from catalog_svc.duty import commands as duties
from catalog_svc.duty import store as duty_store
from catalog_svc.matching import store as items
from catalog_svc.matching.domain import Verdict
from catalog_svc.organization import store as organizations
from catalog_svc.resource import store as resources
from catalog_svc.resource.errors import IllegalTransition, ResourceNotFound
from dxmesh_clocks.policy import Policy
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog_sources import ArbitrationDecided, ArbitrationObjected, ArbitrationOpened
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


def refuse_statement(row: store.ArbitrationCase, by: Principal) -> None:
    """Let both sides say something while a decision is owed. Raises: Forbidden (403), CaseDecided, CaseClosed (409)."""
    if not by.has("steward") or by.organization_id not in (row.claimant_organization_id, row.holder_organization_id):
        raise Forbidden("statements are made by stewards of the two organizations")
    domain.refuse_unless_waiting(CaseState(row.state), row.outcome, row.closed_reason)


def refuse_objection(row: store.ArbitrationCase, by: Principal, *, now: datetime) -> None:
    """Let a side that the decision went against object in time.

    Raises: Forbidden (403), NotDecided, CaseDecided, CaseClosed, ObjectionLate (409).
    """
    if not by.has("steward"):
        raise Forbidden("a decision is objected to by a steward of the organization it went against")
    domain.refuse_objection(
        CaseState(row.state),
        row.outcome,
        until=row.objection_until,
        today=day_of(now),
        organization_id=by.own_organization,
        claimant=row.claimant_organization_id,
        holder=row.holder_organization_id,
    )


def refuse_withdrawal(row: store.ArbitrationCase, by: Principal) -> None:
    """Let the claimant take its case back, and who objected the objection. Raises: Forbidden (403), CaseDecided, CaseClosed (409)."""
    domain.refuse_unless_waiting(CaseState(row.state), row.outcome, row.closed_reason)
    owner = row.claimant_organization_id if row.state == CaseState.OPEN else row.objecting_organization_id
    if not by.has("steward") or by.organization_id != owner:
        raise Forbidden("a case is taken back by a steward of its claimant, an objection by one of the organization that made it")


async def open_case(
    tx: AsyncSession, policy: Policy, resource_id: UUID, item: str, *, statement: str, by: Principal, now: datetime
) -> store.ArbitrationCase:
    """Bring an item that was refused as a source before the authority, against the source most like it; its clock begins.

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
    known = await store.find_waiting(tx, resource_id, item, (holder.resource_id, holder.item))
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
    await _say(tx, row.case_id, row.claimant_organization_id, statement, by=by, now=now)
    closing.note(tx, row, Step.OPENED, by=by.subject, organization_id=row.claimant_organization_id, reason=statement, now=now)
    clock = await _begin(tx, policy, row, about="is in dispute", by=by, now=now)
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
            due_on=clock.due_on,
        ),
        now=now,
    )
    return row


async def add_statement(tx: AsyncSession, case_id: UUID, *, text: str, by: Principal, now: datetime) -> store.ArbitrationStatement:
    """Add what the caller's organization says.

    Raises: CaseNotFound (404), Forbidden (403), CaseDecided (409), CaseClosed (409).
    """
    row = await get_visible(tx, case_id, by=by, lock=True)
    refuse_statement(row, by)
    return await _say(tx, case_id, by.own_organization, text, by=by, now=now)


async def decide(
    tx: AsyncSession,
    policy: Policy,
    case_id: UUID,
    *,
    outcome: Outcome,
    reason: str,
    document: str | None,
    by: Principal,
    now: datetime,
) -> store.ArbitrationCase:
    """Name the source, or find the two items to be different data elements.

    The data authority decides; where its decision was objected to it enters that of the people's government, named by `document`,
    which is for good. A decision takes effect at once.
    Raises: CaseNotFound (404), CaseDecided (409), CaseClosed (409), DecisionInvalid (422), DecisionImpossible (409), also while a third
    source is the same data element.
    Emits: catalog.arbitration.decided.v1; catalog.source.released.v1 and .assigned.v1 when the source changes.
    Source: 政务数据共享条例 Art. 19, 28.
    """
    row = await _locked(tx, case_id)
    state = CaseState(row.state)
    domain.refuse_unless_waiting(state, row.outcome, row.closed_reason)
    domain.refuse_document(state, document)
    source = await _bring_about(tx, row, outcome, reason=reason, by=by, now=now)
    is_final = state is CaseState.REFERRED
    row.state = (CaseState.SETTLED if is_final else CaseState.DECIDED).value
    row.outcome, row.decision_reason, row.document = outcome.value, reason, document
    row.decided_by, row.decided_at = by.subject, now
    row.objection_until = None if is_final else domain.objection_until(policy, day_of(now))
    step, details = (Step.SETTLED, {"document": document}) if is_final else (Step.DECIDED, {})
    closing.note(tx, row, step, by=by.subject, organization_id=None, reason=reason, now=now, outcome=outcome.value, **details)
    await tx.flush()
    await duties.end_dispute(tx, case_id, by=by.subject, reason=reason, now=now)
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
            objection_until=row.objection_until,
            document=document,
        ),
        now=now,
    )
    return row


async def object_to(tx: AsyncSession, policy: Policy, case_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.ArbitrationCase:
    """Object to a decision that went against the caller's organization: the people's government decides, its clock begins.

    The decision stands meanwhile.
    Raises: CaseNotFound (404), Forbidden (403), NotDecided (409), CaseDecided (409), CaseClosed (409), ObjectionLate (409).
    Emits: catalog.arbitration.objected.v1.
    Source: 政务数据共享条例 Art. 28.
    """
    await get_visible(tx, case_id, by=by)
    row = await _locked(tx, case_id)
    refuse_objection(row, by, now=now)
    row.state, row.objecting_organization_id = CaseState.REFERRED.value, by.own_organization
    closing.note(tx, row, Step.OBJECTED, by=by.subject, organization_id=by.own_organization, reason=reason, now=now)
    await tx.flush()
    clock = await _begin(tx, policy, row, about="was decided, and the decision objected to", by=by, now=now)
    event = ArbitrationObjected(case_id=case_id, organization_id=by.own_organization, reason=reason, objected_at=now, due_on=clock.due_on)
    await outbox.add(tx, event, now=now)
    return row


async def withdraw(tx: AsyncSession, case_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.ArbitrationCase:
    """Take back a case as its claimant, or an objection as the organization that made it: then the decision stands for good.

    Raises: CaseNotFound (404), Forbidden (403), CaseDecided (409), CaseClosed (409).
    Emits: catalog.arbitration.closed.v1.
    """
    row = await get_visible(tx, case_id, by=by, lock=True)
    refuse_withdrawal(row, by)
    ended = CaseState.WITHDRAWN if row.state == CaseState.OPEN else CaseState.SETTLED
    await closing.close(tx, row, ended, reason=reason, by=by.subject, organization_id=by.own_organization, now=now)
    return row


async def _locked(tx: AsyncSession, case_id: UUID) -> store.ArbitrationCase:
    """Return a case, locked after both organizations and the division, as whoever claims locks them."""
    row = await store.get(tx, case_id)
    for organization_id in sorted({row.claimant_organization_id, row.holder_organization_id}):
        await organizations.get(tx, organization_id, lock=True)
    resource_ids = sorted({row.claimant_resource_id, row.holder_resource_id})
    await items.lock_resources(tx, resource_ids)
    for resource_id in resource_ids:
        await claims.index(tx, await resources.get(tx, resource_id))
    await claim_store.lock_division(tx, row.division_code)
    return await store.get(tx, case_id, lock=True)


async def _begin(
    tx: AsyncSession, policy: Policy, row: store.ArbitrationCase, *, about: str, by: Principal, now: datetime
) -> duty_store.Duty:
    return await duties.on_dispute(
        tx,
        policy,
        organization_id=row.claimant_organization_id,
        resource_id=row.claimant_resource_id,
        case_id=row.case_id,
        reason=f"the source of {row.claimant_item_name!r} {about}",
        by=by.subject,
        now=now,
    )


async def _bring_about(
    tx: AsyncSession, row: store.ArbitrationCase, outcome: Outcome, *, reason: str, by: Principal, now: datetime
) -> claim_store.SourceClaim:
    """Make the sources what the decision says, whatever they are now; return the one it names, the claimant's for `distinct`."""
    sides = {
        Outcome.CLAIMANT: (row.claimant_resource_id, row.claimant_item),
        Outcome.HOLDER: (row.holder_resource_id, row.holder_item),
    }
    named = [side for side in sides if outcome in (side, Outcome.DISTINCT)]
    wanted = {side: await _item(tx, row, side, *sides[side], by=by) for side in named}
    for side in sides:
        held = await claim_store.find_held(tx, *sides[side])
        if side not in named and held is not None:
            await claims.end(tx, held, reason=f"arbitration {row.case_id}: {reason}", now=now, case_id=row.case_id)
    sources = []
    for side in named:
        held = await claim_store.find_held(tx, *sides[side])
        if held is None:
            await _refuse_third(tx, wanted[side], but=set(sides.values()))
            held = await claims.assign(tx, wanted[side], case_id=row.case_id, by=by.subject, now=now)
        sources.append(held)
    return sources[0]


async def _item(
    tx: AsyncSession, row: store.ArbitrationCase, side: Outcome, resource_id: UUID, item: str, *, by: Principal
) -> claims.Candidate:
    try:
        found = await claims.candidate(tx, resource_id, item, by=by)
        why = None if found.division_code == row.division_code else f"its organization moved to division {found.division_code}"
    except (IllegalTransition, ClaimInvalid, ResourceNotFound) as gone:
        why = gone.detail
    if why is not None:
        other = Outcome.HOLDER if side is Outcome.CLAIMANT else Outcome.CLAIMANT
        detail = f"the {side.value}'s item cannot be a source any more ({why}); decide for the {other.value}"
        raise DecisionImpossible.at("/outcome", detail)
    return found


async def _refuse_third(tx: AsyncSession, wanted: claims.Candidate, *, but: set[tuple[UUID, str]]) -> None:
    for rival in await claims.rivals(tx, wanted):
        held = rival.held[0]
        if rival.match.verdict is Verdict.SAME and (held.resource_id, held.item) not in but:
            detail = "a third source is the same data element; decide the case against it too, or have it released"
            raise DecisionImpossible.at("/outcome", detail, holder=rival.as_dict())


async def _say(
    tx: AsyncSession, case_id: UUID, organization_id: UUID, text: str, *, by: Principal, now: datetime
) -> store.ArbitrationStatement:
    row = store.ArbitrationStatement(
        statement_id=uuid7(), case_id=case_id, organization_id=organization_id, body=text, made_by=by.subject, made_at=now
    )
    tx.add(row)
    await tx.flush()
    return row
