"""What may be doubted and how that is answered (政务数据共享条例 Art. 26)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, Snapshot
from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_schemas.problem import Fault
from exchange_svc.correction.errors import CorrectionInvalid, CorrectionOver
from exchange_svc.grant.domain import State as GrantState
from exchange_svc.grant.errors import GrantNotActive
from exchange_svc.request.domain import MASKED_FROM_LEVEL

_READ = (GrantState.ACTIVE, GrantState.SUSPENDED, GrantState.EXPIRED, GrantState.TERMINATED)


class State(StrEnum):
    """Where a correction request is."""

    FILED = "filed"  # an answer is owed
    CORRECTED = "corrected"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """How a provider answers."""

    CORRECTED = "corrected"
    REJECTED = "rejected"


class Record(Snapshot):
    """A record that is doubted: by the resource's key, or by the batch it came with and its row there."""

    key: Mapping[str, str | int] | None = None
    batch_id: UUID | None = None
    row: int | None = None


class Arrived(Snapshot):
    """What is known of a batch that a record or an answer names. accepted_at, rows: None before its acceptance."""

    resource_id: UUID
    row_count: int
    kind: BatchKind
    accepted_at: datetime | None
    rows: ObjectRef | None = None


def check_read(state: GrantState) -> None:
    """Let records be doubted that could be read by a grant, also when it is over. Raises: GrantNotActive (409)."""
    if state is GrantState.DELIVERING:
        raise GrantNotActive("nothing came by the grant yet, so nothing can be doubted")
    if state not in _READ:
        raise GrantNotActive("the data of the grant were disposed of; ask for access anew to doubt what is shared now")


def check_open(state: State) -> None:
    """Let a correction request be answered or withdrawn that is open. Raises: CorrectionOver (409)."""
    if state is not State.FILED:
        raise CorrectionOver(f"the correction request is {state}; file another one when there is a new doubt", state=state.value)


def check_doubt(
    records: Sequence[Record],
    items: Collection[str],
    *,
    resource: ResourceSnapshot,
    readable: Sequence[str],
    masked: Collection[str],
    batches: Mapping[UUID, Arrived],
) -> None:
    """Refuse a doubt about what was not granted, and records that cannot be found by what is said. Raises: CorrectionInvalid (422)."""
    faults = [*_item_faults(items, readable), *_record_faults(records, resource, readable, masked, batches)]
    _refuse(faults)


def _item_faults(items: Collection[str], readable: Sequence[str]) -> Iterator[Fault]:
    unknown = [code for code in items if code not in readable]
    if unknown:
        yield "/items", f"{', '.join(unknown)}: not granted; the grant reads {', '.join(readable)}"


def _record_faults(
    records: Sequence[Record], resource: ResourceSnapshot, readable: Sequence[str], masked: Collection[str], batches: Mapping[UUID, Arrived]
) -> Iterator[Fault]:
    unspoken = _why_not_by_key(resource, readable, masked)
    for number, record in enumerate(records):
        at = f"/records/{number}"
        if record.key is not None:
            if record.batch_id is not None or record.row is not None:
                yield at, "is named twice: give its key, or its batch_id and row"
            elif unspoken is not None:
                yield f"{at}/key", f"{unspoken}: name the row by batch_id and row, which come with every record"
            elif set(record.key) != set(resource.key):
                yield f"{at}/key", f"names {', '.join(sorted(record.key)) or 'nothing'}; the key is {', '.join(resource.key)}"
        elif record.batch_id is None or record.row is None:
            yield at, "names no record: give its key, or both batch_id and row"
        else:
            batch = batches.get(record.batch_id)
            if batch is None or batch.resource_id != resource.resource_id or batch.accepted_at is None:
                yield f"{at}/batch_id", f"{record.batch_id} is no accepted batch of {resource.name}"
            elif not 1 <= record.row <= batch.row_count:
                yield f"{at}/row", f"batch {record.batch_id} has the rows 1 to {batch.row_count}"


def _why_not_by_key(resource: ResourceSnapshot, readable: Sequence[str], masked: Collection[str]) -> str | None:
    """Return why rows are not named by their key; None where they may be.

    What is kept of a doubt for years is no place for values of a high level.
    """
    if not resource.key:
        return f"{resource.name} has no key"
    hidden = [code for code in resource.key if code not in readable or code in masked]
    if hidden:
        return f"{', '.join(hidden)} of the key is not granted as it is"
    items: Mapping[str, DataItem] = {item.code: item for item in resource.items}
    high = [code for code in resource.key if items[code].data_level >= MASKED_FROM_LEVEL]
    return f"{', '.join(high)} of the key is of level {MASKED_FROM_LEVEL} or above" if high else None


def check_answer(
    outcome: Outcome, *, reason: str | None, batch_id: UUID | None, batch: Arrived | None, resource_id: UUID, filed_at: datetime
) -> None:
    """Have a correction name the batch that brings it, and a rejection its reasons. Raises: CorrectionInvalid (422)."""
    if outcome is Outcome.REJECTED:
        if reason is None:
            _refuse([("/reason", "is missing: a requester reads why its doubt was not followed")])
        if batch_id is not None:
            _refuse([("/batch_id", "belongs to a correction; leave it out, and name the batch in the reason if there is one")])
        return
    if batch_id is None:
        _refuse([("/batch_id", "is missing: name the batch that brings the corrected records; push it first")])
    elif batch is None or batch.resource_id != resource_id or batch.accepted_at is None:
        _refuse(
            [("/batch_id", f"{batch_id} is no accepted batch of this resource; push the corrected records and wait for its acceptance")]
        )
    elif batch.accepted_at < filed_at:
        when = batch.accepted_at.isoformat()
        _refuse(
            [("/batch_id", f"{batch_id} was accepted on {when}, before the doubt was filed; push a correction, or reject with this reason")]
        )


def check_covers(covered: int, *, batch_id: UUID, record_count: int) -> None:
    """Have the batch that corrects hold at least one of the doubted records. Raises: CorrectionInvalid (422)."""
    if not covered:
        _refuse(
            [
                (
                    "/batch_id",
                    f"{batch_id} has none of the {record_count} doubted records, by their key; name the batch that replaces or deletes"
                    " them, or reject with reasons",
                )
            ]
        )


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise CorrectionInvalid.of(faults)
