"""A topic's committed records from a place on, bounded in number and bytes, and the same again by their offsets."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.subscription.domain import Mark, Place, Row

log = structlog.get_logger(__name__)
Range = tuple[int, int, int]
"""Partition, first offset, offset behind the last."""
_OVERHEAD_BYTES = 400  # of a row's envelope, about
_PATIENCE_SECONDS = 10.0
_SILENCE_MS = 2_000  # a broker that has nothing says so twice a second


class TopicAbsent(Exception):
    """The topic does not exist yet, or the broker that lost it is not healed yet."""


class TopicShort(Exception):
    """The topic does not reach as far as was read before: it was made anew."""


class Reader:
    """Reads one topic; use it as a context. Never in a group: the place is kept with the effect, by whoever reads."""

    def __init__(self, kafka: KafkaSettings, topic: str, *, max_rows: int, max_bytes: int) -> None:
        self.topic = topic
        self._kafka = kafka
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._consumer: AIOKafkaConsumer = broker.consumer(kafka)
        self._answered = 0
        self._doubted = False

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await broker.closed(self._consumer.stop())

    async def begin(self, place: Place, start_at: datetime | None) -> Place:
        """Go to a place, and return it with every partition; one without an offset begins at the first record since `start_at`.

        Raises: TopicAbsent, TopicShort, TimeoutError.
        """
        ends = await broker.end_offsets(self._kafka, [self.topic])
        found = {partition: end for (_, partition), end in ends.items()}
        if not found:
            raise TopicAbsent(self.topic)
        known = place.offsets if place.topic == self.topic else {}
        if any(known[one] > found.get(one, 0) for one in known):
            raise TopicShort(f"{self.topic} ends at {found}, and was read to {dict(known)}")
        places = [TopicPartition(self.topic, partition) for partition in sorted(found)]
        self._consumer.assign(places)
        marks = {one: mark for one, mark in place.marks.items() if one in known and one in found}
        await self._recognise(marks)
        offsets = {one: known[one] for one in found if one in known}
        unknown = [place for place in places if place.partition not in offsets]
        if unknown and start_at is not None:
            times = await self._consumer.offsets_for_times(dict.fromkeys(unknown, int(start_at.timestamp() * 1000)))
            offsets |= {p.partition: found[p.partition] if at is None else at.offset for p, at in times.items()}
        elif unknown:
            offsets |= {p.partition: first for p, first in (await self._consumer.beginning_offsets(unknown)).items()}
        self._seek(offsets)
        return Place(topic=self.topic, offsets=offsets, marks=marks)

    async def _recognise(self, marks: Mapping[int, Mark]) -> None:
        """Look whether records that were read are where they were. Raises: TopicShort, TimeoutError.

        A topic that a broker lost and was given again may reach as far as the place and have other records before it: batches share other
        transactions, whose markers take offsets too. A record that is kept no longer tells nothing.
        """
        places = {TopicPartition(self.topic, partition): mark for partition, mark in marks.items()}
        starts = await self._consumer.beginning_offsets(list(places)) if places else {}
        for place, (offset, batch, number) in places.items():
            if starts[place] > offset:
                continue
            self._consumer.seek(place, offset)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                found: list[ConsumerRecord] = []
                while not found and await self._consumer.position(place) <= offset:
                    found = (await self._consumer.getmany(place, timeout_ms=500, max_records=1)).get(place, [])
            if not found or (found[0].offset, *_name(found[0])) != (offset, batch, number):
                raise TopicShort(f"{place.topic}-{place.partition} has another record at {offset} than was read there")

    def _seek(self, offsets: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self.topic, partition), offset)

    async def next(self, place: Place, *, timeout_ms: int) -> tuple[list[Row], Place]:
        """Return the next rows behind a place, in the order of each partition, and the place behind them; the reader stands there.

        Raises: TopicShort when the broker was away for a moment and the topic is another one since; TimeoutError.
        """
        found = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=self._max_rows)
        if self._is_in_doubt() and found:
            await self._recognise(place.marks)
            self._doubted = False
            self._seek(place.offsets)
            return [], place
        rows: list[Row] = []
        behind = dict(place.offsets)
        size = 0
        for records in found.values():
            for record in records:
                if rows and size >= self._max_bytes:
                    break
                rows.append(_row(record))
                size += len(record.value or b"") + _OVERHEAD_BYTES
                behind[record.partition] = record.offset + 1
        if sum(map(len, found.values())) > len(rows):
            self._seek(behind)
        return rows, Place(topic=self.topic, offsets=behind, marks={**place.marks, **marks_of(rows)})

    def _is_in_doubt(self) -> bool:
        """Say whether the broker answered nothing for a while since the topic was last recognised: it may have lost its disk."""
        last = max((self._consumer.last_poll_timestamp(place) or 0 for place in self._consumer.assignment()), default=0)
        self._doubted |= 0 < self._answered < last - _SILENCE_MS
        self._answered = max(last, self._answered)
        return self._doubted

    async def starts(self) -> dict[int, int]:
        """Return the offset of the first record that each partition still has."""
        found = await self._consumer.beginning_offsets(list(self._consumer.assignment()))
        return {place.partition: offset for place, offset in found.items()}

    async def positions(self) -> dict[int, int]:
        """Return where each partition is read on: behind markers of transactions too, which no row tells of."""
        return {place.partition: await self._consumer.position(place) for place in self._consumer.assignment()}

    async def drained(self) -> bool:
        """Say whether everything that is on the topic now was read."""
        places = list(self._consumer.assignment())
        if not places:
            return True
        ends = await self._consumer.end_offsets(places)
        return all([await self._consumer.position(place) >= end for place, end in ends.items()])

    async def again(self, ranges: Iterable[Range]) -> list[Row]:
        """Return the rows of these ranges, and leave each partition behind its range. Raises: TopicShort when they are not all there."""
        rows: list[Row] = []
        for partition, first, end in ranges:
            place = TopicPartition(self.topic, partition)
            self._consumer.seek(place, first)
            at = first
            while at < end:
                found = (await self._consumer.getmany(place, timeout_ms=1_000, max_records=self._max_rows)).get(place, [])
                if not found and await self._consumer.position(place) <= at:
                    raise TopicShort(f"{self.topic}-{partition} has no record at {at}")
                rows += [_row(record) for record in found if record.offset < end]
                at = found[-1].offset + 1 if found else await self._consumer.position(place)
            self._consumer.seek(place, end)
        return rows


def _name(record: ConsumerRecord) -> tuple[str, int]:
    told = dict(record.headers)
    return told.get("batch", b"").decode(), int(told.get("row", b"0"))


def _row(record: ConsumerRecord) -> Row:
    told = dict(record.headers)
    batch, number = _name(record)
    return Row(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        time=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        key=None if record.key is None else record.key.decode(),
        value=record.value,
        batch=batch,
        number=number,
        schema=told.get("schema", b"").decode(),
    )


def marks_of(rows: Iterable[Row]) -> dict[int, Mark]:
    """Return the last record of each partition."""
    return {row.partition: (row.offset, row.batch, row.number) for row in rows}


def ranges_of(rows: Iterable[Row]) -> list[Range]:
    """Return where rows lie, in the order in which their partitions appear."""
    found: dict[int, Range] = {}
    for row in rows:
        first = found[row.partition][1] if row.partition in found else row.offset
        found[row.partition] = (row.partition, first, row.offset + 1)
    return list(found.values())
