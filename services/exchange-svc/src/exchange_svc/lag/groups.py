"""Where the consumer groups of organizations are on topics: of each broker all its groups are asked about at once.

Source: Kafka protocol guide, ListGroups version 0, OffsetFetch version 8 (KIP-709: many groups in one request).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import ListGroupsRequest
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.protocol import request_class

Offsets = Mapping[str, Mapping[int, int]]
"""Topic → partition → offset of the next record."""
_AT_ONCE = 500
_TEXT, _TAGS = CompactString("utf-8"), ("tags", TaggedFields)
_OffsetFetch = request_class(
    "OffsetFetch",
    9,
    8,
    Schema(
        (
            "groups",
            CompactArray(
                ("group_id", _TEXT),
                ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)),
                _TAGS,
            ),
        ),
        ("require_stable", Boolean),
        _TAGS,
    ),
    Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            CompactArray(
                ("group_id", _TEXT),
                (
                    "topics",
                    CompactArray(
                        ("name", _TEXT),
                        (
                            "partitions",
                            CompactArray(
                                ("partition", Int32),
                                ("committed_offset", Int64),
                                ("leader_epoch", Int32),
                                ("metadata", _TEXT),
                                ("error_code", Int16),
                                _TAGS,
                            ),
                        ),
                        _TAGS,
                    ),
                ),
                ("error_code", Int16),
                _TAGS,
            ),
        ),
        _TAGS,
    ),
    flexible=True,
)


async def offsets_of(kafka: KafkaSettings, prefixes: tuple[str, ...]) -> Mapping[str, Offsets]:
    """Return what groups whose names begin so have committed. Raises: KafkaError, OSError."""
    client = AIOKafkaClient(**broker.options(kafka))
    found: dict[str, Offsets] = {}
    try:
        await client.bootstrap()
        for one in client.cluster.brokers():  # each tells of the groups that it coordinates
            listed = await client.send(one.nodeId, ListGroupsRequest())
            _check(listed.error_code)
            names = sorted(name for name, _ in listed.groups if name.startswith(prefixes))
            for start in range(0, len(names), _AT_ONCE):
                asked: list[tuple[Any, ...]] = [(name, None, {}) for name in names[start : start + _AT_ONCE]]
                answer = await client.send(one.nodeId, _OffsetFetch(asked, False, {}))
                found |= {group: _committed(topics) for group, topics, error, _ in answer.groups if not error}
    finally:
        await client.close()
    return found


def _committed(topics: Sequence[Any]) -> Offsets:
    found = {
        name: {partition: offset for partition, offset, _, _, error, _ in partitions if not error and offset >= 0}
        for name, partitions, _ in topics
    }
    return {name: offsets for name, offsets in found.items() if offsets}


def _check(code: int) -> None:
    if code:
        raise for_code(code)()
