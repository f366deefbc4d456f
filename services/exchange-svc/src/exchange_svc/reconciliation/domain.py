"""Rules of reconciliation: the account of a window, and in what two accounts differ."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from dxmesh_schemas.catalog import Snapshot
from dxmesh_schemas.exchange_reconciliation import Account, Difference, DifferenceKind
from exchange_svc.reconciliation.errors import WindowInvalid

MOST_BATCHES = 10_000
"""Batches of one window; a day of a resource fed every ten seconds has 8,640."""
MOST_KEPT = 1_000
"""Differences of a case that are kept one by one; all are counted."""
_MOST_DAYS = 366


class Side(StrEnum):
    """Whose account is held against the node's."""

    PROVIDER = "provider"  # what was sent
    REQUESTER = "requester"  # what was got


class CaseState(StrEnum):
    """Where a case is."""

    OPEN = "open"
    SETTLED = "settled"


class Entry(Snapshot):
    """One batch in an account: its rows, and the SHA-256 of the file that was pushed, or of the delivery (`delivery.domain.Digest`)."""

    batch_id: UUID
    row_count: int
    sha256: str


def account(entries: Iterable[Entry]) -> Account:
    """Return what a window adds up to.

    digest: SHA-256 over one line a batch, `{batch_id} {row_count} {sha256}` and a line feed, in order of the batch ids as text.
    """
    digest, batches, rows = hashlib.sha256(), 0, 0
    for entry in sorted(entries, key=lambda one: str(one.batch_id)):
        digest.update(f"{entry.batch_id} {entry.row_count} {entry.sha256}\n".encode())
        batches += 1
        rows += entry.row_count
    return Account(batch_count=batches, row_count=rows, sha256=digest.hexdigest())


def differences(told: Sequence[Entry], held: Sequence[Entry]) -> Iterator[Difference]:
    """Yield in what an account differs from what this node has, by batch id."""
    theirs, ours = {one.batch_id: one for one in told}, {one.batch_id: one for one in held}
    for batch_id in sorted({*theirs, *ours}, key=str):
        said, has = theirs.get(batch_id), ours.get(batch_id)
        if has is None and said is not None:
            kind = DifferenceKind.NOT_HERE
        elif said is None:
            kind = DifferenceKind.NOT_TOLD
        elif has is not None and said.row_count != has.row_count:
            kind = DifferenceKind.OTHER_COUNT
        elif has is not None and said.sha256 != has.sha256:
            kind = DifferenceKind.OTHER_CONTENT
        else:
            continue
        yield Difference(
            batch_id=batch_id,
            kind=kind,
            told_count=None if said is None else said.row_count,
            held_count=None if has is None else has.row_count,
        )


def check_window(since: datetime, until: datetime, now: datetime) -> None:
    """Let a window be reconciled that has ended. Raises: WindowInvalid (422)."""
    if until <= since:
        raise _wrong("/until", f"{until.isoformat()} is not after {since.isoformat()}, where the window begins")
    if until > now:
        raise _wrong("/until", f"{until.isoformat()} is to come: reconcile a window that has ended")
    if until - since > timedelta(days=_MOST_DAYS):
        raise _wrong("/until", f"the window is longer than {_MOST_DAYS} days; take several")


def check_size(count: int) -> None:
    """Refuse a window with too many batches. Raises: WindowInvalid (422)."""
    if count > MOST_BATCHES:
        raise _wrong("/until", f"the window has more than {MOST_BATCHES:,} batches; take a shorter one")


def check_once(told: Sequence[Entry]) -> None:
    """Refuse an account that names a batch twice. Raises: WindowInvalid (422)."""
    seen: set[UUID] = set()
    for number, entry in enumerate(told):
        if entry.batch_id in seen:
            raise _wrong(f"/batches/{number}/batch_id", f"{entry.batch_id} stands twice: name each batch once")
        seen.add(entry.batch_id)


def _wrong(pointer: str, detail: str) -> WindowInvalid:
    return WindowInvalid.of([(pointer, detail)])
