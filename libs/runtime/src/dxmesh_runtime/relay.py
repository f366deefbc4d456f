"""The relay: carries the outbox to Kafka, in order, and heals what a broker has lost."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import BigInteger, Row, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dxmesh_runtime import broker, telemetry
from dxmesh_runtime.db import Database, utc_now
from dxmesh_runtime.health import Flag
from dxmesh_runtime.outbox import CHANNEL, outbox
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.event import Meta

log = structlog.get_logger(__name__)
LOCK = 0x6478_6D65_7368  # one relay per database
_BATCH = 500
PACE_SECONDS = 0.02
_POLL_SECONDS = 5.0
_WATCH_SECONDS = 3.0
_MAINTAIN_SECONDS = 600.0
_START_SECONDS = 60.0
_WATCH_PATIENCE_SECONDS = 15.0
_ANSWER_SECONDS = 30.0
_MAX_BACKOFF_SECONDS = 5.0
_FAILURES = (KafkaError, OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)

_PENDING = select(outbox).where(outbox.c.published_at.is_(None)).order_by(outbox.c.seq).limit(_BATCH)
_ACKNOWLEDGE = text(
    'UPDATE outbox SET published_at = :now, partition = a.p, "offset" = a.o '
    "FROM unnest(:seqs, :partitions, :offsets) AS a(s, p, o) WHERE outbox.seq = a.s"
).bindparams(
    bindparam("seqs", type_=ARRAY(BigInteger)),
    bindparam("partitions", type_=ARRAY(BigInteger)),
    bindparam("offsets", type_=ARRAY(BigInteger)),
)


class BrokerLostRecords(Exception):
    """The broker's log ends below what it had acknowledged."""


