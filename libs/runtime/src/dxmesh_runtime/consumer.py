"""The consumer loop: each event takes effect once, in order per partition; wrong data is parked, anything else is retried."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_runtime import broker, dead_letter, inbox, standstill, telemetry
from dxmesh_runtime.db import Database, utc_now
from dxmesh_runtime.health import Flag
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Event, Meta, NotACloudEvent, event_class
from dxmesh_schemas.problem import Problem

log = structlog.get_logger(__name__)
_POLL_MS = 250
_COMMIT_SECONDS = 1.0
_MOST_FETCH_WAIT_SECONDS = 0.5
_COMMIT_PATIENCE_SECONDS = 2.0
_BUFFER_GROUPS = 4
_MAX_BACKOFF_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """One record read: its context, its event when the type is known here, and the bytes as they travelled."""

    meta: Meta
    event: Event | None
    payload: bytes
    topic: str
    partition: int
    offset: int


Handler = Callable[[AsyncSession, Any, Meta], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Group:
    """A handler of several waiting events of one type, in one transaction; wrap what it does for each in telemetry.continued."""

    handle: Callable[[AsyncSession, Sequence[Incoming]], Awaitable[None]]


Handlers = Mapping[type[Event], Handler | Group]


def wrong_data(error: BaseException) -> bool:
    """Say whether trying again cannot help: the record itself is at fault."""
    return isinstance(error, ValidationError | NotACloudEvent) or (isinstance(error, Problem) and error.status < 500)


def read(record: ConsumerRecord) -> Incoming:
    """Read a record. Raises NotACloudEvent, ValidationError."""
    meta = Meta.from_headers(record.headers)
    kind = event_class(meta.event_type)
    payload = record.value or b""
    return Incoming(meta, kind.decode(payload) if kind else None, payload, record.topic, record.partition, record.offset)


async def take_effect(tx: AsyncSession, name: str, handlers: Handlers, every: Group | None, incoming: Sequence[Incoming]) -> None:
    """Claim events in the inbox and run their handlers, all in the caller's transaction; repeats are left out."""
    fresh = await inbox.claim(tx, name, [item.meta.event_id for item in incoming], now=utc_now())
    todo = []
    for item in incoming:
        if item.meta.event_id in fresh:
            fresh.discard(item.meta.event_id)
            todo.append(item)
    if every is not None and todo:
        await every.handle(tx, todo)
    for kind, run in groupby((item for item in todo if item.event is not None), key=lambda item: type(item.event)):
        handler = handlers.get(kind)
        if isinstance(handler, Group):
            await handler.handle(tx, list(run))
        elif handler is not None:
            for item in run:
                with telemetry.continued(item.meta):
                    await handler(tx, item.event, item.meta)
    for event_type, count in Counter(item.meta.event_type for item in todo).items():
        telemetry.events_handled.labels(name, event_type).inc(count)


