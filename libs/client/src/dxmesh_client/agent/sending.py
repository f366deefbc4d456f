"""Sending one file as one batch: in parts when it is large, waited for, and told in one line."""

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from dxmesh_client.agent.config import Agent
from dxmesh_client.client import Client
from dxmesh_client.errors import ProblemAnswer, Unreachable
from dxmesh_client.models import Batch
from dxmesh_client.upload import upload

_TEXT = (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".json")
_SHOWN_ROWS = 1_000
_FILES_FAULT = (400, 413, 415, 422)
_NOT_THE_FILES = ("key-missing", "body-interrupted", "digest-mismatch", "tus-header", "part-unsupported")
_PATIENCE_SECONDS = 10  # then the job pauses, and goes on later: a stop is not kept waiting


def log(event: str, **facts: Any) -> None:
    """Say what happened, as one line of JSON on standard output; a line that cannot be written is not worth a batch."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    with suppress(OSError, ValueError):
        sys.stdout.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()


def shown(name: str) -> str:
    """Return a file's name as it can be shown and sent: what is no text or would not be seen is written out."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def is_text(file: Path) -> bool:
    """Say whether a file gets smaller when compressed."""
    return file.suffix.lower() in _TEXT


def is_fault_of_file(problem: ProblemAnswer) -> bool:
    """Say whether the node refused what a file holds; something on the way, which names no problem of the node, is mended elsewhere."""
    return problem.status in _FILES_FAULT and problem.slug not in ("", *_NOT_THE_FILES)


class Sender:
    """Sends the files of one job."""

    def __init__(self, client: Client, agent: Agent, job: str, resource_id: UUID) -> None:
        self._client, self._agent, self._job, self._resource_id = client, agent, job, resource_id
        self.last_batch_id: UUID | None = None
        self._uploads = agent.state / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)

    def begin_anew(self, batch_id: UUID) -> None:
        """Forget how much of a batch has arrived: its file was made again, and need not be the same byte for byte."""
        (self._uploads / f"{batch_id}.url").unlink(missing_ok=True)

    def has_arrived(self, batch_id: UUID) -> bool:
        """Say whether the node has a batch. Raises: ProblemAnswer, Unreachable."""
        try:
            self.last_batch_id = self._client.batch(batch_id).batch_id
        except ProblemAnswer as problem:
            if problem.status != 404:
                raise
            return False
        return True

    def send(self, file: Path, batch_id: UUID, kind: str, *, name: str) -> dict[str, Any]:
        """Send a file and return the report about its batch; the same again is the same batch.

        Raises: ProblemAnswer, Unreachable.
        """
        begun = time.monotonic()
        size = file.stat().st_size
        if size > self._agent.resumable_bytes:
            place = self._uploads / f"{batch_id}.url"
            batch = upload(
                self._client, self._resource_id, file, batch_id=batch_id, kind=kind, place=place, patience_seconds=_PATIENCE_SECONDS
            )
        else:
            batch, _ = self._client.push(self._resource_id, file, kind=kind, batch_id=batch_id)
        self.last_batch_id = batch.batch_id
        batch = self._decided(batch)
        report = batch.model_dump(mode="json") | {"job": self._job, "file": name, "quarantine": self._quarantine(batch)}
        log(
            "batch.rejected" if batch.state == "rejected" else "batch.sent",
            job=self._job,
            file=name,
            batch_id=batch.batch_id,
            kind=kind,
            state=batch.state,
            rows=batch.received_count,
            quarantined=batch.quarantined_count,
            bytes=size,
            seconds=round(time.monotonic() - begun, 3),
        )
        return report

    def _decided(self, batch: Batch) -> Batch:
        if batch.is_decided or not self._agent.wait_seconds:
            return batch
        try:
            return self._client.wait(batch.batch_id, seconds=self._agent.wait_seconds)
        except Unreachable:
            return batch

    def _quarantine(self, batch: Batch) -> list[dict[str, Any]]:
        if not (batch.quarantined_count or batch.refused_row_count):
            return []
        try:
            return [row for _, row in zip(range(_SHOWN_ROWS), self._client.quarantine(batch.batch_id), strict=False)]
        except (ProblemAnswer, Unreachable) as wrong:
            return [{"reason": f"the refused rows could not be read: {wrong}"}]
