"""Rules of lag: what a subscriber stands on, how much it has not had, and from when on it is behind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from dxmesh_clocks.cycles import ALLOWED
from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.exchange_terms import Mode
from exchange_svc.grant.domain import topic_of
from exchange_svc.subscription.domain import Place

MOST_BATCHES = 1_000
"""Batches that are looked at for one subscriber; of one further behind it is said that these are the least."""
FETCHED = (Mode.PULL, Mode.FILE)
"""Ways in which a requester comes for the rows when it wants them: they need not be had sooner than they change."""
_DAYS_OF_MONTH = 31  # nobody is behind sooner than it is


class Standing(StrEnum):
    """How a subscriber stands."""

    CURRENT = "current"  # it has had everything
    READING = "reading"  # there is something it has not had, not for long
    BEHIND = "behind"
    SUSPENDED = "suspended"  # its grant is, so it may not read


@dataclass(frozen=True, slots=True)
class Span:
    """What of a view was had: batches up to a sequence, or, of those behind it, records below each partition's offset.

    since: what came to the topic before is not for this subscriber.
    """

    view_id: UUID
    sequence: int = 0
    offsets: Mapping[int, int] = field(default_factory=dict)
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """What was not had. oldest_at: when the first of it was there to be had; is_least: there may be more."""

    batch_count: int = 0
    row_count: int = 0
    oldest_at: datetime | None = None
    is_least: bool = False

    def __add__(self, other: "Unread") -> "Unread":
        times = [one for one in (self.oldest_at, other.oldest_at) if one is not None]
        counts = self.batch_count + other.batch_count, self.row_count + other.row_count
        return Unread(*counts, min(times, default=None), self.is_least or other.is_least)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who has a grant's rows by one way. name: of the consumer group, the subscription or the system; state: of the subscription.

    since: from when it could have had anything.
    """

    grant_id: UUID
    mode: Mode
    name: str
    span: Span
    since: datetime
    state: str | None = None
    read_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells it from the others of its grant."""
        return (self.mode.value, self.name)


@dataclass(frozen=True, slots=True)
class Measured:
    """A subscriber as it stands. waiting_since: from when it could have had the first of what it has not had."""

    subscriber: Subscriber
    unread: Unread
    waiting_since: datetime | None
    limit: timedelta | None
    standing: Standing

    def lag(self, now: datetime) -> timedelta:
        """Return for how long it could have had what it has not had."""
        return timedelta() if self.waiting_since is None else max(now - self.waiting_since, timedelta())

    @property
    def is_behind(self) -> bool:
        """Say whether it is behind."""
        return self.standing is Standing.BEHIND

    def has_caught_up(self, now: datetime) -> bool:
        """Say whether one that was behind is so no more: by half, or one about as fast as the rows would be told of each round."""
        if self.standing not in (Standing.CURRENT, Standing.READING):
            return False
        return self.limit is None or self.lag(now) <= self.limit / 2


def span_of(place: Place, view_id: UUID, *, sequence: int = 0, since: datetime | None = None) -> Span:
    """Return what a place on a topic says of a grant's view: where the grant moved to another one, nothing of that was had yet."""
    if place.topic not in ("", topic_of(view_id)):
        return Span(view_id)
    return Span(view_id, sequence, place.offsets, since)


def limit_of(mode: Mode, cycle: UpdateCycle, pushed: timedelta) -> timedelta | None:
    """Return for how long a change may wait: what is fetched, as long as the resource's rows are current; None: for ever."""
    if mode not in FETCHED:
        return pushed
    allowed = ALLOWED.get(cycle)
    return None if allowed is None else timedelta(days=allowed[0] * _DAYS_OF_MONTH + allowed[1])


def measured(subscriber: Subscriber, unread: Unread, *, limit: timedelta | None, is_suspended: bool, now: datetime) -> Measured:
    """Say how a subscriber stands."""
    waiting_since = None if unread.oldest_at is None else max(unread.oldest_at, subscriber.since)
    if is_suspended:
        standing = Standing.SUSPENDED
    elif waiting_since is None:
        standing = Standing.CURRENT
    else:
        standing = Standing.BEHIND if _waits_too_long(subscriber, unread, waiting_since, limit, now) else Standing.READING
    return Measured(subscriber, unread, waiting_since, limit, standing)


def has_news(told: Collection[tuple[str, str]], measured: Sequence[Measured], now: datetime) -> bool:
    """Say whether something is to be told of a grant's subscribers, or forgotten; told: those that were behind."""
    news = any(one.has_caught_up(now) if one.subscriber.key in told else one.is_behind for one in measured)
    return news or not set(told) <= {one.subscriber.key for one in measured}


def _waits_too_long(subscriber: Subscriber, unread: Unread, waiting_since: datetime, limit: timedelta | None, now: datetime) -> bool:
    """Say whether it is behind; where not all was counted, the first of it is older than is known, and the time to have had it counts."""
    if limit is None:
        return False
    if unread.is_least:
        waiting_since = (subscriber.read_at if subscriber.mode in FETCHED else None) or subscriber.since
    return now - waiting_since > limit
