"""What the log announced earlier, read back from the broker: a database restored from an old copy does not know it any more."""

import asyncio

import structlog
from aiokafka import TopicPartition
from pydantic import ValidationError

from audit_svc.checkpoint.domain import Head, Signer
from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from dxmesh_schemas.audit import CheckpointPublished

log = structlog.get_logger(__name__)
_READ_SECONDS = 15


async def last_announced(kafka: KafkaSettings, signer: Signer) -> Head | None:
    """Return the greatest tree among the last announcements of each partition that this key signed for this origin.

    Raises: KafkaError or TimeoutError when the broker is away.
    """
    ends = await broker.end_offsets(kafka, [CheckpointPublished.TOPIC])
    last = {TopicPartition(*place): end - 1 for place, end in ends.items() if end}
    if not last:
        return None
    async with broker.reading(kafka) as reader:
        reader.assign(list(last))
        starts = await reader.beginning_offsets(list(last))
        heads = []
        for place, offset in last.items():
            if offset < starts[place]:
                continue
            reader.seek(place, offset)
            async with asyncio.timeout(_READ_SECONDS):
                record = await reader.getone(place)
            try:
                heads.append(signer.open(CheckpointPublished.decode(record.value or b"").checkpoint))
            except (ValidationError, ValueError) as foreign:
                log.warning("checkpoint.announcement_of_another", partition=place.partition, reason=str(foreign)[:200])
        return max(heads, key=lambda head: head.size, default=None)
