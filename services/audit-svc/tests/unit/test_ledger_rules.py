"""What must add up in the ledger."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_svc.ledger import domain


@dataclass
class Batch:
    received_count: int | None = None
    accepted_count: int | None = None
    quarantined_count: int | None = None
    rejected_count: int | None = None


@dataclass
class Delivery:
    ordered_count: int | None = None
    delivered_count: int | None = None
    withheld_count: int | None = None
    filtered_count: int | None = None


COUNT = st.integers(0, 1000)


@given(COUNT, COUNT, st.lists(st.booleans(), max_size=4))
def test_what_is_not_known_yet_contradicts_nothing(accepted, quarantined, done):
    deliveries = [Delivery(accepted, accepted if is_done else None) for is_done in done]
    for received in (None, accepted + quarantined):
        assert domain.is_balanced(Batch(received, accepted, quarantined), deliveries)
        assert domain.is_balanced(Batch(received), deliveries)
    assert domain.is_balanced(Batch(accepted, rejected_count=accepted), [])
    assert sum(map(domain.in_flight, deliveries)) == accepted * done.count(False)


@given(COUNT, COUNT, COUNT, COUNT)
def test_a_decided_batch_is_balanced_only_when_its_parts_are_what_was_received(received, accepted, quarantined, rejected):
    batch = Batch(received, accepted, quarantined, rejected)
    assert domain.is_balanced(batch, []) == (received == accepted + quarantined + rejected)


@pytest.mark.parametrize(("ordered", "delivered"), [(9, None), (11, None), (10, 9), (10, 11), (10, 0), (None, 10)])
def test_a_delivery_of_other_rows_than_were_accepted_is_off(ordered, delivered):
    assert not domain.is_balanced(Batch(10, 10, 0), [Delivery(10, 10), Delivery(ordered, delivered)])


@given(COUNT, COUNT)
def test_rows_that_are_withheld_are_told_and_not_missing(delivered, withheld):
    whole = Delivery(delivered + withheld, delivered, withheld // 2, withheld - withheld // 2)
    short = Delivery(delivered + withheld + 1, delivered, withheld)
    assert domain.is_balanced(Batch(whole.ordered_count, whole.ordered_count, 0), [whole])
    assert not domain.is_balanced(Batch(short.ordered_count, short.ordered_count, 0), [short])


def test_a_rejected_batch_has_nothing_to_deliver():
    assert not domain.is_balanced(Batch(10, rejected_count=10), [Delivery(10)])
    assert domain.is_decided(Batch(rejected_count=0))
    assert not domain.is_decided(Batch(received_count=5))
