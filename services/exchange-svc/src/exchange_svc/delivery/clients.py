"""What delivery needs of the broker beside plain clients: transactional producers one can give up, views' topics, the state topic."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import polars as pl
from aiokafka import AIOKafkaProducer, TopicPartition

from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.delivery.domain import Delivered
from exchange_svc.delivery.record_batch import MAX_MESSAGE_BYTES
from exchange_svc.delivery.settings import DeliverySettings

STATE_TOPIC = "dxmesh.exchange.delivered"
"""What each view has had: key = view id, newest record wins (compacted)."""
_POLL_MS = 200
_MOST_RECORDS = 10_000
_MANY_KEYS = 100_000  # noted at a time: sorting few of them often takes longer
_STATE_CONFIG = {"cleanup.policy": "compact", "max.message.bytes": str(1 << 20)}


@asynccontextmanager
async def transactional(kafka: KafkaSettings, transactional_id: str, tuning: DeliverySettings) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a producer that has fenced every earlier one of this id and ended its open transaction; leaving gives it up within seconds.

    A producer whose broker is away, or came back without memory, may wait forever: after a failure it is never used again.
    """
    producer = broker.producer(
        kafka, transactional_id=transactional_id, transaction_timeout_ms=tuning.transaction_timeout_ms, retry_backoff_ms=20
    )
    try:
        async with asyncio.timeout(tuning.progress_seconds):
            await producer.start()
        yield producer
    finally:
        await broker.discard(producer)


async def ensure_view_topics(kafka: KafkaSettings, topics: Collection[str], tuning: DeliverySettings) -> None:
    """Create the topics of views that are missing."""
    config = {"max.message.bytes": str(MAX_MESSAGE_BYTES), "retention.ms": str(tuning.topic_retention_ms), "cleanup.policy": "delete"}
    await broker.ensure_topics(kafka, dict.fromkeys(topics, config))


async def restore(kafka: KafkaSettings, producer: AIOKafkaProducer, number: int) -> tuple[dict[UUID, Delivered], set[UUID]]:
    """Return what each view has had, from the state topic, created when missing; and which of it was told by the lane of this number.

    Call it once the partition's producer has started: everything its predecessor committed is visible then.
    """
    await broker.ensure_topics(kafka, {STATE_TOPIC: _STATE_CONFIG})
    found: dict[UUID, Delivered] = {}
    partition_of: dict[UUID, int] = {}
    async with broker.reading(kafka) as reader:
        places = [TopicPartition(STATE_TOPIC, partition) for partition in sorted(await producer.partitions_for(STATE_TOPIC))]
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        ends: Mapping[TopicPartition, int] = await reader.end_offsets(places)
        left = {place for place, end in ends.items() if end}
        while left:
            for records in (await reader.getmany(*left, timeout_ms=_POLL_MS)).values():
                for record in records:
                    state = Delivered.model_validate_json(record.value)
                    if state.view_id not in found or found[state.view_id].newest <= state.newest:
                        found[state.view_id], partition_of[state.view_id] = state, record.partition
            left = {place for place in left if await reader.position(place) < ends[place]}
    own = state_partition(number, [place.partition for place in places])
    return found, {view_id for view_id, partition in partition_of.items() if partition == own}


def state_partition(number: int, partitions: Collection[int]) -> int:
    """Return the partition of the state topic to which the lane of a number tells."""
    return sorted(partitions)[number % len(partitions)]


async def still_holds(kafka: KafkaSettings, state: Delivered) -> bool:
    """Say whether a view's topic reaches as far as what was delivered: a topic that was made anew does not."""
    if not state.ends:
        return True
    ends = await broker.end_offsets(kafka, [state.topic])
    return all(ends.get((state.topic, partition), 0) > last for partition, last in state.ends)


async def told(kafka: KafkaSettings, state: Delivered, *, patience: float) -> AsyncGenerator[pl.DataFrame]:
    """Yield what the records say that a view's readers have their rows by: n_records × `key`, `held` (whether it has a value).

    They come in the order of each partition, from the last snapshot's on, up to the last that was delivered.
    Raises: TimeoutError when nothing comes for so many seconds.
    """
    last = {TopicPartition(state.topic, partition): offset for partition, offset in state.ends}
    begun = dict(state.begun)
    async with broker.reading(kafka) as reader:
        reader.assign(list(last))
        for place in last:
            reader.seek(place, begun.get(place.partition, 0))
        heard = time.monotonic()
        keys: list[bytes | None] = []
        held: list[bool] = []
        while left := [place for place, offset in last.items() if await reader.position(place) <= offset]:
            for records in (await reader.getmany(*left, timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)).values():
                keys += [record.key for record in records]
                held += [record.value is not None for record in records]
                heard = time.monotonic()
            if len(keys) >= _MANY_KEYS:
                yield _keys(keys, held)
                keys, held, heard = [], [], time.monotonic()
            if time.monotonic() - heard > patience:
                raise TimeoutError(f"{state.topic} is not read to {state.ends}")
        yield _keys(keys, held)


def _keys(keys: list[bytes | None], held: list[bool]) -> pl.DataFrame:
    return pl.DataFrame({"key": pl.Series(keys, dtype=pl.Binary).cast(pl.String), "held": pl.Series(held, dtype=pl.Boolean)})
