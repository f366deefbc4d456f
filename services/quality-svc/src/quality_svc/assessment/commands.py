"""Assessing batches that were received."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import outbox, telemetry
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.event import Meta
from dxmesh_schemas.exchange import BatchKind, BatchReceived
from dxmesh_schemas.quality import AssessmentCompleted
from quality_svc.assessment import facts, store
from quality_svc.assessment.bench import Bench, RuleBook, Verdict
from quality_svc.assessment.checking import Plan
from quality_svc.assessment.columns import CHUNK_ROWS
from quality_svc.assessment.domain import decide
from quality_svc.assessment.errors import AssessmentNotFound
from quality_svc.catalog import store as catalog
from quality_svc.catalog.errors import VersionNotArrived

log = structlog.get_logger(__name__)
batches_checked = Counter("dxmesh_quality_batches", "Batches assessed", ["outcome"])
rows_checked = Counter("dxmesh_quality_rows", "Rows of assessed batches", ["verdict"])
check_seconds = Counter("dxmesh_quality_check_seconds", "Time spent on rules, files included")

_TOGETHER_BYTES = 8 * 1024**2  # of compressed objects

Books = dict[tuple[UUID, int, BatchKind], RuleBook]


async def assess(tx: AsyncSession, bench: Bench, received: Sequence[tuple[BatchReceived, Meta]], *, now: datetime) -> None:
    """Check batches against the rules of the resource version they were received under, and say what came out.

    Small batches of the same resource, version and kind are checked in one frame; each has its own assessment. A batch that has one
    already is left alone.
    Raises: VersionNotArrived, TableMissing, BatchDamaged; each means that the batch has to wait, not that it is wrong.
    Emits: quality.assessment.completed.v1, in the order of the batches, in the same transaction.
    """
    await store.lock_resources(tx, {batch.resource_id for batch, _ in received})
    assessed = await store.list_assessed(tx, {batch.batch_id for batch, _ in received})
    waiting = {batch.batch_id: (batch, meta) for batch, meta in received if batch.batch_id not in assessed}
    books = await _books(tx, bench, [batch for batch, _ in waiting.values()])
    verdicts: dict[UUID, Verdict] = {}
    for together in _sheets([batch for batch, _ in waiting.values()]):
        book = books[_place(together[0])]
        plan = Plan(book.resource, book.rules, await facts.find(tx, bench, book.resource, together[0].kind, book.rules))
        begun = time.perf_counter()
        for verdict in await asyncio.to_thread(bench.check, plan, together):
            verdicts[verdict.checked.batch_id] = verdict
        check_seconds.inc(time.perf_counter() - begun)
    completed = [
        (_completed(books[_place(batch)].resource, batch, verdicts[batch.batch_id], now), meta) for batch, meta in waiting.values()
    ]
    await store.add(tx, [_row(event, waiting[event.batch_id][0]) for event, _ in completed])
    entries = []
    for event, meta in completed:
        with telemetry.continued(meta):
            entries.append(outbox.entry(event, now=now)[1])
        _count(event)
    await outbox.write(tx, entries)


async def get_visible(tx: AsyncSession, assessment_id: UUID, who: Principal) -> store.Assessment:
    """Return an assessment to those who may see it. Raises AssessmentNotFound (404)."""
    return _visible(await store.get(tx, assessment_id), who, f"there is no assessment {assessment_id} here, or you may not see it")


async def get_visible_by_batch(tx: AsyncSession, batch_id: UUID, who: Principal) -> store.Assessment:
    """Return a batch's assessment to those who may see it. Raises AssessmentNotFound (404)."""
    return _visible(await store.get_by_batch(tx, batch_id), who, f"batch {batch_id} has no assessment here yet, or you may not see it")


def sees_all(who: Principal) -> bool:
    """Say whether the caller reads the assessments of every provider."""
    return who.has("authority") or who.has("auditor")


def _visible(row: store.Assessment, who: Principal, otherwise: str) -> store.Assessment:
    if row.provider_id != who.organization_id and not sees_all(who):
        raise AssessmentNotFound(otherwise)
    return row


async def _books(tx: AsyncSession, bench: Bench, batches: Sequence[BatchReceived]) -> Books:
    wanted = {(batch.resource_id, batch.resource_version, batch.kind) for batch in batches}
    books = {place: book for place in wanted if (book := bench.find_rules(*place)) is not None}
    versions = await catalog.list_versions(tx, {(resource_id, version) for resource_id, version, _ in wanted - books.keys()})
    for resource_id, version, kind in wanted - books.keys():
        if (resource_id, version) not in versions:
            raise VersionNotArrived(
                f"version {version} of resource {resource_id} has not arrived from catalog-svc yet; its batches wait until it does"
            )
        books[resource_id, version, kind] = bench.keep_rules(versions[resource_id, version], kind)
    return books


def _place(batch: BatchReceived) -> tuple[UUID, int, BatchKind]:
    return batch.resource_id, batch.resource_version, batch.kind


def _sheets(batches: Sequence[BatchReceived]) -> Iterator[list[BatchReceived]]:
    """Yield batches that go through the rules together: of one resource version and kind, as many as one frame takes."""
    alike: dict[tuple[UUID, int, BatchKind], list[BatchReceived]] = {}
    for batch in batches:
        alike.setdefault(_place(batch), []).append(batch)
    for same in alike.values():
        together: list[BatchReceived] = []
        rows = stored = 0
        for batch in same:
            rows, stored = rows + batch.rows.row_count, stored + batch.rows.byte_count
            if together and (rows > CHUNK_ROWS or stored > _TOGETHER_BYTES):
                yield together
                together, rows, stored = [], batch.rows.row_count, batch.rows.byte_count
            together.append(batch)
        yield together


def _completed(resource: ResourceSnapshot, batch: BatchReceived, verdict: Verdict, now: datetime) -> AssessmentCompleted:
    bad = verdict.checked.bad_row_count + batch.refused_row_count
    outcome, reason = decide(batch.received_count, bad, resource.max_quarantined_ratio)
    return AssessmentCompleted(
        assessment_id=uuid7(),
        resource_id=batch.resource_id,
        resource_version=batch.resource_version,
        batch_id=batch.batch_id,
        outcome=outcome,
        reason=reason,
        received_count=batch.received_count,
        quarantined_count=bad,
        accepted=verdict.accepted,
        quarantine=verdict.quarantine,
        results=verdict.checked.results,
        completed_at=now,
    )


def _row(event: AssessmentCompleted, batch: BatchReceived) -> dict[str, object]:
    row = event.model_dump(mode="json", include={"accepted", "quarantine", "results"})
    row |= event.model_dump(exclude={"accepted", "quarantine", "results", "outcome"})
    return row | {"provider_id": batch.provider.organization_id, "kind": batch.kind.value, "outcome": event.outcome.value}


def _count(event: AssessmentCompleted) -> None:
    batches_checked.labels(event.outcome.value).inc()
    rows_checked.labels("good").inc(event.received_count - event.quarantined_count)
    rows_checked.labels("bad").inc(event.quarantined_count)
    log.info(
        "assessment.completed",
        batch_id=str(event.batch_id),
        resource_id=str(event.resource_id),
        outcome=event.outcome.value,
        received=event.received_count,
        bad=event.quarantined_count,
    )
