"""Sending one file as one batch: compressed, in parts when it is large, waited for, and told in one line."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import cramjam

from dxmesh_client.agent.config import Agent
from dxmesh_client.client import Client
from dxmesh_client.errors import ProblemAnswer, Unreachable
from dxmesh_client.models import Batch
from dxmesh_client.upload import upload

_PIECE_BYTES = 1 << 20
_TEXT = (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".json")
_SHOWN_ROWS = 1_000
_PATIENCE_SECONDS = 10  # then the job pauses, and goes on later: a stop is not kept waiting


def log(event: str, **facts: Any) -> None:
    """Say what happened, as one line of JSON on standard output."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    sys.stdout.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def is_text(file: Path) -> bool:
    """Say whether a file gets smaller when compressed."""
    return file.suffix.lower() in _TEXT


def compress(source: Path, target: Path) -> None:
    """Write a file's zstd; the target is there when it is whole."""
    made = target.with_name(target.name + ".new")
    compressor = cramjam.zstd.Compressor(3)
    with source.open("rb") as raw, made.open("wb") as out:
        while piece := raw.read(_PIECE_BYTES):
            compressor.compress(piece)
            out.write(bytes(compressor.flush()))
        out.write(bytes(compressor.finish()))
    made.replace(target)


class Sender:
    """Sends the files of one job."""

    def __init__(self, client: Client, agent: Agent, job: str, resource_id: UUID) -> None:
        self._client, self._agent, self._job, self._resource_id = client, agent, job, resource_id
        self.last_batch_id: UUID | None = None
        self._uploads = agent.state / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)

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
