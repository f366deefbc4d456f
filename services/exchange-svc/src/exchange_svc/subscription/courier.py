"""What brings a subscription's rows to their destination, one step after another, and how it says that it could not."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.subscription.domain import Patience
from exchange_svc.subscription.settings import SubscriptionsSettings
from exchange_svc.subscription.store import Standing


class DestinationFailed(Exception):
    """The destination did not take the rows; tried again later, unless it said that it never will or only they can mend it."""

    def __init__(self, reason: str, *, retry_seconds: float | None = None, for_good: bool = False, is_theirs: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.for_good = for_good
        self.is_theirs = is_theirs


@dataclass(frozen=True, slots=True)
class Means:
    """What couriers work with. key: opens what is sealed; origin: the node, as it names itself to webhooks."""

    sessions: async_sessionmaker[AsyncSession]
    kafka: KafkaSettings
    settings: SubscriptionsSettings
    key: bytes
    origin: str

    @property
    def patience(self) -> Patience:
        """Return how a failing destination is met."""
        return patience_of(self.settings)


def patience_of(settings: SubscriptionsSettings) -> Patience:
    """Return how a failing destination is met."""
    return Patience(
        settings.first_retry_seconds,
        settings.most_retry_seconds,
        timedelta(seconds=settings.dead_after_seconds),
        settings.dead_after_attempts,
    )


class Courier(Protocol):
    """Brings one subscription's rows from its topic to its destination."""

    async def step(self, standing: Standing) -> None:
        """Bring the next rows, or wait a moment for some.

        Raises: DestinationFailed; TopicAbsent, KafkaError, OSError when the topic cannot be read now.
        """

    async def close(self) -> None:
        """Let go of every connection."""
