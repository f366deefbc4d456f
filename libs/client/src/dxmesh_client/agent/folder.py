"""A folder that files are put into: each complete one becomes a batch, and moves to `done` or `failed` with a report beside it."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

from dxmesh_client.agent.config import FolderSource, Job
from dxmesh_client.agent.sending import Sender, compress, is_text, log
from dxmesh_client.client import media_of
from dxmesh_client.errors import ProblemAnswer
from dxmesh_client.upload import keep, sync

_BATCH_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680003")
_FILES_FAULT = (400, 413, 415, 422)
_HIDDEN = (".new", ".part", ".tmp", ".crdownload", ".swp")


class FolderJob:
    """The files of one folder."""

    def __init__(self, job: Job, source: FolderSource, sender: Sender, state: Path) -> None:
        self._job, self._source, self._sender = job, source, sender
        self._spool = state / "spool"
        self._spool.mkdir(parents=True, exist_ok=True)
        for name in ("done", "failed"):
            (source.path / name).mkdir(parents=True, exist_ok=True)

    def step(self) -> bool:
        """Send the oldest complete file; say whether there was one. Raises: ProblemAnswer, Unreachable, and the file stays."""
        for file in self._complete():
            self._send(file)
            return True
        return False

    def _complete(self) -> Iterator[Path]:
        found = []
        for file in self._source.path.glob(self._source.pattern):
            if not file.is_file() or file.name.startswith(".") or file.suffix in _HIDDEN or file.name.endswith(self._source.marker or "\0"):
                continue
            state = file.stat()
            if self._source.marker:
                ready = file.with_name(file.name + self._source.marker).exists()
            else:
                ready = time.time() - max(state.st_mtime, state.st_ctime) >= self._source.stable_seconds
            if ready:
                found.append((state.st_mtime_ns, file.name, file))
        for _, _, file in sorted(found):
            yield file

    def _send(self, file: Path) -> None:
        """Send a file. The batch's id is made of name, time and content, so a file that is met again after a kill is the same batch."""
        state = file.stat()
        with file.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        kind = self._job.kind or "append"
        batch_id = uuid5(_BATCH_IDS, f"{self._job.resource_id}/{kind}/{file.name}/{state.st_mtime_ns}/{digest}")
        packed = self._spool / f"{batch_id}{file.suffix.lower()}.zst"
        try:
            media_of(file)
            sent = file
            if is_text(file):
                if not packed.exists():
                    compress(file, packed)
                sent = packed
            report = self._sender.send(sent, batch_id, kind, name=file.name)
            folder = "failed" if report["state"] == "rejected" else "done"
        except ValueError as wrong:
            report, folder = {"job": self._job.name, "file": file.name, "error": str(wrong)}, "failed"
        except ProblemAnswer as problem:
            if problem.status not in _FILES_FAULT or problem.slug == "key-missing":
                raise
            report, folder = {"job": self._job.name, "file": file.name, "batch_id": str(batch_id), "problem": problem.problem}, "failed"
        if folder == "failed":
            log("file.failed", job=self._job.name, file=file.name, batch_id=batch_id, reason=report.get("reason") or report.get("error"))
        self._put_away(file, folder, report, batch_id)
        packed.unlink(missing_ok=True)

    def _put_away(self, file: Path, folder: str, report: dict[str, object], batch_id: UUID) -> None:
        """Write the report, then move the file: whoever finds the file there finds its report."""
        target = self._source.path / folder / file.name
        if target.exists():
            target = target.with_name(f"{file.stem}.{batch_id}{file.suffix}")
        keep(target.with_name(target.name + ".report.json"), json.dumps(report, ensure_ascii=False, indent=2, default=str).encode() + b"\n")
        file.replace(target)
        if self._source.marker:
            file.with_name(file.name + self._source.marker).unlink(missing_ok=True)
        sync(target.parent)
        sync(file.parent)
