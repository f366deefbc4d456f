"""Rules of batches: what an assessment makes of one, and when two pushes are the same."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.quality import AssessmentCompleted, Outcome
from exchange_svc.batch.errors import AssessmentUnfit, BatchConflict, DigestMismatch, DigestUnreadable, KeyMissing


class State(StrEnum):
    """Where a batch is on its way."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Counts:
    """The ledger of one batch: received = accepted + quarantined + rejected."""

    accepted: int
    quarantined: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be equal for a repeated push to be the same push."""

    resource_id: UUID
    kind: str
    body_sha256: str


def check_kind(resource: ResourceSnapshot, kind: BatchKind) -> None:
    """Refuse upsert and delete where rows have no name. Raises KeyMissing (422)."""
    if kind in (BatchKind.UPSERT, BatchKind.DELETE) and not resource.key:
        detail = f"kind={kind} needs a business key and {resource.name} has none: push append or snapshot, or publish a version with a key"
        raise KeyMissing.at("query:kind", detail)


def check_repeat(batch_id: UUID, first: Identity, again: Identity) -> None:
    """Let the same push pass. Raises BatchConflict (409) naming what differs."""
    differing = [
        name
        for name, was, now in (
            ("resource", first.resource_id, again.resource_id),
            ("kind", first.kind, again.kind),
            ("body (its SHA-256)", first.body_sha256, again.body_sha256),
        )
        if was != now
    ]
    if differing:
        raise BatchConflict(
            f"batch {batch_id} was received before with another {' and '.join(differing)}: push different content under a new batch id"
        )


def settle(event: AssessmentCompleted, received_count: int) -> Counts:
    """Return the ledger of a batch after its assessment.

    Raises: AssessmentUnfit (422) when the assessment's numbers do not add up to what was received.
    """
    if event.received_count != received_count:
        raise AssessmentUnfit(f"assessment {event.assessment_id} is about {event.received_count} rows; the batch has {received_count}")
    if event.outcome is Outcome.REJECT:
        return Counts(accepted=0, quarantined=0, rejected=received_count)
    accepted = event.accepted.row_count
    if accepted + event.quarantined_count != received_count:
        raise AssessmentUnfit(
            f"assessment {event.assessment_id}: {accepted} accepted and {event.quarantined_count} quarantined rows are not {received_count}"
        )
    return Counts(accepted=accepted, quarantined=event.quarantined_count, rejected=0)


def state_after(outcome: Outcome) -> State:
    """Return the state an assessed batch takes."""
    return State.REJECTED if outcome is Outcome.REJECT else State.ACCEPTED


_DIGEST = re.compile(r"^\s*([a-z0-9*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?$")
CHECKED_DIGESTS = {"sha-256": "sha256", "sha-512": "sha512"}


def wanted_digests(header: str | None) -> dict[str, bytes]:
    """Return the digests of a Content-Digest header that can be checked, by hashlib name.

    Raises: DigestUnreadable (400). Source: RFC 9530 section 2; unknown algorithms are left to others (section 5).
    """
    wanted: dict[str, bytes] = {}
    for member in (header or "").split(","):
        if not member.strip():
            continue
        match = _DIGEST.match(member)
        try:
            if match is None:
                raise ValueError(member)
            value = base64.b64decode(match[2], validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise DigestUnreadable(
                f"Content-Digest: {member.strip()!r} is not of the form sha-256=:<base64>: (RFC 9530); correct it or leave it away"
            ) from wrong
        if name := CHECKED_DIGESTS.get(match[1]):
            if len(value) != (size := hashlib.new(name).digest_size):
                raise DigestUnreadable(f"Content-Digest: a {match[1]} has {size} bytes, this one {len(value)}; correct it or leave it away")
            wanted[name] = value
    return wanted


def check_digests(wanted: dict[str, bytes], found: dict[str, bytes]) -> None:
    """Compare what was announced with what arrived. Raises DigestMismatch (422)."""
    for name, value in wanted.items():
        if found[name] != value:
            raise DigestMismatch(
                f"{name} of the body that arrived is {found[name].hex()}, announced was {value.hex()}: "
                "the body was changed or cut on its way; send it again"
            )
