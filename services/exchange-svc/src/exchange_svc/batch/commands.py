"""What is done to batches: take one in, put assessed ones in force."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from dxmesh_runtime import outbox, telemetry
from dxmesh_runtime.auth import Principal
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.event import Event, Meta
from dxmesh_schemas.exchange import BatchAccepted, BatchKind, BatchReceived, BatchRejected, ObjectRef
from dxmesh_schemas.quality import AssessmentCompleted
from exchange_svc.access import sees
from exchange_svc.batch import domain, store
from exchange_svc.batch.errors import AssessmentUnfit, BatchNotFound
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceNotFound, ResourceWithdrawn
from exchange_svc.clock import commands as clocks
from exchange_svc.grant import commands as grant_commands
from exchange_svc.grant import domain as grants
from exchange_svc.grant import store as views
from exchange_svc.notice import store as notices
from exchange_svc.notice.domain import check_version

Sign = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Pushed:
    """A body that was read and whose objects are durable."""

    batch_id: UUID
    kind: BatchKind
    media_type: str
    body_sha256: str
    body_byte_count: int
    rows: ObjectRef
    refused: ObjectRef | None
    refused_row_count: int

    @property
    def received_count(self) -> int:
        """Return the rows of the file, readable or not."""
        return self.rows.row_count + self.refused_row_count


async def admit(
    connection: AsyncConnection, resource_id: UUID, batch_id: UUID, *, kind: BatchKind, version: int | None, by: Principal
) -> tuple[ResourceSnapshot, bool]:
    """Say under which version of the resource a push is taken in, and whether a batch of that id exists already.

    version: the one the file was made by, when the sender says so; an announced one is not taken before its day.
    Raises: ResourceNotFound (404, also for another's resource), ResourceWithdrawn (409), VersionNotInForce (409), KeyMissing (422).
    """
    target = await store.find_target(connection, resource_id, batch_id)
    if target is None or target.provider_id != by.own_organization:
        raise ResourceNotFound(f"resource {resource_id} is not published on this node, or you may not see it")
    snapshot = await catalog.get_version(connection, resource_id, target.version)
    if not target.is_known:
        if target.withdrawn_at is not None:
            raise ResourceWithdrawn(f"resource {snapshot.name} was withdrawn at {target.withdrawn_at.isoformat()} and takes no batches")
        if version is not None and version != target.version:
            coming = await notices.find_coming(connection, resource_id)
            check_version(version, in_force=target.version, coming=coming)
        domain.check_kind(snapshot, kind)
    return snapshot, target.is_known


async def receive(
    connection: AsyncConnection, resource: ResourceSnapshot, pushed: Pushed, *, sign: Sign, node: str, now: datetime
) -> store.Batch | None:
    """Enter a batch whose objects are durable, with its signed acknowledgement; None when its id is taken.

    Emits: exchange.batch.received.v1, in the statement that enters the batch.
    """
    event = BatchReceived(
        resource_id=resource.resource_id,
        batch_id=pushed.batch_id,
        resource_version=resource.version,
        provider=resource.provider,
        kind=pushed.kind,
        received_at=now,
        body_sha256=pushed.body_sha256,
        body_byte_count=pushed.body_byte_count,
        media_type=pushed.media_type,
        received_count=pushed.received_count,
        rows=pushed.rows,
        refused=pushed.refused,
        refused_row_count=pushed.refused_row_count,
    )
    meta, entry = outbox.entry(event, now=now)
    acknowledgement = sign(
        {
            "batch_id": str(pushed.batch_id),
            "resource_id": str(resource.resource_id),
            "resource_version": resource.version,
            "body_sha256": pushed.body_sha256,
            "body_byte_count": pushed.body_byte_count,
            "received_count": pushed.received_count,
            "refused_row_count": pushed.refused_row_count,
            "event_id": str(meta.event_id),
            "received_at": now.isoformat(),
            "node": node,
        }
    )
    return await store.enter(
        connection,
        {
            "batch_id": pushed.batch_id,
            "resource_id": resource.resource_id,
            "resource_version": resource.version,
            "provider_id": resource.provider.organization_id,
            "provider": resource.provider.model_dump(mode="json"),
            "kind": pushed.kind.value,
            "state": domain.State.RECEIVED.value,
            "media_type": pushed.media_type,
            "body_sha256": pushed.body_sha256,
            "body_byte_count": pushed.body_byte_count,
            "received_count": pushed.received_count,
            "refused_row_count": pushed.refused_row_count,
            "received_at": now,
            "event_id": meta.event_id,
            "acknowledgement": acknowledgement,
            "rows": pushed.rows.model_dump(),
            "refused": pushed.refused.model_dump() if pushed.refused else None,
        },
        entry,
    )


async def assess(tx: AsyncSession, assessments: Sequence[tuple[AssessmentCompleted, Meta]], *, now: datetime) -> None:
    """Put assessed batches in force, or reject them; an assessment of a batch that is settled changes nothing.

    Batches of a resource get their sequence in the order of their assessments, under the lock of the resource's row, which also
    keeps views from opening in between: a view sees each accepted batch once, by this or by its backfill.
    Raises: BatchNotFound (404), AssessmentUnfit (422).
    Emits: exchange.batch.accepted.v1 or .rejected.v1; exchange.dispatch.ordered.v1 where views are open, .ended.v1 where nobody reads.
    """
    resources = await catalog.lock_resources(tx, {event.resource_id for event, _ in assessments})
    rows = await store.find_all(tx, {event.batch_id for event, _ in assessments})
    used, unused = await views.list_used_views(tx, resources.keys(), now=now)
    await grant_commands.tell_closed(tx, unused, now=now)
    open_views = defaultdict(list, used)
    versions = await catalog.list_versions(tx, {(row.resource_id, row.resource_version) for row in rows.values()})
    first_batches: set[UUID] = set()
    said: list[tuple[Meta, list[Event]]] = []  # with the trace of the push it goes on in
    for event, meta in assessments:
        row = rows.get(event.batch_id)
        if row is None:
            raise BatchNotFound(f"assessment {event.assessment_id} is about batch {event.batch_id}, which was never received here")
        if row.resource_id != event.resource_id:
            raise AssessmentUnfit(f"assessment {event.assessment_id} names resource {event.resource_id}; the batch is of {row.resource_id}")
        if row.state != domain.State.RECEIVED:
            continue
        _settle(row, event, now)
        if row.state == domain.State.REJECTED:
            said.append((meta, [_rejected(row, event, now)]))
            continue
        resource = resources[event.resource_id]
        first_batches.update({row.resource_id} if resource.last_sequence == 0 else ())
        resource.last_sequence += 1
        row.sequence, row.accepted_rows = resource.last_sequence, event.accepted.model_dump()
        order = grants.dispatch(
            open_views[row.resource_id],
            versions[row.resource_id, row.resource_version],
            batch_id=row.batch_id,
            sequence=row.sequence,
            kind=BatchKind(row.kind),
            rows=event.accepted,
            now=now,
        )
        accepted = _accepted(row, event, tuple(view.view_id for view in order.views) if order else (), now)
        said.append((meta, [accepted, order] if order else [accepted]))
    await tx.flush()
    if first_batches:
        await views.begin_delivering(tx, first_batches)
        await clocks.meet_deliveries(tx, first_batches, now=now)
    entries = []
    for meta, events in said:
        with telemetry.continued(meta):
            entries += [outbox.entry(event, now=now)[1] for event in events]
    await outbox.write(tx, entries)


def _settle(row: store.Batch, event: AssessmentCompleted, now: datetime) -> None:
    counts = domain.settle(event, row.received_count)
    row.assessment_id, row.assessed_at, row.reason = event.assessment_id, now, event.reason
    row.accepted_count, row.quarantined_count, row.rejected_count = counts.accepted, counts.quarantined, counts.rejected
    row.quarantine = event.quarantine.model_dump() if event.quarantine else None
    row.state = domain.state_after(event.outcome)


def _accepted(row: store.Batch, event: AssessmentCompleted, view_ids: tuple[UUID, ...], now: datetime) -> BatchAccepted:
    return BatchAccepted(
        resource_id=row.resource_id,
        batch_id=row.batch_id,
        resource_version=row.resource_version,
        provider=row.provider_ref,
        kind=BatchKind(row.kind),
        sequence=row.sequence or 0,
        accepted_at=now,
        received_count=row.received_count,
        accepted_count=row.accepted_count or 0,
        quarantined_count=row.quarantined_count or 0,
        rows=event.accepted,
        quarantine=event.quarantine,
        view_ids=view_ids,
    )


def _rejected(row: store.Batch, event: AssessmentCompleted, now: datetime) -> BatchRejected:
    return BatchRejected(
        resource_id=row.resource_id,
        batch_id=row.batch_id,
        resource_version=row.resource_version,
        provider=row.provider_ref,
        kind=BatchKind(row.kind),
        rejected_at=now,
        received_count=row.received_count,
        rejected_count=row.rejected_count or 0,
        reason=event.reason,
        quarantine=event.quarantine,
    )


async def get_visible(tx: AsyncSession, batch_id: UUID, who: Principal) -> store.Batch:
    """Return a batch to its sender or the authority. Raises: BatchNotFound (404)."""
    row = await store.get(tx, batch_id)
    if not sees(who, row.provider_id):
        raise BatchNotFound(f"batch {batch_id} does not exist, or you may not see it")
    return row