def _taken(buffers: Mapping[TopicPartition, deque[ConsumerRecord]], most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Return up to `most` records, in the order of each partition, beginning with the partition whose first has waited longest."""
    taken: dict[TopicPartition, list[ConsumerRecord]] = {}
    for place, buffer in sorted(((place, buffer) for place, buffer in buffers.items() if buffer), key=lambda one: one[1][0].timestamp):
        if most <= 0:
            break
        taken[place] = list(islice(buffer, most))
        most -= len(taken[place])
    return taken


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """A Kafka consumer group whose effects are in the database.

    The records of a partition are handled in order, as many as wait (at most max_group) in one transaction: inbox claim, handlers,
    commit; the offset is committed within a second after it, for the inbox absorbs repeats. Partitions do not wait for each other.
    `together`: what waits in several partitions shares a transaction, for handlers that are quick; when one fails, each partition goes
    on by itself until it has caught up.
    `pace_seconds`: how long after the beginning of one group of a partition the next may begin; under load groups grow instead of
    following each other, and the broker is asked less often.
    `look_seconds`: between two looks whether its client stands still; one that does is begun anew.
    """

    def __init__(
        self,
        name: str,
        kafka: KafkaSettings,
        database: Database,
        handlers: Handlers,
        *,
        every: Group | None = None,
        topics: Sequence[str] = (),
        max_group: int = 500,
        pace_seconds: float = 0.0,
        together: bool = False,
        look_seconds: float = standstill.LOOK_SECONDS,
    ) -> None:
        self.name = name
        self._kafka = kafka
        self._database = database
        self._handlers = handlers
        self._every = every
        self._topics = sorted({*topics, *(event.TOPIC for event in handlers)})
        self._types = frozenset(event.TYPE.encode() for event in handlers)
        self._max_group = max_group
        self._pace_seconds = pace_seconds
        self._together = together
        self._look_seconds = look_seconds
        self._alone: set[TopicPartition] = set()  # partitions that shared a failure and have not caught up since
        self._begun: dict[TopicPartition, float] = {}
        self._handled: dict[TopicPartition, int] = {}  # offsets to be committed
        self._committing: asyncio.Task[None] | None = None
        self._buffers: dict[TopicPartition, deque[ConsumerRecord]] = defaultdict(deque)
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._ready = Flag(f"consumer {name}")

    async def run(self) -> None:
        """Work until cancelled; a broker that is away is waited for."""
        try:
            while True:
                broker.end_if_cancelled()
                await broker.wait_for_topics(self._kafka, self._topics)
                consumer = broker.consumer(self._kafka, group=self.name, **self._fetching())
                try:
                    await consumer.start()
                    consumer.subscribe(self._topics, listener=self)
                    await standstill.watched(
                        self._poll(consumer),
                        consumer,
                        self._kafka,
                        self._topics,
                        group=self.name,
                        busy=self._is_busy,
                        look_seconds=self._look_seconds,
                    )
                except (KafkaError, OSError) as away:
                    log.warning("consumer.interrupted", consumer=self.name, error=repr(away))
                finally:
                    self._ready.clear()
                    await self._drop(list(self._tasks))
                    await broker.closed(consumer.stop())
        finally:
            self._ready.discard()

    def _fetching(self) -> dict[str, int]:
        """Return how the broker answers: at once when there is something, or, where nobody waits for it, with what has gathered."""
        if not self._pace_seconds:
            return {}
        return {
            "fetch_min_bytes": broker.MAX_RECORD_BYTES,
            "fetch_max_wait_ms": int(min(self._pace_seconds, _MOST_FETCH_WAIT_SECONDS) * 1000),
        }

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let go of what waits; what is under way ends first, and the next owner's inbox absorbs its repeats."""
        self._ready.clear()
        # an offset of before must never reach a broker that forgot the group: it may have lost its disk, and its log be another one
        if self._committing is not None:
            self._committing.cancel()
        await self._drop(revoked)
        self._handled.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Count as ready once the group has said which partitions are ours."""
        log.info("consumer.assigned", consumer=self.name, partitions=len(assigned))
        self._ready.set()

    async def _drop(self, places: Any) -> None:
        for place in places:
            self._buffers.pop(place, None)
            self._alone.discard(place)
            telemetry.partition_stalled.labels(self.name, place.topic, place.partition).set(0)
            if (task := self._tasks.get(place)) is not None:
                self._forget(task)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _is_busy(self, place: TopicPartition) -> bool:
        return place in self._tasks or bool(self._buffers.get(place))

    def _forget(self, task: asyncio.Task[None]) -> None:
        for place in [place for place, its in self._tasks.items() if its is task]:
            del self._tasks[place]

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        committed = time.monotonic()
        while True:
            under_way = self._committing is not None and not self._committing.done()
            if self._handled and not under_way and time.monotonic() - committed >= _COMMIT_SECONDS:
                self._committing = asyncio.create_task(self._commit(consumer))
                committed = time.monotonic()
            for place, records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._max_group)).items():
                buffer = self._buffers[place]
                buffer.extend(records)
                if len(buffer) >= self._max_group * _BUFFER_GROUPS:
                    consumer.pause(place)
            for task in [task for task in set(self._tasks.values()) if task.done()]:
                self._forget(task)
                task.result()
            for places in self._idle():
                task = asyncio.create_task(self._work(consumer, places), name=f"{self.name} {places}")
                self._tasks.update(dict.fromkeys(places, task))

    def _idle(self) -> list[list[TopicPartition]]:
        """Return the partitions where something waits and nobody works, those that go together in one list."""
        idle = [place for place, buffer in self._buffers.items() if buffer and place not in self._tasks]
        if not self._together:
            return [[place] for place in idle]
        joint = [place for place in idle if place not in self._alone]
        return [*([joint] if joint else []), *([place] for place in idle if place in self._alone)]

    async def _work(self, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        """Handle what is buffered for partitions until nothing waits."""
        buffers = {place: self._buffers[place] for place in places}
        failures = 0
        size = self._max_group
        while any(buffers.values()):
            broker.end_if_cancelled()
            await asyncio.sleep(max(*(self._begun.get(place, 0.0) for place in places), 0.0) + self._pace_seconds - time.monotonic())
            self._begun.update(dict.fromkeys(places, time.monotonic()))
            taken = _taken(buffers, size)
            records = [record for waiting in taken.values() for record in waiting]
            try:
                await self._handle(records)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever it is, its partition waits and nothing is skipped
                if len(places) > 1:
                    self._alone.update(places)
                    return
                if wrong_data(error) and len(records) == 1:
                    await dead_letter.park(self._kafka, self.name, records[0], error)
                elif len(records) > 1:
                    size = 1  # one by one, to find the culprit
                    continue
                else:
                    failures += 1
                    telemetry.partition_stalled.labels(self.name, places[0].topic, places[0].partition).set(1)
                    log.error("consumer.stalled", consumer=self.name, topic=places[0].topic, offset=records[0].offset, exc_info=error)
                    await asyncio.sleep(min(0.1 * 2**failures, _MAX_BACKOFF_SECONDS))
                    continue
            failures = 0
            size = min(size * 2, self._max_group)
            for place, handled in taken.items():
                for _ in handled:
                    buffers[place].popleft()
                self._note(consumer, place, handled[-1].offset + 1, waiting=len(buffers[place]))
        self._alone.difference_update(places)

    def _note(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int, *, waiting: int) -> None:
        """Note how far a partition is handled."""
        telemetry.partition_stalled.labels(self.name, place.topic, place.partition).set(0)
        if waiting < self._max_group:
            consumer.resume(place)
        self._handled[place] = offset
        telemetry.consumer_lag.labels(self.name, place.topic, place.partition).set(max((consumer.highwater(place) or 0) - offset, 0))

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit the offsets of what took effect."""
        handled, self._handled = self._handled, {}
        if not handled:
            return
        try:
            await asyncio.wait_for(consumer.commit(handled), _COMMIT_PATIENCE_SECONDS)
        except (KafkaError, TimeoutError) as lost:  # a partition is another's by now, or the broker is away: the inbox absorbs the repeat
            log.info("consumer.offset_not_committed", consumer=self.name, error=repr(lost))

    def _concerns(self, record: ConsumerRecord) -> bool:
        """Say whether something here handles the record: what nothing handles costs neither reading nor a transaction."""
        if self._every is not None:
            return True
        event_type = next((value for name, value in record.headers if name == "ce_type"), None)
        return event_type is None or event_type in self._types

    async def _handle(self, records: Sequence[ConsumerRecord]) -> None:
        records = [record for record in records if self._concerns(record)]
        if not records:
            return
        with telemetry.handle_seconds.labels(self.name).time():
            incoming = [read(record) for record in records]
            async with self._database.sessions.begin() as tx:
                await take_effect(tx, self.name, self._handlers, self._every, incoming)

    async def replay(self) -> tuple[int, int]:
        """Handle again what this consumer parked, up to now; return how many took effect and how many were parked again."""
        try:
            return await dead_letter.replay(self._kafka, self.name, self._topics, self._handle, wrong_data)
        finally:
            self._ready.discard()
