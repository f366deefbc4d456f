"""The way of a pushed body: checked, streamed to disk, read into columns, made durable, entered; nothing is kept of one that fails."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Database, utc_now
from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind, ObjectRef
from dxmesh_tabular.batchfile import store_batch
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.store import ObjectStore, sha256_of
from exchange_svc.batch import commands, domain, store
from exchange_svc.batch.errors import BatchConflict, BodyInterrupted, BodyTooLarge
from exchange_svc.batch.inflate import ContentCoding, inflate
from exchange_svc.batch.staging import Place, Staging, room

_WRITE_BYTES = 1 << 20
_SMALL_BYTES = 1 << 20
_SMALL_AT_ONCE = 4
_TEXT = (MediaType.CSV, MediaType.NDJSON, MediaType.JSON)


Claim = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a push says of its body."""

    kind: BatchKind
    version: int | None
    media: MediaType
    coding: ContentCoding | None
    delimiter: str | None
    encoding: str | None
    sheet: str | None
    digests: dict[str, bytes]
    length: int | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A body that is there, whole; `rest` is what is not on disk yet."""

    sha256: str
    byte_count: int
    rest: tuple[bytes, ...]


class Intake:
    """What taking in a body needs; at most `parse_concurrency` large bodies and four small ones are read at a time."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        staging: Staging,
        sign: commands.Sign,
        *,
        node: str,
        body_max_bytes: int,
        inflated_max_bytes: int,
        parse_concurrency: int,
        idle_seconds: float,
    ) -> None:
        self._database = database
        self._objects = objects
        self._staging = staging
        self._sign = sign
        self._node = node
        self._body_max_bytes = body_max_bytes
        self._inflated_max_bytes = inflated_max_bytes
        self._idle_seconds = idle_seconds
        self._large = asyncio.Semaphore(parse_concurrency)
        self._small = asyncio.Semaphore(_SMALL_AT_ONCE)

    async def push(
        self, resource_id: UUID, batch_id: UUID, declared: Declaration, body: AsyncIterator[bytes], *, by: Principal
    ) -> tuple[store.Batch, bool]:
        """Take in a body; return its batch and whether it is new. No transaction is open while the body arrives or is read.

        Raises: ResourceNotFound (404), ResourceWithdrawn (409), VersionNotInForce (409), KeyMissing (422), BatchConflict (409),
        BodyTooLarge (413), BodyInterrupted (400), DigestMismatch (422), StorageFull (503), and what reading a file raises.
        """
        resource, is_known = await self.admit(resource_id, batch_id, declared, by=by)
        if is_known:
            arrived = await self._arrive(body, None, declared.digests)
            return await self._first(batch_id, domain.Identity(resource_id, declared.kind.value, arrived.sha256)), False
        with self._staging.place() as place:
            arrived = await self._arrive(body, place.body, declared.digests)
            pushed = await self._in_turn(place, resource, batch_id, declared, arrived)
        return await self._enter(resource, pushed)

    async def take(
        self, resource_id: UUID, batch_id: UUID, declared: Declaration, file: Path, *, by: Principal
    ) -> tuple[store.Batch, bool]:
        """Take in a file that lies on the staging folder's device, as if its bytes were pushed. Raises what `push` does."""
        resource, is_known = await self.admit(resource_id, batch_id, declared, by=by)
        arrived = await asyncio.to_thread(_measure, file, declared.digests)
        if is_known:
            return await self._first(batch_id, domain.Identity(resource_id, declared.kind.value, arrived.sha256)), False
        with self._staging.place() as place:
            place.body.hardlink_to(file)
            pushed = await self._in_turn(place, resource, batch_id, declared, arrived)
        return await self._enter(resource, pushed)

    async def take_bytes(
        self, resource_id: UUID, batch_id: UUID, declared: Declaration, content: bytes, claim: Claim, *, by: Principal
    ) -> store.Batch:
        """Take in a small body under an id that `claim` gives it, in one transaction with that; it may refuse.

        Objects of a refused one stay: whoever has the claim now may have put the same, under the same name.
        Raises: BatchConflict (409), what `claim` raises, and what `push` does.
        """
        resource, _ = await self.admit(resource_id, batch_id, declared, by=by)
        arrived = Arrived(hashlib.sha256(content).hexdigest(), len(content), (content,))
        with self._staging.place() as place:
            pushed = await self._in_turn(place, resource, batch_id, declared, arrived)
        async with self._database.engine.begin() as connection:
            await claim(connection)
            row = await commands.receive(connection, resource, pushed, sign=self._sign, node=self._node, now=utc_now())
            if row is None:
                raise BatchConflict(f"batch {batch_id} was pushed by itself before; begin another stream")
        return row

    async def admit(self, resource_id: UUID, batch_id: UUID, declared: Declaration, *, by: Principal) -> tuple[ResourceSnapshot, bool]:
        """Say under which version a body would be taken in, and whether its batch exists already.

        Raises: ResourceNotFound (404), ResourceWithdrawn (409), VersionNotInForce (409), KeyMissing (422), BodyTooLarge (413).
        """
        async with self._database.autocommit.connect() as connection:
            kind, version = declared.kind, declared.version
            found = await commands.admit(connection, resource_id, batch_id, kind=kind, version=version, by=by)
        if declared.length is not None:
            self._check_size(declared.length)
        return found

    async def _in_turn(
        self, place: Place, resource: ResourceSnapshot, batch_id: UUID, declared: Declaration, arrived: Arrived
    ) -> commands.Pushed:
        small = arrived.byte_count <= _SMALL_BYTES and declared.coding is None and declared.media in _TEXT
        async with self._small if small else self._large:
            return await asyncio.to_thread(self._read, place, resource, batch_id, declared, arrived)

    def _check_size(self, byte_count: int) -> None:
        if byte_count > self._body_max_bytes:
            raise BodyTooLarge(
                f"a body has at most {self._body_max_bytes} bytes; split the file into several batches, or compress it (zstd or gzip)",
                max_bytes=self._body_max_bytes,
            )

    async def _arrive(self, body: AsyncIterator[bytes], path: Path | None, digests: dict[str, bytes]) -> Arrived:
        """Stream a body to disk (or nowhere, when only its digest matters) and hash it; the last megabyte stays in memory."""
        hashes = {name: hashlib.new(name) for name in {"sha256", *digests}}
        byte_count, waiting, pieces = 0, 0, list[bytes]()
        async for piece in _patient(body, self._idle_seconds):
            byte_count += len(piece)
            self._check_size(byte_count)
            pieces.append(piece)
            waiting += len(piece)
            if waiting >= _WRITE_BYTES:
                await asyncio.to_thread(_keep, path, pieces, hashes.values())
                pieces, waiting = [], 0
        _keep(None, pieces, hashes.values())
        domain.check_digests(digests, {name: found.digest() for name, found in hashes.items()})
        return Arrived(hashes["sha256"].hexdigest(), byte_count, tuple(pieces))

    def _read(self, place: Place, resource: ResourceSnapshot, batch_id: UUID, declared: Declaration, arrived: Arrived) -> commands.Pushed:
        """Read a body into columns and put them into the store, durably. Blocks: runs in a thread."""
        with room():
            path = place.body
            _keep(path, arrived.rest, ())
            if declared.coding is not None:
                inflate(path, declared.coding, place.file, max_bytes=self._inflated_max_bytes)
                path = place.file
            options = ReadOptions(
                needed=resource.key if declared.kind is BatchKind.DELETE else None,
                delimiter=declared.delimiter,
                encoding=declared.encoding,
                sheet=declared.sheet,
            )
            stored = store_batch(path, declared.media, resource.items, options=options, rows_to=place.rows, refused_to=place.refused)
            prefix = f"batches/{resource.resource_id}/{batch_id}"
            rows = self._put(f"{prefix}/rows", place.rows, stored.rows_sha256, stored.rows_count)
            refused = None
            if stored.refused_line_count:
                refused = self._put(f"{prefix}/refused", place.refused, sha256_of(place.refused), stored.refused_line_count)
        return commands.Pushed(
            batch_id=batch_id,
            kind=declared.kind,
            media_type=declared.media.value,
            body_sha256=arrived.sha256,
            body_byte_count=arrived.byte_count,
            rows=rows,
            refused=refused,
            refused_row_count=stored.refused_row_count,
        )

    def _put(self, prefix: str, path: Path, sha256: str, row_count: int) -> ObjectRef:
        """Put a file under its digest: pushes that race under one batch id must not write to each other's objects."""
        return self._objects.put_file(f"{prefix}-{sha256[:16]}.parquet", path, row_count=row_count)

    async def _enter(self, resource: ResourceSnapshot, pushed: commands.Pushed) -> tuple[store.Batch, bool]:
        async with self._database.autocommit.connect() as connection:
            row = await commands.receive(connection, resource, pushed, sign=self._sign, node=self._node, now=utc_now())
        if row is not None:
            return row, True
        async with self._database.sessions() as tx:
            first = await store.get(tx, pushed.batch_id)
        mine = {ref.key for ref in (pushed.rows, pushed.refused) if ref is not None}
        for key in mine - {document["key"] for document in (first.rows, first.refused) if document is not None}:
            await asyncio.to_thread(self._objects.delete, key)
        return await self._first(pushed.batch_id, domain.Identity(resource.resource_id, pushed.kind.value, pushed.body_sha256)), False

    async def _first(self, batch_id: UUID, again: domain.Identity) -> store.Batch:
        """Return the batch that has this id, if the push that comes again is the same. Raises: BatchConflict (409)."""
        async with self._database.sessions() as tx:
            first = await store.get(tx, batch_id)
        domain.check_repeat(batch_id, first.identity, again)
        return first


async def _patient(body: AsyncIterator[bytes], idle_seconds: float) -> AsyncIterator[bytes]:
    """Yield what comes; a connection that brings nothing holds no place on the disk for ever. Raises: BodyInterrupted (400)."""
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                piece = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            detail = f"the connection brought nothing for {idle_seconds:g} s; nothing was kept: push again with the same batch id"
            raise BodyInterrupted(detail) from None
        yield piece


def _measure(file: Path, digests: dict[str, bytes]) -> Arrived:
    """Hash a file that is there. Blocks. Raises: DigestMismatch (422)."""
    hashes = {name: hashlib.new(name) for name in {"sha256", *digests}}
    byte_count = 0
    with file.open("rb") as source:
        while piece := source.read(_WRITE_BYTES):
            byte_count += len(piece)
            for found in hashes.values():
                found.update(piece)
    domain.check_digests(digests, {name: found.digest() for name, found in hashes.items()})
    return Arrived(hashes["sha256"].hexdigest(), byte_count, ())


def _keep(path: Path | None, pieces: Sequence[bytes], hashes: Iterable[Any]) -> None:
    for piece in pieces:
        for found in hashes:
            found.update(piece)
    if path is not None:
        with room(), path.open("ab") as file:
            file.writelines(pieces)
