"""Rules of subscriptions: states, places on a topic, how long to wait after a failure, and when to give up."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import Snapshot
from exchange_svc.subscription.errors import SubscriptionInvalid, SubscriptionState


class State(StrEnum):
    """Where a subscription is; while its grant is suspended, an active one stands still."""

    ACTIVE = "active"
    PAUSED = "paused"  # by its requester, or by the node for a reason that only the requester can put right
    DEAD = "dead"  # by the node: the destination failed for too long
    ENDED = "ended"


STANDING = (State.PAUSED, State.DEAD)


Mark = tuple[Annotated[int, Field(ge=0)], str, int]
"""Offset, batch and row number of a record."""


class Place(Snapshot):
    """How far a subscription is on its view's topic: for each partition the offset of the next record; none yet for the others.

    marks: for each partition the last record that was read, by which a topic is known that was made anew and has other records there.
    """

    topic: str = ""
    offsets: dict[int, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    marks: dict[int, Mark] = Field(default_factory=dict)

    def back_to(self, offsets: Mapping[int, int]) -> "Place":
        """Return the place with these partitions taken back; none goes ahead, so nothing is passed over."""
        return self.model_copy(update={"offsets": {one: min(at, offsets.get(one, at)) for one, at in self.offsets.items()}})

    def on_to(self, behind: "Place") -> "Place":
        """Return the place with these partitions moved on; on another topic, that place."""
        if behind.topic != self.topic:
            return behind
        return Place(topic=self.topic, offsets={**self.offsets, **behind.offsets}, marks={**self.marks, **behind.marks})


@dataclass(frozen=True, slots=True)
class Row:
    """A record of a view's topic; value: null when the key's row is deleted."""

    topic: str
    partition: int
    offset: int
    time: datetime
    key: str | None
    value: bytes | None
    batch: str
    number: int
    schema: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How a failing destination is met."""

    first_seconds: float
    most_seconds: float
    dead_after: timedelta
    dead_after_attempts: int


def wait(failures: int, asked_seconds: float | None, patience: Patience) -> timedelta:
    """Return how long to wait after so many failures in a row: exponential backoff with full jitter, and not less than was asked for.

    Source: RFC 9110 section 10.2.3 (Retry-After), capped here; failures: 1 after the first.
    """
    ceiling = min(patience.first_seconds * 2.0 ** min(failures - 1, 60), patience.most_seconds)
    waited = random.uniform(0, ceiling)  # spreads load, guards nothing
    return timedelta(seconds=max(waited, min(asked_seconds or 0.0, patience.most_seconds)))


def gives_up(failures: int, failing_since: datetime, now: datetime, patience: Patience) -> bool:
    """Say whether a destination has failed for too long or too often."""
    return now - failing_since >= patience.dead_after or failures >= patience.dead_after_attempts


def check_pausable(state: State) -> None:
    """Let an active subscription be paused. Raises SubscriptionState (409)."""
    if state is not State.ACTIVE:
        raise SubscriptionState(f"the subscription is {state}; only an active one is paused")


def check_resumable(state: State) -> None:
    """Let a paused or dead subscription go on. Raises SubscriptionState (409)."""
    if state not in STANDING:
        raise SubscriptionState(f"the subscription is {state}; only a paused or dead one is resumed")


def check_open(state: State) -> None:
    """Let a subscription be changed that is not ended. Raises SubscriptionState (409)."""
    if state is State.ENDED:
        raise SubscriptionState("the subscription is ended; make a new one")


def earliest(ranges: Iterable[tuple[int, int, int]]) -> dict[int, int]:
    """Return the first offset of each partition among ranges [partition, first, last]."""
    found: dict[int, int] = {}
    for partition, first, _ in ranges:
        found[partition] = min(first, found.get(partition, first))
    return found


def check_offsets(asked: Mapping[int, int], place: Place) -> None:
    """Let a place be asked for that was passed. Raises SubscriptionInvalid (422) naming the partition."""
    for partition, offset in asked.items():
        at = place.offsets.get(partition)
        if at is None or offset > at:
            known = ", ".join(f"{one}: at most {until}" for one, until in sorted(place.offsets.items())) or "none was read yet"
            detail = f"offset {offset} of partition {partition} was not delivered yet; what was: {known}"
            raise SubscriptionInvalid.at(f"/offsets/{partition}", detail)


def view_of(topic: str) -> str:
    """Return the id of a view by its topic's name."""
    return topic.rpartition(".")[2]


def owner_of(subscription_id: UUID) -> bytes:
    """Return what a subscription's secrets are bound to, so that another's cannot be put in their place."""
    return b"subscription\n" + subscription_id.bytes
