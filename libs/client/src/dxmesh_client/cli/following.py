"""Following a topic: each record as a line of JSON."""

import asyncio
import json
import logging
import sys

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from dxmesh_client.errors import Unreachable


async def follow(servers: str, topic: str, count: int | None, *, from_start: bool, idle_seconds: float | None) -> None:
    """Print records as lines of JSON until `count` came or nothing came for `idle_seconds`. Raises: Unreachable."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it has to say of a broker is said once, below
    try:
        await _follow(servers, topic, count, from_start, idle_seconds)
    except KafkaError as away:
        raise Unreachable(f"Kafka at {servers} does not answer as it should: {away}; see `dxmesh doctor`") from away


async def _follow(servers: str, topic: str, count: int | None, from_start: bool, idle_seconds: float | None) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest" if from_start else "latest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    try:
        await consumer.start()
        seen = 0
        while count is None or seen < count:
            try:
                record = await asyncio.wait_for(consumer.getone(), idle_seconds)
            except TimeoutError:
                return
            headers = {name: value.decode() for name, value in record.headers}
            row = {
                "key": record.key.decode() if record.key else None,
                "value": json.loads(record.value) if record.value else None,
                "batch": headers.get("batch"),
                "row": int(headers["row"]) if "row" in headers else None,
            }
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            seen += 1
    finally:
        await consumer.stop()
