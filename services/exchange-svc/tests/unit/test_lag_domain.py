"""When a subscriber is behind, and what its place says of the grant's view."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.lag.domain import Span, Standing, Subscriber, Unread, limit_of, measured, span_of
from exchange_svc.subscription.domain import Place

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LIMIT = timedelta(minutes=15)
VIEW, OLD = UUID(int=1), UUID(int=2)


def one(since: datetime) -> Subscriber:
    return Subscriber(UUID(int=9), Mode.WEBHOOK, "one", Span(VIEW), since)


@pytest.mark.parametrize(
    ("waited", "standing"),
    [(timedelta(), Standing.READING), (LIMIT, Standing.READING), (LIMIT + timedelta(seconds=1), Standing.BEHIND)],
)
def test_a_subscriber_is_behind_once_the_first_of_what_it_lacks_waited_longer_than_the_limit(waited: timedelta, standing: Standing) -> None:
    found = measured(one(NOW - timedelta(days=1)), Unread(1, 3, NOW - waited), limit=LIMIT, is_suspended=False, now=NOW)
    assert (found.standing, found.lag(NOW)) == (standing, waited)


def test_what_was_there_before_the_subscriber_waits_for_it_only_since_it_came() -> None:
    found = measured(one(NOW - timedelta(seconds=5)), Unread(1, 3, NOW - timedelta(days=400)), limit=LIMIT, is_suspended=False, now=NOW)
    assert (found.standing, found.lag(NOW)) == (Standing.READING, timedelta(seconds=5))


def test_one_that_has_everything_is_current_and_one_that_may_not_read_is_not_behind() -> None:
    assert measured(one(NOW), Unread(), limit=LIMIT, is_suspended=False, now=NOW).standing is Standing.CURRENT
    old = Unread(1, 1, NOW - timedelta(days=9))
    assert measured(one(NOW - timedelta(days=10)), old, limit=LIMIT, is_suspended=True, now=NOW).standing is Standing.SUSPENDED
    assert measured(one(NOW - timedelta(days=10)), old, limit=None, is_suspended=False, now=NOW).standing is Standing.READING


def test_what_is_fetched_may_wait_as_long_as_the_rows_are_current() -> None:
    assert limit_of(Mode.TABLE, UpdateCycle.YEARLY, LIMIT) == LIMIT
    assert limit_of(Mode.PULL, UpdateCycle.DAILY, LIMIT) == timedelta(days=1)
    assert limit_of(Mode.FILE, UpdateCycle.QUARTERLY, LIMIT) == timedelta(days=93)
    assert limit_of(Mode.FILE, UpdateCycle.STATIC, LIMIT) is None


def test_of_the_view_a_grant_moved_to_nothing_was_had() -> None:
    place = Place(topic=f"dxmesh.view.{OLD}", offsets={0: 7})
    assert span_of(place, VIEW, sequence=3) == Span(VIEW)
    assert span_of(place, OLD, sequence=3) == Span(OLD, 3, {0: 7})
    assert span_of(Place(), VIEW, since=NOW) == Span(VIEW, since=NOW)


def test_one_so_far_behind_that_not_all_was_counted_is_behind_once_it_had_the_time_to_read() -> None:
    least = Unread(1_000, 9, NOW - timedelta(minutes=1), is_least=True)

    def standing(mode: Mode, since: timedelta, read: timedelta | None = None) -> Standing:
        read_at = None if read is None else NOW - read
        found = Subscriber(UUID(int=9), mode, "one", Span(VIEW), NOW - since, read_at=read_at)
        return measured(found, least, limit=LIMIT, is_suspended=False, now=NOW).standing

    assert standing(Mode.WEBHOOK, timedelta(hours=1), timedelta(seconds=1)) is Standing.BEHIND
    assert standing(Mode.TOPIC, timedelta(minutes=2)) is Standing.READING, "it has only begun"
    assert standing(Mode.PULL, timedelta(days=9), timedelta(minutes=2)) is Standing.READING, "it came a moment ago"
    assert standing(Mode.PULL, timedelta(days=9), timedelta(hours=1)) is Standing.BEHIND
