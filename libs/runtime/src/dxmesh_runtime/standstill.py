"""Whether a group's consumer stands still: a client that lived through a broker's restart may wait forever, and says nothing of it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings

log = structlog.get_logger(__name__)
LOOK_SECONDS = 30.0
_PATIENCE_SECONDS = 15.0
_POSITION_SECONDS = 1.0


class StoodStill(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """Partitions are where they were a look ago, though the broker has more of them and nothing here holds them up."""


async def watched(
    work: Coroutine[Any, Any, None],
    consumer: AIOKafkaConsumer,
    kafka: KafkaSettings,
    topics: Sequence[str],
    *,
    group: str,
    busy: Callable[[TopicPartition], bool],
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Do a consumer's work until it fails, or its client stands still over two looks; the looks are of clients made anew.

    `busy` says of a partition whether what came of it waits or is worked on. Raises: StoodStill, EndedWithin; what the work raises.
    """
    watch = _watch(consumer, kafka, topics, group, busy, look_seconds)
    tasks = [asyncio.create_task(broker.lasting(one)) for one in (work, watch)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(
    consumer: AIOKafkaConsumer,
    kafka: KafkaSettings,
    topics: Sequence[str],
    group: str,
    busy: Callable[[TopicPartition], bool],
    look_seconds: float,
) -> None:
    before: dict[TopicPartition, int] = {}
    while True:
        broker.end_if_cancelled()
        await asyncio.sleep(look_seconds)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                ends = await broker.end_offsets(kafka, topics, isolation_level="read_committed")
                places = {TopicPartition(*place): end for place, end in ends.items()}
                unassigned = await broker.unassigned(kafka, group, places.keys() - consumer.assignment())
        except (KafkaError, OSError, TimeoutError) as away:  # the client waits for it, too
            log.info("consumer.not_looked_at", consumer=group, error=repr(away))
            before = {}
            continue
        found = {place: unassigned[place] if place in unassigned else await _position(consumer, place) for place in places}
        behind = {place: at for place, at in found.items() if at is not None and at < places[place] and not busy(place)}
        if standing := {f"{place.topic}-{place.partition}": at for place, at in behind.items() if before.get(place) == at}:
            raise StoodStill(f"{group} stands still at {standing}")
        before = behind


async def _position(consumer: AIOKafkaConsumer, place: TopicPartition) -> int | None:
    """Return where a consumer will read on, -1 when it does not know; None where another member of the group reads."""
    try:
        async with asyncio.timeout(_POSITION_SECONDS):
            return int(await consumer.position(place))
    except TimeoutError:
        return -1
    except IllegalStateError:
        return None
