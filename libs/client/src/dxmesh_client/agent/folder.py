"""A folder that files are put into: each complete one becomes a batch, and moves to `done` or `failed` with a report beside it."""

import hashlib
import json
import os
import stat
import time
from collections import deque
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid5

import cramjam

from dxmesh_client.agent.config import ConfigInvalid, FolderSource, Job
from dxmesh_client.agent.sending import Sender, is_fault_of_file, is_text, log, shown
from dxmesh_client.client import media_of
from dxmesh_client.errors import ProblemAnswer
from dxmesh_client.upload import keep, settle, sync

_BATCH_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680003")
_HIDDEN = (".new", ".part", ".tmp", ".crdownload", ".swp", ".filepart")
_PIECE_BYTES = 1 << 20
_MOST_NAME_BYTES = 180  # of 255: its report's name is longer


class Look(NamedTuple):
    """What tells a file from what it was: another one, or other content, looks otherwise."""

    inode: int
    size: int
    written_ns: int

    @classmethod
    def at(cls, state: os.stat_result) -> "Look":
        """Return how a file looks."""
        return cls(state.st_ino, state.st_size, state.st_mtime_ns)


class Found(NamedTuple):
    """A complete file, as it was found."""

    written_ns: int
    name: str
    look: Look


class FolderJob:
    """The files of one folder."""

    def __init__(self, job: Job, source: FolderSource, sender: Sender, state: Path) -> None:
        self._job, self._source, self._sender = job, source, sender
        self._spool = state / "spool" / job.name
        self._spool.mkdir(parents=True, exist_ok=True)
        self._waiting: deque[Found] = deque()  # complete files, oldest first
        self._growing: dict[str, tuple[Look, float]] = {}  # files that are not complete: how they look, and since when
        for name in ("done", "failed"):
            (source.path / name).mkdir(parents=True, exist_ok=True)
        for marker in source.path.glob(f"?*{source.marker}") if source.marker else ():
            if not marker.with_name(marker.name.removesuffix(source.marker or "")).exists():
                marker.unlink(missing_ok=True)  # left by a kill: the next file of that name is not complete by it

    def step(self) -> bool:
        """Send the oldest complete file; say whether there was one. Raises: ProblemAnswer, Unreachable, OSError, and the file stays."""
        if not self._waiting:
            self._waiting.extend(sorted(self._complete()))
        if not self._waiting:
            for left in self._spool.iterdir():  # of a file that was taken away or changed after it was packed
                left.unlink(missing_ok=True)
            return False
        try:
            self._send(self._waiting[0])
        except FileNotFoundError as gone:
            if (self._source.path / self._waiting[0].name).exists():
                raise
            log("file.gone", job=self._job.name, file=shown(self._waiting[0].name), error=str(gone))
        except BaseException:
            self._waiting.clear()  # what is oldest is looked up again
            raise
        self._waiting.popleft()
        return True

    def _complete(self) -> list[Found]:
        growing, found = self._growing, []
        self._growing = {}
        for entry in os.scandir(self._source.path):
            name = entry.name
            if (
                name.startswith(".")
                or name.endswith((*_HIDDEN, self._source.marker or "\0"))
                or not fnmatchcase(name, self._source.pattern)
            ):
                continue
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(state.st_mode):  # nor a link, which could lead to any file that this user may read
                continue
            look = Look.at(state)
            if self._source.marker:
                is_ready = (self._source.path / (name + self._source.marker)).exists()
            else:
                is_ready = self._is_stable(name, look, state.st_ctime, growing.get(name))
            if is_ready:
                found.append(Found(state.st_mtime_ns, name, look))
        return found

    def _is_stable(self, name: str, look: Look, changed_at: float, before: tuple[Look, float] | None) -> bool:
        """Say whether a file has not changed for long enough: by the clock when it is first seen, and then by how long it was watched,
        for a clock that is set makes files older or younger than they are."""
        now = time.monotonic()
        if before is None:
            is_stable = time.time() - changed_at >= self._source.stable_seconds
        else:
            is_stable = before[0] == look and now - before[1] >= self._source.stable_seconds
        if not is_stable:
            self._growing[name] = before if before is not None and before[0] == look else (look, now)
        return is_stable

    def _send(self, found: Found) -> None:
        """Send a file. The batch's id is made of name, time and content, so a file that is met again after a kill is the same batch."""
        file, kind = self._source.path / found.name, self._job.kind or "append"
        with self._open(file) as source:
            if Look.at(os.fstat(source.fileno())) != found.look:
                return self._changed(found)
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            name = f"{self._job.resource_id}/{kind}/{found.name}/{found.written_ns}/{digest}"
            batch_id = uuid5(_BATCH_IDS, name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
            try:
                media_of(file)
            except ValueError as wrong:
                return self._put_away(found, "failed", {"job": self._job.name, "file": shown(found.name), "error": str(wrong)}, batch_id)
            packed = self._spool / f"{batch_id}{_endings(file)}"
            if not packed.exists() and not self._pack(source, packed, digest, batch_id, compress=is_text(file)):
                return self._changed(found)
        try:
            report = self._sender.send(packed, batch_id, kind, name=shown(found.name))
            folder = "failed" if report["state"] == "rejected" else "done"
        except ProblemAnswer as problem:
            if not is_fault_of_file(problem):
                raise
            told = {"job": self._job.name, "file": shown(found.name), "batch_id": str(batch_id), "problem": problem.problem}
            report, folder = told, "failed"
        self._put_away(found, folder, report, batch_id)
        packed.unlink(missing_ok=True)
        return None

    def _open(self, file: Path) -> BufferedReader:
        return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")

    def _pack(self, source: BufferedReader, packed: Path, digest: str, batch_id: UUID, *, compress: bool) -> bool:
        """Lay down what is sent, compressed where that helps; say whether it is what was digested: what is in the folder may change."""
        self._sender.begin_anew(batch_id)
        made = packed.with_name(packed.name + ".new")
        compressor = cramjam.zstd.Compressor(3) if compress else None
        read = hashlib.sha256()
        source.seek(0)
        try:
            with made.open("wb") as out:
                while piece := source.read(_PIECE_BYTES):
                    read.update(piece)
                    out.write(piece if compressor is None else _compressed(compressor, piece))
                out.write(b"" if compressor is None else bytes(compressor.finish()))
            if read.hexdigest() == digest:
                settle(made, packed)
        finally:
            made.unlink(missing_ok=True)  # also where the disk is full
        return read.hexdigest() == digest

    def _changed(self, found: Found) -> None:
        """Leave a file that somebody still writes: it is complete when it does not change any more."""
        log("file.changed", job=self._job.name, file=shown(found.name))

    def _put_away(self, found: Found, folder: str, report: dict[str, object], batch_id: UUID) -> None:
        """Write the report, then move the file: whoever finds the file there finds its report."""
        file = self._source.path / found.name
        if folder == "failed":
            log(
                "file.failed",
                job=self._job.name,
                file=shown(found.name),
                batch_id=batch_id,
                reason=report.get("reason") or report.get("error") or report.get("problem"),
            )
        if Look.at(file.lstat()) != found.look:
            return self._changed(found)  # what is there now was not sent
        target = self._place(folder, file, batch_id)
        keep(target.with_name(target.name + ".report.json"), json.dumps(report, ensure_ascii=False, indent=2, default=str).encode() + b"\n")
        file.replace(target)
        if self._source.marker:
            file.with_name(file.name + self._source.marker).unlink(missing_ok=True)
        sync(target.parent)
        sync(file.parent)
        return None

    def _place(self, folder: str, file: Path, batch_id: UUID) -> Path:
        """Return where a file is put away: under its name, unless that is taken or too long for a report beside it."""
        kept = self._source.path / folder
        if kept.is_symlink():
            raise ConfigInvalid(f"{kept} is a link: files would be moved to where it leads; make it a folder")
        target = kept / file.name
        if len(os.fsencode(file.name)) > _MOST_NAME_BYTES:
            return kept / f"{batch_id}{file.suffix[:20]}"
        if target.exists() or target.with_name(target.name + ".report.json").exists():
            return kept / f"{file.stem}.{batch_id}{file.suffix}"
        return target


def _compressed(compressor: cramjam.zstd.Compressor, piece: bytes) -> bytes:
    compressor.compress(piece)
    return bytes(compressor.flush())


def _endings(file: Path) -> str:
    """Return the endings of what is sent for a file, by which its format is known."""
    ending = file.suffix.lower()
    if ending in (".gz", ".zst"):
        return Path(file.stem).suffix.lower() + ending
    return ending + (".zst" if is_text(file) else "")
