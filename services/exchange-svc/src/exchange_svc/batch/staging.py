"""The staging folder: where a body lies while it arrives and is read; nothing of a push that failed, or of a dead process, stays there."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from uuid import uuid4

from exchange_svc.batch.errors import StorageFull

_LOCK = "lock"
_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    def place(self) -> Iterator[Path]:
        """Give an empty folder for one push; it is removed at the end, however that comes."""
        folder = self._folder / uuid4().hex
        with room():
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


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
        raise StorageFull(
            f"the node has no room left ({os.strerror(error.errno or 0)}); nothing was kept: "
            "free space below STAGING__FOLDER and OBJECT_STORE__URL, then push again with the same batch id",
            retry_after_seconds=60,
        ) from error
