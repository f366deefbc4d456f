"""Records that cannot be handled: parked on `<topic>.dlt` with the reason, until they are replayed."""

import structlog
from aiokafka import ConsumerRecord

from dxmesh_runtime import broker, telemetry
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.settings import KafkaSettings

log = structlog.get_logger(__name__)
SUFFIX = ".dlt"
_REASON_BYTES = 2000


async def park(kafka: KafkaSettings, consumer: str, record: ConsumerRecord, error: BaseException) -> None:
    """Send a record to its topic's dead letters, with why; return once the broker has it."""
    topic = record.topic.removesuffix(SUFFIX) + SUFFIX
    await broker.ensure_topics(kafka, [topic])
    headers = [(name, value) for name, value in record.headers if not name.startswith("dlt_")]
    headers += [
        ("dlt_consumer", consumer.encode()),
        ("dlt_reason", str(error).encode()[:_REASON_BYTES]),
        ("dlt_error", type(error).__name__.encode()),
        ("dlt_place", f"{record.topic}/{record.partition}/{record.offset}".encode()),
        ("dlt_at", utc_now().isoformat().encode()),
    ]
    producer = broker.producer(kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, record.value, record.key, headers=headers)
    finally:
        await producer.stop()
    telemetry.dead_letters.labels(consumer, record.topic).inc()
    log.error("consumer.parked", consumer=consumer, topic=record.topic, offset=record.offset, reason=str(error)[:500])


def is_of(record: ConsumerRecord, consumer: str) -> bool:
    """Say whether it was this consumer that parked a record."""
    return bool(dict(record.headers).get("dlt_consumer") == consumer.encode())
