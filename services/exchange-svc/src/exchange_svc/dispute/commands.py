"""What is done to disputes: open, take further, decide, withdraw."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks import working_days
from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange_disputes import DisputeDecided, DisputeOpened, DisputeTakenFurther, DisputeWithdrawn
from exchange_svc.access import AUTHORITY, sees
from exchange_svc.clock import commands as clocks
from exchange_svc.clock import store as clock_rows
from exchange_svc.clock.domain import Owed, Responsible, Standing
from exchange_svc.dispute import domain, store
from exchange_svc.dispute.domain import Outcome, Rung, State, Step
from exchange_svc.dispute.errors import DisputeEarly, DisputeKnown, DisputeNotFound
from exchange_svc.request import answering
from exchange_svc.request import commands as requests
from exchange_svc.request import domain as request_rules
from exchange_svc.request import store as request_rows


@dataclass(frozen=True, slots=True)
class Decision:
    """How a dispute is answered.

    decided_by: the head of the provider, or the deciding body. answer: what is granted, where it is.
    """

    outcome: Outcome
    reason: str
    decided_by: str
    document: str | None
    answer: answering.Answer


async def open_dispute(tx: AsyncSession, policy: Policy, request_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Dispute:
    """Dispute a refusal, or that a request was not answered in time, as its requester; the provider is to answer first.

    Raises: RequestNotFound (404), NotTheRequester (403), RequestAnswered, RequestState, DisputeKnown, DisputeEarly (409).
    Emits: exchange.dispute.opened.v1.
    Source: 政务数据共享条例 Art. 28.
    """
    request = await requests.get_own(tx, request_id, by)
    known = await store.find_of_request(tx, request_id)
    if known is not None:
        raise DisputeKnown(f"dispute {known.dispute_id} is about this request and {known.state}", dispute_id=str(known.dispute_id))
    after = request_rules.advance(request_rules.State(request.state), request_rules.Step.DISPUTE)
    await _refuse_early(tx, request, now)
    request.state = after
    requester, provider = request.requester_ref, request.provider_ref
    row = store.Dispute(
        dispute_id=uuid7(),
        request_id=request_id,
        resource_id=request.resource_id,
        requester_id=requester.organization_id,
        requester=request.requester,
        provider_id=provider.organization_id,
        provider=request.provider,
        division_code=domain.common_division(requester.division_code, provider.division_code),
        rung=Rung.NEGOTIATION.value,
        state=State.OPEN.value,
        opened_at=now,
    )
    tx.add(row)
    await tx.flush()
    clock = await _start_clock(tx, policy, row, reason, now)
    _note(tx, row, Step.OPENED, by=by, reason=reason, now=now)
    await tx.flush()
    await outbox.add(tx, DisputeOpened(**row.named, reason=reason, due_on=clock.due_on, opened_at=now), now=now)
    return row


async def _refuse_early(tx: AsyncSession, request: request_rows.SharingRequest, now: datetime) -> None:
    if request.decided_at is not None:
        return
    clock = (await clock_rows.answers_of(tx, {request.request_id})).get(request.request_id)
    if clock is None or clock.standing(now) is not Standing.MISSED:
        due_on = None if clock is None else clock.due_on
        raise DisputeEarly(f"the provider has until {due_on} to answer; dispute the answer, or that there is none", due_on=str(due_on))


async def take_further(tx: AsyncSession, policy: Policy, dispute_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Dispute:
    """Take a dispute to the next body, as the requester: the refusal was upheld, or no answer came in time.

    Raises: DisputeNotFound (404), DisputeEarly, DisputeLate, DisputeOver (409).
    Emits: exchange.dispute.taken_further.v1.
    Source: 政务数据共享条例 Art. 28.
    """
    row, request = await _locked(tx, dispute_id, by, requester_only=True)
    rule = domain.rule_of(Rung(row.rung))
    owed = await clock_rows.lock_owed(tx, row.request_id, rule)
    is_missed = any(clock.standing(now) is Standing.MISSED for clock in owed)
    due_on = owed[0].due_on if owed else None
    today = working_days.day_of(now)
    domain.check_further(State(row.state), further_until=row.further_until, due_on=due_on, is_missed=is_missed, today=today)
    rung = domain.following(Rung(row.rung), row.requester_ref.division_code, row.provider_ref.division_code)
    assert rung is not None, "what a government decided is settled, and what it owes is owed by nobody else"
    await clocks.stop(tx, row.request_id, rule, reason="the dispute was taken further", now=now)
    request.state = request_rules.State.DISPUTED
    row.rung, row.state, row.outcome, row.further_until = rung.value, State.OPEN.value, None, None
    clock = await _start_clock(tx, policy, row, reason, now)
    _note(tx, row, Step.TAKEN_FURTHER, by=by, reason=reason, now=now)
    await tx.flush()
    taken = DisputeTakenFurther(**row.named, division_code=row.division_code, reason=reason, due_on=clock.due_on, taken_at=now)
    await outbox.add(tx, taken, now=now)
    return row


async def decide(
    tx: AsyncSession, policy: Policy, dispute_id: UUID, decision: Decision, *, by: Principal, public_url: str, now: datetime
) -> store.Dispute:
    """Answer a dispute: as the provider while the two negotiate, then as the data authority for the body it is before.

    Raises: DisputeNotFound (404), NotYourTurn (403), DisputeOver (409), DecisionInvalid (422); to grant, as `answering.decide`.
    Emits: exchange.dispute.decided.v1; when it grants, exchange.request.granted.v1 and exchange.grant.activated.v1; when it upholds that a
    request was not answered, exchange.request.refused.v1.
    Source: 政务数据共享条例 Art. 28.
    """
    row, request = await _locked(tx, dispute_id, by, requester_only=False)
    rung, is_provider = Rung(row.rung), by.organization_id == row.provider_id
    domain.check_decidable(State(row.state), rung, is_provider=is_provider, is_authority=by.has(AUTHORITY))
    domain.check_document(rung, decision.document)
    row.outcome = decision.outcome.value
    if decision.outcome is Outcome.GRANTED:
        row.state = State.SETTLED.value
        await answering.award(tx, policy, request, decision.answer, public_url=public_url, now=now)
    else:
        ends = domain.following(rung, row.requester_ref.division_code, row.provider_ref.division_code) is None
        row.state = State.SETTLED.value if ends else State.DECIDED.value
        if not ends:
            days = policy.rule(RuleName.DISPUTE_OBJECTION).days
            row.further_until = working_days.add(working_days.day_of(now), days)
        await answering.uphold(tx, request, reason=decision.reason, decided_by=decision.decided_by, now=now)
    await clocks.meet(tx, row.request_id, domain.rule_of(rung), by=decision.decided_by, now=now)
    _note(tx, row, Step.DECIDED, by=by, reason=decision.reason, now=now, decision=decision)
    await tx.flush()
    decided = DisputeDecided(
        **row.named,
        outcome=decision.outcome.value,
        reason=decision.reason,
        decided_by=decision.decided_by,
        document=decision.document,
        further_until=row.further_until,
        decided_at=now,
    )
    await outbox.add(tx, decided, now=now)
    return row


async def withdraw(tx: AsyncSession, dispute_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Dispute:
    """Dispute no more, as the requester: the request is as it was before.

    Raises: DisputeNotFound (404), DisputeOver (409).
    Emits: exchange.dispute.withdrawn.v1.
    """
    row, request = await _locked(tx, dispute_id, by, requester_only=True)
    domain.check_open(State(row.state))
    step = request_rules.Step.UPHOLD if request.decided_at is not None else request_rules.Step.REVIEW
    request.state = request_rules.advance(request_rules.State(request.state), step)
    if request.decided_at is None and request_rows.is_extended(request):
        request.state = request_rules.State.EXTENDED
    row.state = State.WITHDRAWN.value
    await clocks.stop(tx, row.request_id, domain.rule_of(Rung(row.rung)), reason=f"the dispute was withdrawn: {reason}", now=now)
    _note(tx, row, Step.WITHDRAWN, by=by, reason=reason, now=now)
    await tx.flush()
    await outbox.add(tx, DisputeWithdrawn(**row.named, reason=reason, withdrawn_at=now), now=now)
    return row


async def _locked(
    tx: AsyncSession, dispute_id: UUID, by: Principal, *, requester_only: bool
) -> tuple[store.Dispute, request_rows.SharingRequest]:
    """Return a dispute and its request, both locked, the request first as everywhere."""
    found = await store.get(tx, dispute_id)
    allowed = by.organization_id == found.requester_id if requester_only else sees(by, found.requester_id, found.provider_id)
    if not allowed:
        raise DisputeNotFound(f"dispute {dispute_id} does not exist, or you may not bring it on")
    request = await request_rows.get(tx, found.request_id, lock=True)
    return await store.get(tx, dispute_id, lock=True), request


async def _start_clock(tx: AsyncSession, policy: Policy, row: store.Dispute, reason: str, now: datetime) -> clock_rows.Clock:
    rung = Rung(row.rung)
    responsible = Responsible.PROVIDER if rung is Rung.NEGOTIATION else Responsible.AUTHORITY
    about = (row.provider_ref, row.request_id, row.resource_id, reason)
    clock = await clocks.start(tx, policy, Owed(domain.rule_of(rung), responsible, *about, dispute_id=row.dispute_id), now=now)
    assert clock is not None, "the one before was met or stopped"
    return clock


def _note(
    tx: AsyncSession, row: store.Dispute, step: Step, *, by: Principal, reason: str, now: datetime, decision: Decision | None = None
) -> None:
    tx.add(
        store.DisputeStep(
            step_id=uuid7(),
            dispute_id=row.dispute_id,
            step=step.value,
            rung=row.rung,
            by=by.subject,
            reason=reason,
            outcome=None if decision is None else decision.outcome.value,
            decided_by=None if decision is None else decision.decided_by,
            document=None if decision is None else decision.document,
            at=now,
        )
    )


async def get_visible(tx: AsyncSession, dispute_id: UUID, who: Principal) -> store.Dispute:
    """Return a dispute to its sides and the data authority. Raises: DisputeNotFound (404)."""
    row = await store.get(tx, dispute_id)
    if not sees(who, row.requester_id, row.provider_id):
        raise DisputeNotFound(f"dispute {dispute_id} does not exist, or you may not see it")
    return row
