"""How sharing requests are answered: at once where consent stands, else by the provider, who may ask for material and for time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.policy import Policy
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, SharingType
from dxmesh_schemas.exchange import RequestGranted, RequestRefused
from dxmesh_schemas.exchange_sharing import RequestExtended, RequestExtensionAsked, RequestMaterialsRequested
from dxmesh_schemas.exchange_terms import Narrowing, Terms
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.domain import ANSWER, Owed, Responsible, answer_rule
from exchange_svc.grant import commands as grants
from exchange_svc.notice import commands as notices
from exchange_svc.request import commands, domain, store
from exchange_svc.request.errors import ExtensionAnswered, ExtensionTooLong, MaterialsAsked, NotTheProvider, RequestNotFound
from exchange_svc.scenario import commands as scenarios
from exchange_svc.scenario import domain as rules


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: a grant may be narrower than what was asked for, never wider.

    unmasked: for items of a high level that leave as they are, why. scenario_id: the scenario whose answer it is.
    """

    outcome: domain.Outcome
    reason: str | None
    approved_by: str
    items: Sequence[str] | None = None
    use_until: datetime | None = None
    terms: Narrowing = field(default_factory=Narrowing)
    unmasked: Mapping[str, str] = field(default_factory=dict)
    scenario_id: UUID | None = None


async def ask(
    tx: AsyncSession, policy: Policy, asked: commands.Asked, *, by: Principal, public_url: str, now: datetime
) -> store.SharingRequest:
    """Enter a request; with its head's approval it is handed in, and answered at once where consent stands or its scenario grants it.

    Raises: as `commands.draft`.
    Emits: exchange.request.submitted.v1; answered at once, exchange.request.granted.v1 and exchange.grant.activated.v1.
    Source: 政务数据共享条例 Art. 20-21.
    """
    row = await commands.draft(tx, asked, by=by, now=now)
    if asked.approved_by is None:
        return row
    await commands.approve(tx, row.request_id, approved_by=asked.approved_by, by=by, now=now)
    return await _hand_in(tx, policy, row, public_url=public_url, now=now)


async def submit(
    tx: AsyncSession, policy: Policy, request_id: UUID, *, by: Principal, public_url: str, now: datetime
) -> store.SharingRequest:
    """Hand in a request that its head approved. Raises and emits as `ask`; RequestNotFound (404), RequestState (409)."""
    return await _hand_in(tx, policy, await commands.get_own(tx, request_id, by), public_url=public_url, now=now)


async def _hand_in(tx: AsyncSession, policy: Policy, row: store.SharingRequest, *, public_url: str, now: datetime) -> store.SharingRequest:
    resource = await commands.submit(tx, row, now=now)
    items = domain.choose_items(resource, row.items)
    consent = domain.consent_for(resource, items, SharingType(row.sharing_type))
    if consent is not None:
        reason = f"standing consent of {consent.approved_by} of {consent.approved_at.date().isoformat()}"
        answer = Answer(domain.Outcome.GRANTED, reason, consent.approved_by)
        await _grant(tx, policy, row, resource, answer, row.read_terms, public_url=public_url, now=now)
    elif not await by_scenario(tx, policy, row, resource, items, public_url=public_url, now=now):
        row.state = domain.advance(domain.State(row.state), domain.Step.REVIEW)
        await tx.flush()
        await clocks.start(tx, policy, answer_owed(row), now=now)
    return row


async def by_scenario(
    tx: AsyncSession,
    policy: Policy,
    row: store.SharingRequest,
    resource: ResourceSnapshot,
    items: Sequence[DataItem],
    *,
    public_url: str,
    now: datetime,
) -> bool:
    """Grant a request that its scenario authorizes, or note why that does not; say whether it was granted."""
    if row.scenario_id is None:
        return False
    asked = rules.Asked(items, row.read_purpose, row.read_terms)
    said = await scenarios.answer(tx, row.scenario_id, asked, resource, row.requester_id, now=now)
    if said is None:
        return False
    entry, found = said
    if not found.grants:
        row.scenario_note = f"scenario {entry.name} does not grant this: {'; '.join(found.misfits)}"
        return False
    row.use_until, row.scenario_note = rules.ends_at(entry, row.use_until), None
    reason = rules.reason_of(entry, found.approvals, row.provider_ref.name)
    answer = Answer(domain.Outcome.GRANTED, reason, rules.approver_of(found.approvals), scenario_id=entry.entry_id)
    grant_id = await _grant(tx, policy, row, resource, answer, found.terms, public_url=public_url, now=now)
    await scenarios.note(tx, entry, found, grant_id=grant_id, resource=resource, requester_id=row.requester_id, now=now)
    return True


def answer_owed(row: store.SharingRequest) -> Owed:
    """Return the answer that a provider owes to a request."""
    rule, provider = answer_rule(SharingType(row.sharing_type)), row.provider_ref
    return Owed(rule, Responsible.PROVIDER, provider, row.request_id, row.resource_id, f"request of {row.requester_ref.name}")


