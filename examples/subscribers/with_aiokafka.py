"""A subscriber with aiokafka: `python with_aiokafka.py reader.json TOPIC copy.sqlite [IDLE_SECONDS]`."""

import asyncio
import json
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.helpers import create_ssl_context
from copy_of_view import Copy


async def subscribe(reader: dict[str, str], topic: str, copy: Copy, idle_seconds: float) -> None:
    """Take over what comes on a topic, until nothing came for so long."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=reader["bootstrap_servers"],
        security_protocol=reader["security_protocol"],
        sasl_mechanism=reader["sasl_mechanism"],
        sasl_plain_username=reader["user_name"],
        sasl_plain_password=reader["password"],
        ssl_context=create_ssl_context() if reader["security_protocol"].endswith("SSL") else None,
        isolation_level="read_committed",  # whole batches, and none that was given up
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()  # without a group it has every partition, and the copy says where to go on
    try:
        for partition, offset in copy.places().items():
            consumer.seek(TopicPartition(topic, partition), offset)
        while found := await consumer.getmany(timeout_ms=int(idle_seconds * 1000)):
            for records in found.values():
                copy.apply((one.partition, one.offset, one.key, one.value, one.headers) for one in records)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    file, topic, kept, *idle = sys.argv[1:]
    copy = Copy(Path(kept))
    asyncio.run(subscribe(json.loads(Path(file).read_text()), topic, copy, float(idle[0]) if idle else 1e6))
    print(copy.summary())
