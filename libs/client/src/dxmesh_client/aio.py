"""The same SDK for asynchronous programs: each call runs in a worker thread."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from dxmesh_client.client import Client
from dxmesh_client.config import Profile
from dxmesh_client.models import Batch, Grant, SharingRequest
from dxmesh_schemas.audit import Receipt

Found = TypeVar("Found")
_PAGE = 1000


class AsyncClient:
    """`Client` for `async with`; same calls, same errors."""

    def __init__(self, profile: Profile | None = None, **options: Any) -> None:
        self._client = Client(profile, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    async def push(self, resource_id: UUID, file: Path, **options: Any) -> tuple[Batch, bool]:
        """Send a file as a batch."""
        return await asyncio.to_thread(self._client.push, resource_id, file, **options)

    async def push_and_wait(self, resource_id: UUID, file: Path, **options: Any) -> Batch:
        """Send a file and return its batch once accepted."""
        return await asyncio.to_thread(self._client.push_and_wait, resource_id, file, **options)

    async def wait(self, batch_id: UUID, *, seconds: float = 60) -> Batch:
        """Return the batch once it is decided."""
        return await asyncio.to_thread(self._client.wait, batch_id, seconds=seconds)

    async def request_access(self, resource_id: UUID, **fields: Any) -> SharingRequest:
        """Ask for access."""
        return await asyncio.to_thread(self._client.request_access, resource_id, **fields)

    async def grant(self, grant_id: UUID) -> Grant:
        """Return a grant."""
        return await asyncio.to_thread(self._client.grant, grant_id)

    async def receipt(self, event_id: UUID, *, seconds: float = 30) -> Receipt:
        """Return the receipt of an event once it is in the log."""
        return await asyncio.to_thread(self._client.receipt, event_id, seconds=seconds)

    def quarantine(self, batch_id: UUID) -> AsyncIterator[dict[str, Any]]:
        """Yield the refused rows of a batch."""
        return _threaded(lambda: self._client.quarantine(batch_id))

    def rows(self, grant_id: UUID, **options: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of a grant."""
        return _threaded(lambda: self._client.rows(grant_id, **options))


async def _threaded(make: Callable[[], Iterator[Found]]) -> AsyncIterator[Found]:
    iterator = make()

    def some() -> list[Found]:
        return [item for _, item in zip(range(_PAGE), iterator, strict=False)]

    while found := await asyncio.to_thread(some):
        for item in found:
            yield item
