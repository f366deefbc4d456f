"""What the resource's threshold makes of a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas.quality import Outcome
from quality_svc.assessment.domain import decide


def test_a_batch_without_a_bad_row_is_accepted_even_at_threshold_zero() -> None:
    assert decide(10, 0, 0.0) == (Outcome.ACCEPT, "All 10 rows keep every rule")


def test_one_bad_row_at_threshold_zero_rejects() -> None:
    outcome, reason = decide(10_000, 1, 0.0)
    assert outcome is Outcome.REJECT
    assert "1 of 10000 rows (0.01 %)" in reason
    assert "allows 0 %" in reason


@pytest.mark.parametrize(("ratio", "received", "allowed"), [(0.1, 10, 1), (0.29, 100, 29), (0.07, 100, 7), (0.1, 30, 3), (0.5, 2, 1)])
def test_exactly_at_the_threshold_part_is_accepted_and_one_more_is_not(ratio: float, received: int, allowed: int) -> None:
    assert decide(received, allowed, ratio)[0] is Outcome.ACCEPT_PART
    assert decide(received, allowed + 1, ratio)[0] is Outcome.REJECT


def test_nothing_left_is_a_rejection_whatever_the_threshold() -> None:
    outcome, reason = decide(3, 3, 1.0)
    assert outcome is Outcome.REJECT
    assert "nothing is left" in reason


@pytest.mark.parametrize(("received", "bad"), [(0, 0), (5, 6), (5, -1)])
def test_counts_that_cannot_be_are_refused(received: int, bad: int) -> None:
    with pytest.raises(ValueError, match="bad rows of"):
        decide(received, bad, 0.1)


@given(st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.integers(0, 1000))
def test_the_outcome_follows_the_share_and_never_gets_kinder_with_more_bad_rows(counts: tuple[int, int], thousandths: int) -> None:
    received, bad = counts
    outcome, reason = decide(received, bad, thousandths / 1000)
    order = [Outcome.ACCEPT, Outcome.ACCEPT_PART, Outcome.REJECT]
    assert (outcome is Outcome.ACCEPT) == (bad == 0)
    assert (outcome is Outcome.REJECT) == (bad > 0 and (bad == received or 1000 * bad > thousandths * received))
    assert len(reason) < 200
    if bad < received:
        assert order.index(decide(received, bad + 1, thousandths / 1000)[0]) >= order.index(outcome)
