import base64
import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas.exchange import ObjectRef
from dxmesh_schemas.quality import AssessmentCompleted, Outcome
from exchange_svc.batch import domain
from exchange_svc.batch.errors import AssessmentUnfit, BatchConflict, DigestMismatch, DigestUnreadable

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def assessment(outcome: Outcome, *, received: int, accepted: int, quarantined: int) -> AssessmentCompleted:
    return AssessmentCompleted(
        assessment_id=UUID(int=9),
        resource_id=UUID(int=1),
        resource_version=1,
        batch_id=UUID(int=2),
        outcome=outcome,
        reason="",
        received_count=received,
        quarantined_count=quarantined,
        accepted=ObjectRef(key="a", sha256="0", byte_count=0, row_count=accepted),
        completed_at=NOW,
    )


counts = st.integers(0, 10**9)


@given(st.sampled_from(Outcome), counts, counts)
def test_the_ledger_of_a_settled_batch_balances(outcome: Outcome, accepted: int, quarantined: int) -> None:
    received = accepted + quarantined
    found = domain.settle(assessment(outcome, received=received, accepted=accepted, quarantined=quarantined), received)
    assert found.accepted + found.quarantined + found.rejected == received
    assert (found.rejected == received and found.accepted == 0) if outcome is Outcome.REJECT else found.rejected == 0


@given(counts, counts, counts, counts)
def test_numbers_that_do_not_add_up_are_not_taken(received: int, accepted: int, quarantined: int, told: int) -> None:
    event = assessment(Outcome.ACCEPT_PART, received=told, accepted=accepted, quarantined=quarantined)
    if told == received == accepted + quarantined:
        domain.settle(event, received)
    else:
        with pytest.raises(AssessmentUnfit):
            domain.settle(event, received)


def test_a_repeat_must_equal_the_first_in_resource_kind_and_body() -> None:
    first = domain.Identity(UUID(int=1), "append", "aa")
    domain.check_repeat(UUID(int=5), first, domain.Identity(UUID(int=1), "append", "aa"))
    for other, word in (
        (domain.Identity(UUID(int=2), "append", "aa"), "resource"),
        (domain.Identity(UUID(int=1), "upsert", "aa"), "kind"),
        (domain.Identity(UUID(int=1), "append", "bb"), "body"),
    ):
        with pytest.raises(BatchConflict, match=word):
            domain.check_repeat(UUID(int=5), first, other)


@given(st.binary(), st.sampled_from(["sha-256", "sha-512"]))
def test_a_digest_of_the_body_passes_and_one_of_another_body_does_not(body: bytes, name: str) -> None:
    algorithm = name.replace("-", "")
    header = f"{name}=:{base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}:"
    wanted = domain.wanted_digests(header)
    domain.check_digests(wanted, {algorithm: hashlib.new(algorithm, body).digest()})
    with pytest.raises(DigestMismatch):
        domain.check_digests(wanted, {algorithm: hashlib.new(algorithm, body + b"x").digest()})


def test_digests_nobody_here_knows_are_left_to_others() -> None:
    assert domain.wanted_digests("unixsum=:AAAA:") == {}
    assert domain.wanted_digests(None) == {}


@pytest.mark.parametrize("header", ["sha-256", "sha-256=abc", "sha-256=:###:", "sha-256=:abc:", "=:AAAA:", "sha-256=:AAAA:, nonsense"])
def test_a_header_that_is_no_digest_is_refused(header: str) -> None:
    with pytest.raises(DigestUnreadable):
        domain.wanted_digests(header)