async def decide(
    tx: AsyncSession, policy: Policy, request_id: UUID, answer: Answer, *, by: Principal, public_url: str, now: datetime
) -> store.SharingRequest:
    """Answer a sharing request: grant it, whole or narrowed, or refuse it with reasons.

    Raises: RequestNotFound (404), NotTheProvider (403), RequestAnswered, RequestState (409), ReasonMissing (422), ResourceWithdrawn (409),
    ItemsUnknown (422), NotShared (403), UseUntilPast (422), TermsInvalid (422).
    Emits: exchange.request.granted.v1 and exchange.grant.activated.v1, or exchange.request.refused.v1.
    Source: 政务数据共享条例 Art. 20-21.
    """
    row = await _to_answer(tx, request_id, by)
    state = domain.advance(domain.State(row.state), domain.step_of(answer.outcome), reason=answer.reason)
    if state is domain.State.GRANTED:
        resource = await commands.in_force(tx, row.resource_id)
        terms = _narrow(row, resource, answer, now=now)
        await clocks.meet(tx, request_id, *ANSWER, by=answer.approved_by, now=now)
        await _grant(tx, policy, row, resource, answer, terms, public_url=public_url, now=now)
        return row
    assert answer.reason is not None, "a refusal without a reason does not get here"
    row.state, row.decided_at, row.decided_by, row.reason = state, now, answer.approved_by, answer.reason
    await tx.flush()
    await clocks.meet(tx, request_id, *ANSWER, by=answer.approved_by, now=now)
    refused = RequestRefused(**row.named, decided_at=now, decided_by=answer.approved_by, reason=answer.reason)
    await outbox.add(tx, refused, now=now)
    return row


async def award(tx: AsyncSession, policy: Policy, row: store.SharingRequest, answer: Answer, *, public_url: str, now: datetime) -> None:
    """Grant a request as the dispute about it was decided; its row is locked. Raises and emits as `decide`."""
    domain.advance(domain.State(row.state), domain.Step.AWARD)
    resource = await commands.in_force(tx, row.resource_id)
    terms = _narrow(row, resource, answer, now=now)
    await clocks.meet(tx, row.request_id, *ANSWER, by=answer.approved_by, now=now)
    await _grant(tx, policy, row, resource, answer, terms, step=domain.Step.AWARD, public_url=public_url, now=now)


async def uphold(tx: AsyncSession, row: store.SharingRequest, *, reason: str, decided_by: str, now: datetime) -> None:
    """Leave a request refused as the dispute about it was decided; one without an answer is refused by this. Its row is locked.

    Emits: exchange.request.refused.v1 where there was no answer.
    """
    row.state = domain.advance(domain.State(row.state), domain.Step.UPHOLD)
    if row.decided_at is not None:
        await tx.flush()
        return
    row.decided_at, row.decided_by, row.reason = now, decided_by, reason
    await tx.flush()
    await clocks.meet(tx, row.request_id, *ANSWER, by=decided_by, now=now)
    await outbox.add(tx, RequestRefused(**row.named, decided_at=now, decided_by=decided_by, reason=reason), now=now)


def _narrow(row: store.SharingRequest, resource: ResourceSnapshot, answer: Answer, *, now: datetime) -> Terms:
    """Put what is granted in place of what was asked for: fewer items, an earlier end; return the terms."""
    wanted = answer.items if answer.items is not None else row.items
    if beyond := [code for code in wanted if code not in row.items]:
        domain.refuse([("/items", f"{', '.join(beyond)}: not asked for; grant of {', '.join(row.items)} only")])
    items = domain.choose_items(resource, wanted)
    domain.check_use_until(answer.use_until, now, asked=row.use_until)
    use_until = answer.use_until or row.use_until
    domain.check_use_until(use_until, now)
    terms = domain.narrowed(domain.asked_of(row.read_terms, items), answer.terms)
    domain.check_terms(terms, items)
    domain.refuse([*domain.unmasked_faults(terms, items, answer.unmasked)])
    row.items, row.use_until = [item.code for item in items], use_until
    row.sharing_type = domain.sharing_of(resource, items).value
    return terms


async def _grant(
    tx: AsyncSession,
    policy: Policy,
    row: store.SharingRequest,
    resource: ResourceSnapshot,
    answer: Answer,
    terms: Terms,
    *,
    step: domain.Step = domain.Step.GRANT,
    public_url: str,
    now: datetime,
) -> UUID:
    row.state = domain.advance(domain.State(row.state), step)
    row.decided_at, row.decided_by, row.reason = now, answer.approved_by, answer.reason
    await tx.flush()
    granted = RequestGranted(
        **row.named, decided_at=now, decided_by=answer.approved_by, reason=answer.reason, scenario_id=answer.scenario_id
    )
    await outbox.add(tx, granted, now=now)
    given = grants.Given(
        request_id=row.request_id,
        requester=row.requester_ref,
        items=row.items,
        sharing=SharingType(row.sharing_type),
        use_until=row.use_until,
        terms=terms,
        legal_basis=row.legal_basis,
        scenario=row.scenario,
        purpose=row.purpose,
        public_url=public_url,
    )
    grant = await grants.activate(tx, policy, resource, given, now=now)
    await notices.follow(tx, grant, now=now)
    row.grant_id, row.first_view_id = grant.grant_id, grant.view_id
    if await store.find_first_data(tx, grant.view_id) is not None:
        row.first_data_at = now
    await tx.flush()
    return grant.grant_id


