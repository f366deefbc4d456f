"""The way of a stream: lines are cut into batches, each goes the way of a push and is acknowledged while the next ones come."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Database, utc_now
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import Problem
from dxmesh_tabular.media import MediaType
from exchange_svc.batch.intake import Declaration, Intake
from exchange_svc.stream import domain, store
from exchange_svc.stream.domain import Cut, Cutter
from exchange_svc.stream.errors import StreamConflict, StreamsTooMany, StreamTakenOver

_LAST_SECONDS = 2
Line = dict[str, Any]
Caller = Callable[[], Awaitable[Principal]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sender wants of a stream: how its rows apply, where batches are cut, and at which row this connection begins."""

    kind: BatchKind
    version: int | None
    rows: int
    byte_count: int
    seconds: float
    from_row: int


class Inflow:
    """What taking in streams needs; at most `max_open` are served at a time, each holds no more than one batch in memory.

    max_open_each: of one organization, so that who reads no answers holds no other up.
    """

    def __init__(self, database: Database, intake: Intake, *, idle_seconds: float, max_open: int, max_open_each: int) -> None:
        self._database = database
        self._intake = intake
        self._idle_seconds = idle_seconds
        self._max_open = max_open
        self._max_open_each = max_open_each
        self._open: Counter[UUID] = Counter()

    async def begin(self, resource_id: UUID, stream_id: UUID, wish: Wish, *, by: Principal) -> store.Stream:
        """Let a stream go on over this connection and no earlier one; what those had not entered by now, they do not enter any more.

        Raises: ResourceNotFound (404), ResourceWithdrawn (409), VersionNotInForce (409), KeyMissing (422), StreamConflict (409),
        StreamGap (409), StreamsTooMany (429).
        """
        self._check_room(by.own_organization)
        first = domain.batch_id_of(by.own_organization, resource_id, stream_id, 0)
        await self._intake.admit(resource_id, first, _declaration(wish, b""), by=by)
        async with self._database.sessions.begin() as tx:
            row = await store.open_next(tx, by.own_organization, stream_id, resource_id, now=utc_now())
            if row.resource_id != resource_id:
                raise StreamConflict(f"stream {stream_id} holds rows of resource {row.resource_id}; begin one with an id of its own")
            domain.passed_over(wish.from_row, row.row_count)
        return row

    async def run(self, stream: store.Stream, wish: Wish, body: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[Line]:
        """Yield a line that says where the stream stands, one for each batch once it is entered, and one at the end.

        caller: says who calls, asked anew for each batch, so that a token that ends ends the stream.
        """
        cutter = Cutter(wish.rows, wish.byte_count, domain.passed_over(wish.from_row, stream.row_count))
        try:
            self._check_room(stream.provider_id)  # others may have begun since this one was let in
        except StreamsTooMany as full:
            yield {"problem": full.as_dict(), "next_number": stream.last_number + 1, "next_row": stream.row_count}
            return
        self._open[stream.provider_id] += 1
        try:
            yield {"stream_id": str(stream.stream_id), "next_number": stream.last_number + 1, "next_row": stream.row_count}
            async with aclosing(self._cuts(cutter, body, wish.seconds)) as cuts:
                async for cut in cuts:
                    yield await self._enter(stream, wish, cut, by=await caller())
            yield {"end": True, "next_number": stream.last_number + 1, "next_row": stream.row_count}
        except Problem as problem:
            yield {"problem": problem.as_dict(), "next_number": stream.last_number + 1, "next_row": stream.row_count}
            await _pass_over(body)
        finally:
            self._open -= Counter([stream.provider_id])

    def _check_room(self, organization_id: UUID) -> None:
        if self._open.total() >= self._max_open:
            raise StreamsTooMany(f"{self._max_open} streams are open here already; come again in a moment", retry_after_seconds=10)
        if self._open[organization_id] >= self._max_open_each:
            raise StreamsTooMany(
                f"your organization has {self._max_open_each} streams open here; end one of them first", retry_after_seconds=10
            )

    async def _cuts(self, cutter: Cutter, body: AsyncIterator[bytes], seconds: float) -> AsyncGenerator[Cut]:
        """Yield a batch when it is full, and `seconds` after its first row came. While one is entered nothing is read."""
        clock = asyncio.get_running_loop().time
        coming: asyncio.Future[bytes] | None = None
        due = 0.0
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(body))
                waits = cutter.waits
                await asyncio.wait({coming}, timeout=max(due - clock(), 0) if waits else self._idle_seconds)
                cuts: Iterator[Cut]
                if coming.done():
                    try:
                        cuts = cutter.feed(coming.result())
                    except StopAsyncIteration:
                        for cut in cutter.finish():
                            yield cut
                        return
                    coming = None
                elif waits:
                    cuts = cutter.flush()
                else:
                    return  # nothing came for long: the sender begins again where this ends
                for cut in cuts:
                    yield cut
                    waits = False
                if cutter.waits and not waits:
                    due = clock() + seconds
                elif cutter.waits and due <= clock():
                    for cut in cutter.flush():
                        yield cut
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _enter(self, stream: store.Stream, wish: Wish, cut: Cut, *, by: Principal) -> Line:
        number, first_row = stream.last_number + 1, stream.row_count
        batch_id = domain.batch_id_of(stream.provider_id, stream.resource_id, stream.stream_id, number)
        claim = partial(self._claim, stream, batch_id, cut.row_count)
        batch = await self._intake.take_bytes(stream.resource_id, batch_id, _declaration(wish, cut.content), cut.content, claim, by=by)
        stream.last_number, stream.row_count = number, first_row + cut.row_count
        return {
            "number": number,
            "batch_id": str(batch_id),
            "first_row": first_row,
            "row_count": cut.row_count,
            "next_row": stream.row_count,
            "refused_row_count": batch.refused_row_count,
            "body_sha256": batch.body_sha256,
            "acknowledgement": batch.acknowledgement,
        }

    async def _claim(self, stream: store.Stream, batch_id: UUID, row_count: int, connection: AsyncConnection) -> None:
        if not await store.advance(connection, stream, batch_id, row_count, now=utc_now()):
            raise StreamTakenOver(
                f"stream {stream.stream_id} was begun again over another connection, which goes on where the last batch ended"
            )


async def _pass_over(body: AsyncIterator[bytes]) -> None:
    """Read on for a moment: a connection that is closed while data come is reset, and the last line of the answer lost with it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_SECONDS):
            async for _ in body:
                pass


def _declaration(wish: Wish, content: bytes) -> Declaration:
    return Declaration(
        kind=wish.kind,
        version=wish.version,
        media=MediaType.NDJSON,
        coding=None,
        delimiter=None,
        encoding="utf-8",
        sheet=None,
        digests={},
        length=len(content),
    )
