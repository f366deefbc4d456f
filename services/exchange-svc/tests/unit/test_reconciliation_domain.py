import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas.exchange_reconciliation import DifferenceKind
from exchange_svc.reconciliation import domain
from exchange_svc.reconciliation.domain import Entry
from exchange_svc.reconciliation.errors import WindowInvalid

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
ENTRY = st.builds(Entry, batch_id=st.uuids(), row_count=st.integers(min_value=0, max_value=9), sha256=st.sampled_from(["a" * 64, "b" * 64]))
BOOK = st.lists(ENTRY, max_size=8, unique_by=lambda one: one.batch_id)


def test_an_account_adds_up_and_its_digest_can_be_made_by_anyone() -> None:
    one, other = UUID(int=2), UUID(int=1)
    found = domain.account([Entry(batch_id=one, row_count=3, sha256="b" * 64), Entry(batch_id=other, row_count=4, sha256="a" * 64)])
    lines = f"{other} 4 {'a' * 64}\n{one} 3 {'b' * 64}\n"
    assert (found.batch_count, found.row_count, found.sha256) == (2, 7, hashlib.sha256(lines.encode()).hexdigest())


@given(BOOK, BOOK)
def test_accounts_agree_when_and_only_when_nothing_differs(told: list[Entry], held: list[Entry]) -> None:
    assert (domain.account(told) == domain.account(held)) == (not list(domain.differences(told, held)))
    assert not list(domain.differences(told, list(reversed(told))))


def test_each_difference_is_named_for_what_it_is() -> None:
    held = [Entry(batch_id=UUID(int=n), row_count=5, sha256="a" * 64) for n in (1, 2, 3)]
    told = [
        Entry(batch_id=UUID(int=2), row_count=6, sha256="b" * 64),
        Entry(batch_id=UUID(int=3), row_count=5, sha256="b" * 64),
        Entry(batch_id=UUID(int=4), row_count=1, sha256="a" * 64),
    ]
    found = [(one.batch_id.int, one.kind, one.told_count, one.held_count) for one in domain.differences(told, held)]
    assert found == [
        (1, DifferenceKind.NOT_TOLD, None, 5),
        (2, DifferenceKind.OTHER_COUNT, 6, 5),
        (3, DifferenceKind.OTHER_CONTENT, 5, 5),
        (4, DifferenceKind.NOT_HERE, 1, None),
    ]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (NOW, NOW),
        (NOW, NOW - timedelta(hours=1)),
        (NOW - timedelta(hours=1), NOW + timedelta(seconds=1)),
        (NOW - timedelta(days=400), NOW),
    ],
)
def test_a_window_that_is_none_or_has_not_ended_or_is_too_long_is_refused(since: datetime, until: datetime) -> None:
    with pytest.raises(WindowInvalid):
        domain.check_window(since, until, NOW)


def test_a_window_that_has_ended_is_taken() -> None:
    domain.check_window(NOW - timedelta(days=1), NOW, NOW)
    domain.check_size(domain.MOST_BATCHES)
    with pytest.raises(WindowInvalid):
        domain.check_size(domain.MOST_BATCHES + 1)
