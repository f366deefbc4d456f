"""The staging folder: where a body lies while it arrives and is read; nothing of a push that failed, or of a dead process, stays there."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from polars.exceptions import PolarsError

from exchange_svc.batch.errors import StorageFull

_LOCK = "lock"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one push, side by side under one name: a folder for each would cost more than reading a small body."""

    name: Path

    @property
    def body(self) -> Path:
        """The body as it arrived."""
        return self.name.with_suffix(".body")

    @property
    def file(self) -> Path:
        """The file the body holds, when it is compressed."""
        return self.name.with_suffix(".file")

    @property
    def rows(self) -> Path:
        """The rows, as Parquet."""
        return self.name.with_suffix(".rows")

    @property
    def refused(self) -> Path:
        """The refused lines, as Parquet."""
        return self.name.with_suffix(".refused")

    def clear(self) -> None:
        """Remove what is there."""
        for path in (self.body, self.file, self.rows, self.refused):
            path.unlink(missing_ok=True)


class Staging:
    """One process's part of the staging folder, held by a file lock as long as the process lives."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make a folder of our own below `root`, and remove those whose process is gone."""
        root.mkdir(parents=True, exist_ok=True)
        for left in root.iterdir():
            _remove_if_dead(left)
        folder = root / uuid4().hex
        folder.mkdir()
        lock = os.open(folder / "unlocked", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "unlocked").rename(folder / _LOCK)  # others see the file only once it is held
        return cls(folder, lock)

    def close(self) -> None:
        """Remove the folder and let go of it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Give the files of one push, none of them there yet; what is there at the end is removed, however that comes."""
        place = Place(self._folder / uuid4().hex)
        try:
            yield place
        finally:
            place.clear()


def _remove_if_dead(folder: Path) -> None:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:  # being made or removed by another process right now, or not ours at all
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


@contextmanager
def room() -> Iterator[None]:
    """Name a full disk for what it is. Raises: StorageFull (503)."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _full(error) from error
    except PolarsError as error:  # carries the system's error number in its text only
        if not any(f"(os error {number})" in str(error) for number in _FULL):
            raise
        raise _full(error) from error


def _full(error: Exception) -> StorageFull:
    return StorageFull(
        f"the node has no room left ({error}); nothing was kept: "
        "free space below STAGING__FOLDER and OBJECT_STORE__URL, then push again with the same batch id",
        retry_after_seconds=60,
    )
