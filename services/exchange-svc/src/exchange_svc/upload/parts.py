"""The bytes of uploads on disk: a file each, whose length is the upload's offset; they outlive the process that wrote them."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from exchange_svc.batch.staging import room
from exchange_svc.upload.errors import UploadBusy, UploadNotFound

_RETRY_SECONDS = 1


class Part:
    """One upload's file, held: nobody else writes it meanwhile."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._mark = _mark_of(path)
        if (verified := _verified(self._mark)) is not None:  # a part whose checksum was never compared is not kept
            self.cut(verified)
        self.offset = os.lseek(descriptor, 0, os.SEEK_END)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append. Raises: StorageFull (503), and nothing of these pieces is kept then."""
        try:
            with room():
                for piece in pieces:
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[os.write(self._descriptor, rest) :]
        except BaseException:
            os.ftruncate(self._descriptor, self.offset)
            os.lseek(self._descriptor, self.offset, os.SEEK_SET)
            raise
        self.offset += sum(map(len, pieces))

    def sync(self) -> None:
        """Return once what was written outlives a power cut."""
        with room():
            os.fsync(self._descriptor)

    def mark(self) -> None:
        """Note that what follows counts only once `keep` is called, whatever happens to this process."""
        new = self._mark.with_suffix(".new")
        with room():
            new.write_text(str(self.offset))
            _sync_path(new)
            new.replace(self._mark)  # there whole or not at all: an empty mark would take everything back
            _sync_path(self.path.parent)

    def keep(self) -> None:
        """Let what followed the mark count."""
        self.sync()
        self._mark.unlink(missing_ok=True)

    def cut(self, offset: int) -> None:
        """Take the file back to `offset`."""
        os.ftruncate(self._descriptor, offset)
        os.fsync(self._descriptor)
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        self.offset = offset
        self._mark.unlink(missing_ok=True)


class Parts:
    """The folder of uploads; a file in it is named by its upload."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, upload_id: UUID) -> Path:
        return self._folder / f"{upload_id}.part"

    def create(self, upload_id: UUID) -> None:
        """Make an upload's file, empty."""
        with room():
            self._path(upload_id).touch(exist_ok=False)
            _sync_path(self._folder)

    def offset(self, upload_id: UUID) -> int:
        """Return how many bytes of an upload are safe, now. Raises: UploadNotFound (404) when its file is not on this disk."""
        path = self._path(upload_id)
        try:
            _sync_path(path)
            size = path.stat().st_size
        except FileNotFoundError:
            raise _lost(upload_id) from None
        verified = _verified(_mark_of(path))
        return size if verified is None else min(size, verified)

    @contextmanager
    def held(self, upload_id: UUID) -> Iterator[Part]:
        """Hold an upload's file, also against other processes. Raises: UploadBusy (423), UploadNotFound (404)."""
        path = self._path(upload_id)
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            raise _lost(upload_id) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadBusy(
                    f"upload {upload_id} is being written or read by another request; ask for its offset and go on in a moment",
                    retry_after_seconds=_RETRY_SECONDS,
                ) from None
            if not path.exists():  # removed between opening and holding it
                raise _lost(upload_id)
            yield Part(path, descriptor)
        finally:
            os.close(descriptor)

    def remove(self, upload_id: UUID) -> None:
        """Remove what has arrived of an upload."""
        path = self._path(upload_id)
        _mark_of(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _mark_of(path: Path) -> Path:
    return path.with_suffix(".unverified")


def _verified(mark: Path) -> int | None:
    """Return the offset up to which a marked upload counts; None when all of it does."""
    try:
        return int(mark.read_text())
    except FileNotFoundError:
        return None


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lost(upload_id: UUID) -> UploadNotFound:
    return UploadNotFound(f"what had arrived of upload {upload_id} is not on this node's disk any more; create it again")
