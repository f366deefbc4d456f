"""The broker's users and access list, read and changed: requests that aiokafka has no client for, or none for several at once.

An administration client that takes a password cannot put back a user whose password nobody has any more; the protocol takes the
salted password itself.
Source: Kafka protocol guide, DescribeAcls, CreateAcls and DeleteAcls version 1 (KIP-290), Describe- and AlterUserScramCredentials
version 0 (KIP-554).
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.types import (
    Array,
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings
from exchange_svc.protocol import request_class
from exchange_svc.reader.domain import Entry
from exchange_svc.reader.scram import Verifier

ItemT = TypeVar("ItemT")
_AT_ONCE = 500  # a controller takes 10,000 records in one batch
_SCRAM_SHA_512 = 2
_ANY = 1
_NOT_FOUND = 91
_TEXT, _COMPACT = String("utf-8"), CompactString("utf-8")
_ENTRY = [
    ("resource_type", Int8),
    ("resource_name", _TEXT),
    ("pattern_type", Int8),
    ("principal", _TEXT),
    ("host", _TEXT),
    ("operation", Int8),
    ("permission_type", Int8),
]
_FAULT = [("error_code", Int16), ("error_message", _TEXT)]


_DescribeAcls = request_class(
    "DescribeAcls",
    29,
    1,
    Schema(*_ENTRY),
    Schema(
        ("throttle_time_ms", Int32),
        *_FAULT,
        ("resources", Array(*_ENTRY[:3], ("acls", Array(*_ENTRY[3:])))),
    ),
)
_CreateAcls = request_class(
    "CreateAcls", 30, 1, Schema(("creations", Array(*_ENTRY))), Schema(("throttle_time_ms", Int32), ("results", Array(*_FAULT)))
)
_DeleteAcls = request_class(
    "DeleteAcls",
    31,
    1,
    Schema(("filters", Array(*_ENTRY))),
    Schema(("throttle_time_ms", Int32), ("results", Array(*_FAULT, ("matching", Array(*_FAULT, *_ENTRY))))),
)
_TAGS = ("tags", TaggedFields)
_COMPACT_FAULT = [("error_code", Int16), ("error_message", _COMPACT)]
_DescribeUsers = request_class(
    "DescribeUserScramCredentials",
    50,
    0,
    Schema(("users", CompactArray(("name", _COMPACT), _TAGS)), _TAGS),
    Schema(
        ("throttle_time_ms", Int32),
        *_COMPACT_FAULT,
        (
            "results",
            CompactArray(
                ("user", _COMPACT),
                *_COMPACT_FAULT,
                ("credentials", CompactArray(("mechanism", Int8), ("iterations", Int32), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    ),
    flexible=True,
)
_AlterUsers = request_class(
    "AlterUserScramCredentials",
    51,
    0,
    Schema(
        ("deletions", CompactArray(("name", _COMPACT), ("mechanism", Int8), _TAGS)),
        (
            "upsertions",
            CompactArray(
                ("name", _COMPACT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                _TAGS,
            ),
        ),
        _TAGS,
    ),
    Schema(("throttle_time_ms", Int32), ("results", CompactArray(("user", _COMPACT), *_COMPACT_FAULT, _TAGS)), _TAGS),
    flexible=True,
)


class Access:
    """A connection to the broker as one who may administer it; every call raises KafkaError when the broker refuses."""

    def __init__(self, client: AIOKafkaClient, node: int) -> None:
        self._client = client
        self._node = node

    async def entries(self) -> set[Entry]:
        """Return the whole access list. Raises SecurityDisabledError when the broker keeps none."""
        answer = await self._send(_DescribeAcls(_ANY, None, _ANY, None, None, _ANY, _ANY))
        _check(answer.error_code, answer.error_message)
        return {Entry(kind, name, pattern, *acl) for kind, name, pattern, acls in answer.resources for acl in acls}

    async def users(self) -> set[str]:
        """Return the users that have a password of our kind."""
        answer = await self._send(_DescribeUsers(None, {}))
        _check(answer.error_code, answer.error_message)
        return {user for user, _, _, credentials, _ in answer.results if any(kind == _SCRAM_SHA_512 for kind, *_ in credentials)}

    async def allow(self, entries: Sequence[Entry]) -> None:
        """Add entries; one that is there already stays."""
        for some in _portions(entries):
            answer = await self._send(_CreateAcls([_row(entry) for entry in some]))
            for code, message in answer.results:
                _check(code, message)

    async def forbid(self, entries: Sequence[Entry]) -> None:
        """Remove entries; one that is gone already is no fault."""
        for some in _portions(entries):
            answer = await self._send(_DeleteAcls([_row(entry) for entry in some]))
            for code, message, _ in answer.results:
                _check(code, message)

    async def put(self, verifiers: Mapping[str, Verifier]) -> None:
        """Make users, or give them another password."""
        for some in _portions(list(verifiers.items())):
            rows: list[tuple[Any, ...]] = [(user, _SCRAM_SHA_512, one.iterations, one.salt, one.salted, {}) for user, one in some]
            self._settled(await self._send(_AlterUsers([], rows, {})))

    async def remove(self, users: Sequence[str]) -> None:
        """Remove users; one that is gone already is no fault."""
        for some in _portions(users):
            self._settled(await self._send(_AlterUsers([(user, _SCRAM_SHA_512, {}) for user in some], [], {})), but=_NOT_FOUND)

    def _settled(self, answer: Any, *, but: int = 0) -> None:
        for _, code, message, _ in answer.results:
            if code != but:
                _check(code, message)

    async def _send(self, request: Any) -> Any:
        return await self._client.send(self._node, request)


@asynccontextmanager
async def connected(kafka: KafkaSettings) -> AsyncIterator[Access]:
    """Yield a connection made anew: one that lived through a lost disk may wait forever."""
    client = AIOKafkaClient(**broker.options(kafka))
    try:
        await client.bootstrap()
        node = client.get_random_node()
        if node is None or not await client.ready(node):
            raise KafkaError("no broker takes connections")
        yield Access(client, node)
    finally:
        await broker.closed(client.close())


def _row(entry: Entry) -> tuple[Any, ...]:
    return (entry.resource_type, entry.name, entry.pattern, entry.principal, entry.host, entry.operation, entry.permission)


def _portions(items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def _check(code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(message or "")
