"""Records that cannot be handled: parked on `<topic>.dlt` with the reason, until they are replayed."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from dxmesh_runtime import broker, telemetry
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.settings import KafkaSettings

log = structlog.get_logger(__name__)
SUFFIX = ".dlt"
_REASON_BYTES = 2000
_POLL_MS = 250


def headers(consumer: str, record: ConsumerRecord, error: BaseException) -> list[tuple[str, bytes]]:
    """Return the headers of a parked record: its own, and who could not handle it, why, and where it came from."""
    return [
        *((name, value) for name, value in record.headers if not name.startswith("dlt_")),
        ("dlt_consumer", consumer.encode()),
        ("dlt_reason", str(error).encode()[:_REASON_BYTES]),
        ("dlt_error", type(error).__name__.encode()),
        ("dlt_place", f"{record.topic}/{record.partition}/{record.offset}".encode()),
        ("dlt_at", utc_now().isoformat().encode()),
    ]


async def park(kafka: KafkaSettings, consumer: str, record: ConsumerRecord, error: BaseException) -> None:
    """Send a record to its topic's dead letters, with why; return once the broker has it."""
    topic = record.topic.removesuffix(SUFFIX) + SUFFIX
    await broker.ensure_topics(kafka, [topic])
    producer = broker.producer(kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, record.value, record.key, headers=headers(consumer, record, error))
    finally:
        await broker.discard(producer)
    telemetry.dead_letters.labels(consumer, record.topic).inc()
    log.error("consumer.parked", consumer=consumer, topic=record.topic, offset=record.offset, reason=str(error)[:500])


async def replay(
    kafka: KafkaSettings,
    consumer: str,
    topics: Sequence[str],
    handle: Callable[[Sequence[ConsumerRecord]], Awaitable[None]],
    wrong_data: Callable[[BaseException], bool],
) -> tuple[int, int]:
    """Handle what a consumer parked, up to now; return how many took effect and how many were parked again."""
    ends = await broker.end_offsets(kafka, [topic + SUFFIX for topic in topics])
    places = {TopicPartition(*place): end for place, end in ends.items() if end}
    done = again = 0
    async with broker.reading(kafka, group=f"{consumer}.replay") as reader:
        reader.assign(list(places))
        for place, end in places.items():
            while await reader.position(place) < end:
                for record in (await reader.getmany(place, timeout_ms=_POLL_MS)).get(place, ()):
                    if dict(record.headers).get("dlt_consumer") != consumer.encode() or record.offset >= end:
                        continue
                    try:
                        await handle([record])
                        done += 1
                    except Exception as error:
                        if not wrong_data(error):
                            raise
                        await park(kafka, consumer, record, error)
                        again += 1
                    await reader.commit({place: record.offset + 1})
    return done, again