class Relay:
    """Publishes pending outbox rows by their sequence; exactly one relay works per database, others wait for its lock.

    A row counts as published once the broker has acknowledged it and its place is stored. When the end of a partition is found
    below a stored place (the topic was made anew, the disk was lost), the rows above it become pending again.
    `pace_seconds`: between the beginnings of two publications; under load they carry more instead of following each other.
    """

    def __init__(
        self,
        database: Database,
        kafka: KafkaSettings,
        *,
        source: str,
        pace_seconds: float = PACE_SECONDS,
        keep: timedelta = timedelta(days=7),
    ) -> None:
        self._database = database
        self._kafka = kafka
        self._topics = broker.topics_emitted_by(source)
        self._pace_seconds = pace_seconds
        self._keep = keep
        self._wake = asyncio.Event()
        self._acknowledged: dict[tuple[str, int], int] = {}  # the highest offset of each partition that the broker has acknowledged
        self._led = False  # whether the last lead came as far as publishing
        self.ready = Flag(f"relay {source}")

    async def run(self) -> None:
        """Work until cancelled; a broker or database that is away is waited for with capped backoff."""
        try:
            await self._run()
        finally:
            self.ready.discard()

    async def _run(self) -> None:
        failures = 0
        while True:
            broker.end_if_cancelled()
            try:
                # in a task of its own: before Python 3.13 a group that failed leaves its task counted as cancelled
                await broker.lasting(asyncio.create_task(self._take_the_lead()))
            except _FAILURES as away:
                reason: BaseException = away
            except ExceptionGroup as group:
                unexpected = group.split((*_FAILURES, BrokerLostRecords))[1]
                if unexpected is not None:
                    raise unexpected from group
                reason = group.exceptions[0]
            failures = 0 if self._led else failures + 1
            pause = min(0.1 * 2**failures, _MAX_BACKOFF_SECONDS)
            log.warning("relay.interrupted", error=repr(reason), retry_seconds=pause)
            await asyncio.sleep(pause)

    async def _take_the_lead(self) -> None:
        self._led = False
        async with self._database.engine.connect() as connection:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(select(func.pg_advisory_lock(LOCK)))
            try:
                await self._lead(connection)
            finally:
                self.ready.clear()
                # the pool would keep the lock: the connection is closed, not returned
                await asyncio.shield(connection.invalidate())

    async def _lead(self, connection: AsyncConnection) -> None:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.add_listener(CHANNEL, lambda *_: self._wake.set())
        producer = broker.producer(self._kafka, linger_ms=0)
        try:
            async with asyncio.timeout(_START_SECONDS):  # a client that meets a broker in the middle of its start may wait forever
                await broker.ensure_topics(self._kafka, self._topics)
                await self._heal()
                await producer.start()
            self.ready.set()
            self._led = True
            async with asyncio.TaskGroup() as group:
                for loop in (self._publish_forever(producer, raw), self._watch(), self._maintain()):
                    group.create_task(broker.lasting(loop))
        finally:
            await broker.discard(producer)

    async def _publish_forever(self, producer: AIOKafkaProducer, raw: Any) -> None:
        while True:
            broker.end_if_cancelled()
            if raw.is_closed():  # checked before every publication: without the lock another relay may be at work
                raise ConnectionError("the relay's database connection, and its lock with it, is lost")
            self._wake.clear()
            begun = time.monotonic()
            rows = await self._pending()
            if rows:
                await self._publish(producer, rows)
                if len(rows) == _BATCH:
                    continue
                await asyncio.sleep(begun + self._pace_seconds - time.monotonic())
                if self._wake.is_set():  # who writes a row says so; else all were seen
                    continue
            telemetry.outbox_pending.set(0)
            telemetry.outbox_age_seconds.set(0)
            # wait_for would swallow a cancellation that comes with an event
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()

    async def _pending(self) -> Sequence[Row[Any]]:
        async with self._database.autocommit.connect() as connection:
            return (await connection.execute(_PENDING)).all()

    async def _publish(self, producer: AIOKafkaProducer, rows: Sequence[Row[Any]]) -> None:
        telemetry.outbox_pending.set(len(rows))
        telemetry.outbox_age_seconds.set((utc_now() - rows[0].created_at).total_seconds())
        sent = []
        for row in rows:
            meta = Meta(row.event_id, row.event_type, row.source, row.created_at, row.subject, row.traceparent)
            sent.append(await producer.send(row.topic, row.payload, row.key.encode(), headers=meta.headers()))
        results = await self._results(sent)
        acknowledged = []
        failure: BaseException | None = None
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, BaseException):
                failure = result
                break  # what was acknowledged behind a failure is sent again: the inbox absorbs it, and order holds
            acknowledged.append((row.seq, result.partition, result.offset))
        if acknowledged:
            for row, (_, partition, offset) in zip(rows, acknowledged, strict=False):
                self._acknowledged[row.topic, partition] = offset
            seqs, partitions, offsets = map(list, zip(*acknowledged, strict=True))
            async with self._database.autocommit.connect() as connection:
                await connection.execute(_ACKNOWLEDGE, {"now": utc_now(), "seqs": seqs, "partitions": partitions, "offsets": offsets})
        if failure is not None:
            raise failure

    async def _results(self, sent: Sequence[asyncio.Future[Any]]) -> list[Any]:
        """Return what became of each. Raises: TimeoutError when the broker says nothing for long: an idempotent producer tries forever."""
        every = asyncio.gather(*sent, return_exceptions=True)
        waiting: set[asyncio.Future[Any]] = set(sent)
        try:
            while waiting:
                heard, waiting = await asyncio.wait(waiting, timeout=_ANSWER_SECONDS)
                if not heard:
                    raise TimeoutError(f"nothing was acknowledged for {_ANSWER_SECONDS:.0f} s")
            return await every
        finally:
            every.cancel()

    async def _lost(self) -> dict[tuple[str, int], int]:
        """Return the partitions whose end lies at or below an acknowledged offset, with that end; note the highest of the others."""
        async with self._database.sessions() as session:
            highest = await session.execute(
                select(outbox.c.topic, outbox.c.partition, func.max(outbox.c.offset))
                .where(outbox.c.published_at.is_not(None))
                .group_by(outbox.c.topic, outbox.c.partition)
            )
            acknowledged = {(topic, partition): offset for topic, partition, offset in highest}
        ends = await broker.end_offsets(self._kafka, {topic for topic, _ in acknowledged}) if acknowledged else {}
        lost = {place: ends.get(place, 0) for place, offset in acknowledged.items() if ends.get(place, 0) <= offset}
        self._acknowledged = {place: offset for place, offset in acknowledged.items() if place not in lost}
        return lost

    async def _replaced(self) -> set[tuple[str, int]]:
        """Return the partitions whose newest record is not the one acknowledged at its place: their log is another one."""
        async with self._database.sessions() as session:
            newest = await session.execute(
                select(outbox.c.topic, outbox.c.partition, outbox.c.offset, outbox.c.event_id)
                .ext(distinct_on(outbox.c.topic, outbox.c.partition))
                .where(outbox.c.published_at.is_not(None))
                .order_by(outbox.c.topic, outbox.c.partition, outbox.c.offset.desc())
            )
            acknowledged = newest.all()
        ends = await broker.end_offsets(self._kafka, {row.topic for row in acknowledged})
        expected: dict[tuple[str, int], tuple[int, UUID]] = {}
        for row in acknowledged:
            place, end = (row.topic, row.partition), ends.get((row.topic, row.partition), 0)
            if 0 < end <= row.offset:  # compare where the log still reaches
                if (event_id := await self._event_at(*place, end - 1)) is not None:
                    expected[place] = end - 1, event_id
            elif end:
                expected[place] = row.offset, row.event_id
        held = await broker.record_ids(self._kafka, {place: offset for place, (offset, _) in expected.items()}) if expected else {}
        return {place for place, (_, event_id) in expected.items() if held[place] != str(event_id)}

    async def _event_at(self, topic: str, partition: int, offset: int) -> UUID | None:
        async with self._database.sessions() as session:
            place = (outbox.c.topic == topic) & (outbox.c.partition == partition) & (outbox.c.offset == offset)
            event_id: UUID | None = (await session.execute(select(outbox.c.event_id).where(place))).scalar()
            return event_id

    async def _heal(self) -> None:
        lost = await self._lost()
        replaced = await self._replaced()
        lost |= dict.fromkeys(replaced, 0)
        for place in replaced:
            self._acknowledged.pop(place, None)
        for (topic, partition), end in lost.items():
            async with self._database.sessions.begin() as session:
                result = await session.execute(
                    update(outbox)
                    .where(outbox.c.topic == topic, outbox.c.partition == partition, outbox.c.offset >= end)
                    .where(outbox.c.published_at.is_not(None))
                    .values(published_at=None, partition=None, offset=None)
                )
            log.warning("relay.healing", topic=topic, partition=partition, end=end, rows=getattr(result, "rowcount", None))

    async def _watch(self) -> None:
        """Look at the ends of our partitions, with a client made anew each time: one that lived through a lost disk may wait forever."""
        while True:
            broker.end_if_cancelled()
            await asyncio.sleep(_WATCH_SECONDS)
            acknowledged = dict(self._acknowledged)  # more may follow while the ends are on their way
            async with asyncio.timeout(_WATCH_PATIENCE_SECONDS):
                ends = await broker.end_offsets(self._kafka, self._topics)
            if gone := set(self._topics) - {topic for topic, _ in ends}:  # also when nothing was published on them: others wait for them
                raise BrokerLostRecords(f"the broker has these topics no more: {sorted(gone)}")
            if lost := {place: ends.get(place, 0) for place, offset in acknowledged.items() if ends.get(place, 0) <= offset}:
                raise BrokerLostRecords(f"the broker ends below what it acknowledged: {lost}")

    async def _maintain(self) -> None:
        while True:
            broker.end_if_cancelled()
            before = utc_now() - self._keep
            async with self._database.sessions.begin() as session:
                await session.execute(outbox.delete().where(outbox.c.published_at < before))
                await session.execute(text("DELETE FROM inbox WHERE claimed_at < :before"), {"before": before - self._keep})
            await asyncio.sleep(_MAINTAIN_SECONDS)
