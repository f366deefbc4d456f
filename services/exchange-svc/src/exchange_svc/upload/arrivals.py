"""The way of an upload: created, continued part by part, and, once whole, taken in as a push of the same bytes would be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog

from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Database, utc_now, uuid7
from dxmesh_schemas.problem import Problem
from exchange_svc.batch.errors import BodyInterrupted, BodyTooLarge
from exchange_svc.batch.intake import Intake
from exchange_svc.upload import domain, store
from exchange_svc.upload.domain import Checksum, State
from exchange_svc.upload.errors import OffsetConflict, UploadBusy, UploadExpired, UploadNotFound, UploadRefused, UploadsTooMany
from exchange_svc.upload.metadata import UploadMetadata
from exchange_svc.upload.parts import Part, Parts

log = structlog.get_logger(__name__)
_WRITE_BYTES = 256 << 10  # so much is lost at most when the process is killed
_SILENT_SECONDS = 2
_SWEPT_AT_ONCE = 500
_SWEEP_SECONDS = 60
Done = TypeVar("Done")


class Arrivals:
    """What taking in uploads needs: the way of pushes, and a folder beside it."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        folder: Path,
        *,
        term_seconds: int,
        idle_seconds: float,
        max_open: int,
        max_open_bytes: int,
    ) -> None:
        self._database = database
        self._intake = intake
        self._parts = Parts(folder)
        self._term_seconds = term_seconds
        self._idle_seconds = idle_seconds
        self._max_open = max_open
        self._max_open_bytes = max_open_bytes
        self._awaited: dict[UUID, tuple[asyncio.Timeout, float]] = {}  # the next bytes of an upload, and since when

    async def create(self, header: str, *, byte_count: int, by: Principal) -> store.Upload:
        """Begin an upload; one of no bytes is taken in at once. header: Upload-Metadata.

        Raises: HeaderUnreadable (400), MetadataInvalid (422), UnsupportedMedia (415), UploadsTooMany (429), StorageFull (503), and what
        a push that is refused before its body raises.
        """
        metadata = UploadMetadata.read(header)
        await self._intake.admit(metadata.resource_id, metadata.batch_id, metadata.declaration(byte_count), by=by)
        now = utc_now()
        row = store.Upload(
            upload_id=uuid7(),
            provider_id=by.own_organization,
            resource_id=metadata.resource_id,
            batch_id=metadata.batch_id,
            byte_count=byte_count,
            metadata_header=header,
            state=State.ARRIVING.value,
            problem=None,
            created_at=now,
            expires_at=domain.expiry(now, self._term_seconds),
        )
        async with self._database.sessions.begin() as tx:
            open_count, open_bytes = await store.arriving(tx, row.provider_id, now)
            if open_count >= self._max_open or open_bytes + byte_count > self._max_open_bytes:
                raise UploadsTooMany(
                    f"your organization has {open_count} unfinished uploads of {open_bytes} bytes in all; at most {self._max_open} of "
                    f"{self._max_open_bytes} bytes are held: finish or end some of them first",
                    retry_after_seconds=60,
                )
            tx.add(row)
            await tx.flush()
            await asyncio.to_thread(self._parts.create, row.upload_id)
        if not byte_count:
            await self.look(row.upload_id, by=by)
        return row

    async def find(self, upload_id: UUID, *, by: Principal) -> tuple[store.Upload, int]:
        """Return an upload and its offset. Raises: UploadNotFound (404), UploadExpired (410)."""
        async with self._database.sessions() as tx:
            row = await store.get(tx, upload_id, by.own_organization)
        if row.expires_at <= utc_now():
            raise UploadExpired(f"upload {upload_id} was not finished by {row.expires_at.isoformat()}; create it again")
        if row.state != State.ARRIVING:
            return row, row.byte_count
        return row, await asyncio.to_thread(self._parts.offset, upload_id)

    async def look(self, upload_id: UUID, *, by: Principal) -> tuple[store.Upload, int]:
        """Return an upload and its offset; one that is whole is taken in first, if that was cut short, so whole means entered.

        Raises: UploadNotFound (404), UploadExpired (410), UploadBusy (423), UploadRefused (422), and what a push raises.
        """
        row, offset = await self.find(upload_id, by=by)
        self._give_up_silent(upload_id)
        if row.state == State.REFUSED:
            raise _refused(row)
        if row.state == State.ARRIVING and offset == row.byte_count:
            with self._parts.held(upload_id) as part:
                await self._finish(row, part, by=by)
        return row, offset

    async def append(
        self, upload_id: UUID, offset: int, body: AsyncIterator[bytes], *, checksum: Checksum | None, by: Principal
    ) -> tuple[store.Upload, int]:
        """Write a part, durably, and take the file in with the last of them.

        Raises: UploadNotFound (404), UploadExpired (410), UploadBusy (423), OffsetConflict (409), BodyTooLarge (413),
        ChecksumMismatch (460), BodyInterrupted (400), StorageFull (503); with the last part what a push raises. Return it with its offset.
        """
        row, _ = await self.find(upload_id, by=by)
        if row.state != State.ARRIVING:
            if row.state == State.REFUSED:
                raise _refused(row)
            _check_offset(offset, row.byte_count)
            return row, row.byte_count
        self._give_up_silent(upload_id)
        with self._parts.held(upload_id) as part:
            _check_offset(offset, part.offset)
            await self._write(part, self._patient(upload_id, body), row.byte_count, checksum)
            async with self._database.sessions.begin() as tx:
                row.expires_at = domain.expiry(utc_now(), self._term_seconds)
                await store.change(tx, upload_id, expires_at=row.expires_at)
            if part.offset == row.byte_count:
                await self._finish(row, part, by=by)
            return row, part.offset

    async def _write(self, part: Part, body: AsyncIterator[bytes], byte_count: int, checksum: Checksum | None) -> None:
        begun = part.offset
        if checksum is not None:
            await _whole(part.mark)
        pieces, waiting = list[bytes](), 0
        try:
            async for piece in body:
                if part.offset + waiting + len(piece) > byte_count:
                    raise BodyTooLarge(
                        f"the upload has {byte_count} bytes and the part goes beyond them; send those that follow its offset",
                        max_bytes=byte_count - begun,
                    )
                if checksum is not None:
                    checksum.update(piece)
                pieces.append(piece)
                waiting += len(piece)
                if waiting >= _WRITE_BYTES:
                    full, pieces, waiting = pieces, [], 0
                    await _whole(part.write, full)
            if checksum is not None:
                checksum.check()
        except BaseException:
            if checksum is None:  # what came before the cut stays: it is what the upload goes on from
                part.write(pieces)
                part.sync()
            else:
                part.cut(begun)
            raise
        await _whole(part.write, pieces)
        await _whole(part.sync if checksum is None else part.keep)

    async def _patient(self, upload_id: UUID, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what comes; give up a connection that brings nothing, so that the upload can be continued over another."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds) as patience:
                    self._awaited[upload_id] = patience, clock()
                    piece = await anext(body)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise BodyInterrupted("the connection brought nothing any more; ask for the offset and go on from there") from None
            finally:
                del self._awaited[upload_id]
            yield piece

    def _give_up_silent(self, upload_id: UUID) -> None:
        """End a part whose connection is silent, now that its owner asks over another: it was cut, and only the sender knows it yet."""
        now = asyncio.get_running_loop().time()
        patience, since = self._awaited.get(upload_id, (None, now))
        if patience is not None and now - since >= _SILENT_SECONDS:
            patience.reschedule(now)

    async def _finish(self, row: store.Upload, part: Part, *, by: Principal) -> None:
        try:
            await self._intake.take(
                row.resource_id, row.batch_id, UploadMetadata.read(row.metadata_header).declaration(row.byte_count), part.path, by=by
            )
        except Problem as problem:
            if problem.status < 500:
                row.state, row.problem = State.REFUSED.value, problem.as_dict()
                await self._settle(row)
            raise
        row.state = State.TAKEN.value
        await self._settle(row)

    async def _settle(self, row: store.Upload) -> None:
        async with self._database.sessions.begin() as tx:
            await store.change(tx, row.upload_id, state=row.state, problem=row.problem)
        self._parts.remove(row.upload_id)

    async def terminate(self, upload_id: UUID, *, by: Principal) -> None:
        """End an upload and free what it held; a batch that was entered stays. Raises: UploadNotFound (404), UploadBusy (423)."""
        row, _ = await self.find(upload_id, by=by)
        await self._drop(row.upload_id)

    async def _drop(self, upload_id: UUID) -> None:
        try:
            with self._parts.held(upload_id):
                self._parts.remove(upload_id)
        except UploadNotFound:  # settled, or its disk is gone
            pass
        async with self._database.sessions.begin() as tx:
            await store.remove(tx, upload_id)

    async def sweep(self) -> int:
        """Remove uploads whose time is over; return how many. One that is being written is left for the next time."""
        async with self._database.sessions() as tx:
            expired = await store.list_expired(tx, utc_now(), limit=_SWEPT_AT_ONCE)
        swept = 0
        for upload_id in expired:
            try:
                await self._drop(upload_id)
            except UploadBusy:
                continue
            swept += 1
        return swept

    async def keep_swept(self) -> None:
        """Sweep once a minute until cancelled; a database that is away is waited for."""
        while True:
            try:
                if swept := await self.sweep():
                    log.info("uploads.swept", count=swept)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next minute tries again, and says so
                log.warning("uploads.not_swept", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS)


async def _whole(work: Callable[..., Done], *given: Any) -> Done:
    """Do something to a file in a thread, and come back only when it is done: a file that is let go of must not be written any more."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _check_offset(given: int, found: int) -> None:
    if given != found:
        raise OffsetConflict(
            f"Upload-Offset is {given}; the upload stands at {found}: ask for it with HEAD and go on from there", offset=found
        )


def _refused(row: store.Upload) -> UploadRefused:
    cause = row.problem or {}
    return UploadRefused(f"{cause.get('title')}: {cause.get('detail')}; correct the file and create a new upload", cause=cause)
