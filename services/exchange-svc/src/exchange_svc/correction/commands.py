"""What is done to correction requests: file, answer, withdraw."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.policy import Policy, RuleName
from dxmesh_runtime import outbox
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.exchange_corrections import CorrectionCorrected, CorrectionFiled, CorrectionRejected, CorrectionWithdrawn
from dxmesh_tabular.store import ObjectStore
from exchange_svc.access import sees
from exchange_svc.batch import store as batches
from exchange_svc.catalog import store as catalog
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.domain import Owed, Responsible
from exchange_svc.correction import domain, store
from exchange_svc.correction.domain import Arrived, Outcome, Record, State
from exchange_svc.correction.errors import CorrectionNotFound
from exchange_svc.correction.matching import coverage
from exchange_svc.grant import store as grants
from exchange_svc.grant.errors import GrantNotFound


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a requester doubts, and why; items: none for the records as a whole."""

    records: Sequence[Record]
    items: Sequence[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer; batch_id: what brings the corrected records."""

    outcome: Outcome
    reason: str | None
    batch_id: UUID | None
    approved_by: str


async def file(tx: AsyncSession, policy: Policy, grant_id: UUID, doubt: Doubt, *, by: Principal, now: datetime) -> store.Correction:
    """Doubt records that a grant reads or read, as its requester; the provider's answer is due by a day.

    Raises: GrantNotFound (404), GrantNotActive (409), CorrectionInvalid (422).
    Emits: exchange.correction.filed.v1.
    Source: 政务数据共享条例 Art. 26.
    """
    grant, view = await grants.get(tx, grant_id)
    if by.own_organization != grant.requester_id:
        raise GrantNotFound(f"grant {grant_id} does not exist, or you may not doubt what it reads")
    domain.check_read(grant.state_at(now))
    resource = (await catalog.get_resource(tx, grant.resource_id)).read()
    named = await _arrived(tx, {one.batch_id for one in doubt.records if one.batch_id is not None})
    masked = {mask.item for mask in grant.read_terms.masks}
    domain.check_doubt(doubt.records, doubt.items, resource=resource, readable=view.items, masked=masked, batches=named)
    row = store.Correction(
        correction_id=uuid7(),
        grant_id=grant_id,
        request_id=grant.request_id,
        resource_id=grant.resource_id,
        requester_id=grant.requester_id,
        requester=grant.requester,
        provider_id=resource.provider.organization_id,
        provider=resource.provider.model_dump(mode="json"),
        records=[one.model_dump(mode="json", exclude_none=True) for one in doubt.records],
        items=list(doubt.items),
        reason=doubt.reason,
        state=State.FILED.value,
        filed_at=now,
        filed_by=by.subject,
    )
    tx.add(row)
    await tx.flush()
    about = (resource.provider, row.request_id, row.resource_id, doubt.reason)
    owed = Owed(RuleName.CORRECTION, Responsible.PROVIDER, *about, grant_id=grant_id, correction_id=row.correction_id)
    clock = await clocks.start(tx, policy, owed, now=now)
    assert clock is not None, "each correction request has a clock of its own"
    filed = CorrectionFiled(
        **row.named, record_count=len(row.records), items=tuple(row.items), reason=row.reason, due_on=clock.due_on, filed_at=now
    )
    await outbox.add(tx, filed, now=now)
    return row


async def answer(
    tx: AsyncSession, objects: ObjectStore, correction_id: UUID, given: Answer, *, by: Principal, now: datetime
) -> store.Correction:
    """Answer a correction request as its provider: corrected by a batch, or not, with reasons.

    How many of the doubted records the batch replaces or deletes is kept with the answer, and how many rows it has beside; one that has
    none of them corrects nothing.
    Raises: CorrectionNotFound (404), CorrectionOver (409), CorrectionInvalid (422), RowsMissing (503).
    Emits: exchange.correction.corrected.v1 or .rejected.v1.
    Source: 政务数据共享条例 Art. 26.
    """
    row = await store.get(tx, correction_id, lock=True)
    if by.own_organization != row.provider_id:
        raise CorrectionNotFound(f"correction request {correction_id} does not exist, or you may not answer it")
    domain.check_open(State(row.state))
    batch = None if given.batch_id is None else (await _arrived(tx, {given.batch_id})).get(given.batch_id)
    domain.check_answer(
        given.outcome, reason=given.reason, batch_id=given.batch_id, batch=batch, resource_id=row.resource_id, filed_at=row.filed_at
    )
    if given.batch_id is not None and batch is not None and batch.rows is not None:
        await _cover(tx, objects, row, given.batch_id, batch.rows, batch.kind)
    row.state, row.answer, row.batch_id = State(given.outcome.value).value, given.reason, given.batch_id
    row.ended_at, row.ended_by = now, given.approved_by
    await tx.flush()
    await clocks.meet(tx, row.request_id, RuleName.CORRECTION, correction_id=correction_id, by=given.approved_by, now=now)
    if given.batch_id is not None:
        corrected = CorrectionCorrected(
            **row.named,
            batch_id=given.batch_id,
            reason=given.reason,
            covered_count=row.covered_count,
            uncovered_count=row.uncovered_count,
            other_row_count=row.other_row_count,
            answered_by=given.approved_by,
            answered_at=now,
        )
        await outbox.add(tx, corrected, now=now)
    else:
        assert given.reason is not None, "a rejection without a reason does not get here"
        rejected = CorrectionRejected(**row.named, reason=given.reason, answered_by=given.approved_by, answered_at=now)
        await outbox.add(tx, rejected, now=now)
    return row


async def _cover(tx: AsyncSession, objects: ObjectStore, row: store.Correction, batch_id: UUID, by: ObjectRef, kind: BatchKind) -> None:
    """Note how far a batch is about the doubted records. Raises: CorrectionInvalid (422), RowsMissing (503)."""
    resource = (await catalog.get_resource(tx, row.resource_id)).read()
    records = [Record.model_validate(one) for one in row.records]
    named = await _arrived(tx, {one.batch_id for one in records if one.batch_id is not None})
    rows = {one: known.rows for one, known in named.items() if known.rows is not None}
    found = await asyncio.to_thread(coverage, objects, resource.key, records, rows, by, kind)
    if found is not None:
        domain.check_covers(found.covered, batch_id=batch_id, record_count=len(records))
        row.covered_count, row.uncovered_count, row.other_row_count = found.covered, found.uncovered, found.other_rows


async def withdraw(tx: AsyncSession, correction_id: UUID, *, reason: str, by: Principal, now: datetime) -> store.Correction:
    """Doubt no more, as the requester.

    Raises: CorrectionNotFound (404), CorrectionOver (409).
    Emits: exchange.correction.withdrawn.v1.
    """
    row = await store.get(tx, correction_id, lock=True)
    if by.own_organization != row.requester_id:
        raise CorrectionNotFound(f"correction request {correction_id} does not exist, or you may not withdraw it")
    domain.check_open(State(row.state))
    row.state, row.answer, row.ended_at, row.ended_by = State.WITHDRAWN.value, reason, now, by.subject
    await tx.flush()
    said = f"the correction request was withdrawn: {reason}"
    await clocks.stop(tx, row.request_id, RuleName.CORRECTION, correction_id=correction_id, reason=said, now=now)
    await outbox.add(tx, CorrectionWithdrawn(**row.named, reason=reason, withdrawn_at=now), now=now)
    return row


async def _arrived(tx: AsyncSession, batch_ids: Collection[UUID]) -> dict[UUID, Arrived]:
    """Return what is known of batches."""
    found = await batches.find_all(tx, batch_ids) if batch_ids else {}
    return {
        batch_id: Arrived(
            resource_id=row.resource_id,
            row_count=row.received_count,
            kind=BatchKind(row.kind),
            accepted_at=None if row.sequence is None else row.assessed_at,
            rows=None if row.sequence is None else row.accepted_ref,
        )
        for batch_id, row in found.items()
    }


async def get_visible(tx: AsyncSession, correction_id: UUID, who: Principal) -> store.Correction:
    """Return a correction request to its requester, its provider and the data authority. Raises: CorrectionNotFound (404)."""
    row = await store.get(tx, correction_id)
    if not sees(who, row.requester_id, row.provider_id):
        raise CorrectionNotFound(f"correction request {correction_id} does not exist, or you may not see it")
    return row