async def ask_materials(
    tx: AsyncSession, request_id: UUID, *, missing: Sequence[str], by: Principal, now: datetime
) -> store.SharingRequest:
    """Name everything that is missing, once; until it is supplied the request waits for its requester.

    Raises: RequestNotFound (404), NotTheProvider (403), RequestAnswered, RequestState, MaterialsAsked (409).
    Emits: exchange.request.materials_requested.v1.
    Source: 政务数据共享条例 Art. 21 (one notice of all that is missing, no refusal outright).
    """
    row = await _to_answer(tx, request_id, by)
    after = domain.advance(domain.State(row.state), domain.Step.ASK_MATERIALS)
    if row.missing_asked_at is not None:
        raise MaterialsAsked(f"material was asked for on {row.missing_asked_at.isoformat()}, and is asked for once: answer the request")
    row.state, row.missing, row.missing_asked_at = after, list(missing), now
    await tx.flush()
    await clocks.pause(tx, request_id, *ANSWER, now=now)
    asked = RequestMaterialsRequested(**row.named, missing=tuple(missing), asked_at=now, asked_by=by.subject)
    await outbox.add(tx, asked, now=now)
    return row


async def ask_extension(
    tx: AsyncSession, request_id: UUID, *, days: int, reason: str, by: Principal, now: datetime
) -> store.SharingRequest:
    """Ask the data authority for more working days to answer.

    Raises: RequestNotFound (404), NotTheProvider (403), RequestAnswered, RequestState, ExtensionAnswered, ClockRefused (409),
    ExtensionTooLong (422).
    Emits: exchange.request.extension_asked.v1.
    Source: 政务数据共享条例 Art. 21 (at most 10 working days, with the authority's consent; a local policy may allow fewer).
    """
    row = await _to_answer(tx, request_id, by)
    domain.advance(domain.State(row.state), domain.Step.EXTEND)
    if row.extension is not None:
        raise ExtensionAnswered(f"an extension was asked for on {row.extension['asked_at']}, and is asked for once")
    most = await clocks.extended(tx, request_id, *ANSWER, days=days, now=now)
    if most is not None and days > most:
        detail = f"days: {days} are more than the {most} working days an answer is extended by at most; ask for {most} or fewer"
        raise ExtensionTooLong.at("/days", detail)
    row.extension = {"days": days, "reason": reason, "asked_at": now.isoformat()}
    await tx.flush()
    await outbox.add(tx, RequestExtensionAsked(**row.named, days=days, reason=reason, asked_at=now), now=now)
    return row


async def decide_extension(
    tx: AsyncSession, request_id: UUID, *, consents: bool, approved_by: str, by: Principal, now: datetime
) -> store.SharingRequest:
    """Consent to an extension, or not, as the data authority; the requester learns of it by the event.

    Raises: RequestNotFound (404), RequestAnswered, RequestState, ExtensionAnswered (409), ClockRefused (409) when the day has passed.
    Emits: exchange.request.extended.v1 with the consent.
    Source: 政务数据共享条例 Art. 21.
    """
    row = await store.get(tx, request_id, lock=True)
    if row.state in domain.BEFORE_SUBMISSION:
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    if row.extension is None or "outcome" in row.extension:
        raise ExtensionAnswered(f"no extension of request {request_id} waits for an answer")
    asked = row.extension
    after = domain.advance(domain.State(row.state), domain.Step.EXTEND)
    outcome = "granted" if consents else "refused"
    row.extension = asked | {"outcome": outcome, "consented_by": approved_by, "answered_at": now.isoformat(), "answered": by.subject}
    if consents:
        await clocks.extend(tx, request_id, *ANSWER, days=asked["days"], now=now)
        row.state = after
        extended = RequestExtended(**row.named, days=asked["days"], reason=asked["reason"], consented_by=approved_by, extended_at=now)
        await outbox.add(tx, extended, now=now)
    await tx.flush()
    return row


async def _to_answer(tx: AsyncSession, request_id: UUID, by: Principal) -> store.SharingRequest:
    """Return a request that the caller answers, locked. Raises: RequestNotFound (404), NotTheProvider (403) for its requester."""
    row = await store.get(tx, request_id, lock=True)
    if by.own_organization == row.requester_id:
        raise NotTheProvider(f"request {request_id} is answered by {row.provider_ref.name}, not by its requester")
    if by.own_organization != row.provider_id or row.state in domain.BEFORE_SUBMISSION or row.submitted_at is None:
        raise RequestNotFound(f"request {request_id} does not exist, or you may not see it")
    return row
