"""The topic a subscription reads: opened where it stands, left for the grant's new one once it is drained."""

from contextlib import AsyncExitStack

import structlog

from exchange_svc.grant import store as grants
from exchange_svc.subscription import commands
from exchange_svc.subscription.courier import Means
from exchange_svc.subscription.domain import Place, Row
from exchange_svc.subscription.records import Reader, TopicShort
from exchange_svc.subscription.store import Standing

log = structlog.get_logger(__name__)


class Topic:
    """Keeps a reader at a subscription's place."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._open = AsyncExitStack()
        self._reader: Reader | None = None
        self._at: tuple[int, Place] | None = None  # epoch and place the reader stands at

    async def close(self) -> None:
        """Let go of the reader."""
        self._reader = self._at = None
        await self._open.aclose()

    async def reader(self, standing: Standing, place: Place) -> tuple[Reader, Place]:
        """Return a reader that stands at a place, and that place with every partition of its topic.

        A grant that moved to a new version has its old topic read to the end first; the new one, which has everything in the new form,
        from its beginning. Under other terms nothing of the old topic leaves any more.
        A topic that was made anew, by a broker that lost its disk, is read from its beginning: the same rows by the same names.
        Raises: TopicAbsent, KafkaError, OSError.
        """
        row, topic = standing.subscription, place.topic or standing.view.topic
        if not await self.may_leave(standing, topic):
            log.info("subscription.terms_changed", subscription_id=str(row.subscription_id), topic=standing.view.topic)
            place, topic = Place(), standing.view.topic
        if self._reader is not None and self._reader.topic == topic and self._at == (row.epoch, place):
            if topic == standing.view.topic or not await self._reader.drained():
                return self._reader, place
            log.info("subscription.moved", subscription_id=str(row.subscription_id), topic=standing.view.topic)
            place, topic = Place(), standing.view.topic
        await self.close()
        settings = self._means.settings
        kafka = self._means.kafka
        self._reader = await self._open.enter_async_context(
            Reader(kafka, topic, max_rows=settings.batch_rows, max_bytes=settings.batch_bytes)
        )
        is_first = not row.read_place.topic
        try:
            opened = await self._reader.begin(place, row.start_at if is_first else None)
        except TopicShort as short:
            log.warning("subscription.topic_anew", subscription_id=str(row.subscription_id), reason=str(short))
            opened = await self._reader.begin(Place(), None)
        self._at = (row.epoch, opened)
        return self._reader, opened

    async def may_leave(self, standing: Standing, topic: str) -> bool:
        """Say whether what is on a topic is within the grant's terms as they are now."""
        if topic == standing.view.topic:
            return True
        async with self._means.sessions() as tx:
            return await grants.comes_of(tx, topic, standing.view)

    async def next(self, standing: Standing, place: Place) -> tuple[list[Row], Place, Place]:
        """Return the next rows, the place before them and the one behind them; none after a moment without any.

        Raises: TopicAbsent, KafkaError, OSError.
        """
        reader, before = await self.reader(standing, place)
        if before != place:
            await self._keep(standing, before)
        try:
            rows, behind = await reader.next(before, timeout_ms=int(self._means.settings.poll_seconds * 1000))
        except TopicShort:  # it is opened from its beginning the next time
            await self.close()
            return [], before, before
        self._at = (standing.subscription.epoch, behind)
        return rows, before, behind

    async def back(self) -> None:
        """Forget where the reader stands: what it read last is read again."""
        await self.close()

    async def _keep(self, standing: Standing, place: Place) -> None:
        """Keep the first offsets, so that a replay and a reader of the subscription can name them."""
        row = standing.subscription
        async with self._means.sessions.begin() as tx:
            await commands.stand_at(tx, row.subscription_id, epoch=row.epoch, place=place)
