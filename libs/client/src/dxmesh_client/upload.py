"""Sending a file in parts over a link that may be cut (tus 1.0): what has arrived is not sent again, also by a later process."""

import base64
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from dxmesh_client.client import Client, media_of
from dxmesh_client.errors import ProblemAnswer, Unreachable
from dxmesh_client.models import Batch

_PART_BYTES = 4 << 20
_VERSION = {"Tus-Resumable": "1.0.0"}
_LOST = (404, 410)
_BUSY = (409, 423)
_LATER = (401, 403, 408, 429)  # refused for now: what has arrived stays
_PAUSE_SECONDS = 0.2


def upload(
    client: Client,
    resource_id: UUID,
    file: Path,
    *,
    batch_id: UUID,
    kind: str = "append",
    place: Path,
    patience_seconds: float = 60,
    part_bytes: int = _PART_BYTES,
    options: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Batch:
    """Send a file in parts and return its batch; `place` is where the upload's address is kept until it is whole.

    A cut is waited out for `patience_seconds` as long as nothing gets through; raised then, the next call goes on.
    Raises: ProblemAnswer, Unreachable.
    """
    length, since = file.stat().st_size, time.monotonic()
    offset = -1
    while True:
        try:
            url = _known(place) or _create(client, resource_id, file, batch_id, kind, place, options or {})
            begun = _offset(client, url)
            if begun > offset:
                offset, since = begun, time.monotonic()
            with file.open("rb") as source:
                while offset < length:
                    source.seek(offset)
                    part = source.read(part_bytes)
                    headers = _VERSION | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
                    answer = client.call("PATCH", url, headers=headers, content=part)
                    begun, since = int(answer.headers.get("Upload-Offset", "-1")), time.monotonic()
                    if begun <= offset:
                        raise Unreachable(f"{url} took {len(part)} bytes and did not say so: it is no service of a node, or one is between")
                    offset = begun
                    if progress is not None:
                        progress(len(part))
            place.unlink(missing_ok=True)
            return client.batch(batch_id)
        except ProblemAnswer as problem:
            if problem.status in _LOST and problem.slug in ("upload-not-found", "upload-expired", ""):
                place.unlink(missing_ok=True)
                offset = -1
            elif problem.slug not in ("upload-busy", "offset-conflict") and problem.status < 500:
                if problem.status not in _LATER:
                    place.unlink(missing_ok=True)
                raise
            failure: Exception = problem
            pause = float(problem.problem.get("retry_after_seconds", _PAUSE_SECONDS))
        except Unreachable as away:
            failure, pause = away, _PAUSE_SECONDS
        if time.monotonic() - since > patience_seconds:
            raise failure
        time.sleep(min(pause, patience_seconds))


def _known(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _create(client: Client, resource_id: UUID, file: Path, batch_id: UUID, kind: str, place: Path, options: Mapping[str, str]) -> str:
    media, encoding = media_of(file)
    given = {"resource_id": str(resource_id), "batch_id": str(batch_id), "kind": kind, "media_type": media, **options}
    if encoding:
        given["content_encoding"] = encoding
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in given.items())
    headers = _VERSION | {"Upload-Length": str(file.stat().st_size), "Upload-Metadata": metadata}
    answer = client.call("POST", f"{client.profile.exchange}/v1/uploads", headers=headers)
    url = str(answer.url.join(answer.headers["Location"]))
    keep(place, url.encode())
    return url


def _offset(client: Client, url: str) -> int:
    try:
        return int(client.call("HEAD", url, headers=_VERSION).headers["Upload-Offset"])
    except ProblemAnswer as bare:  # an answer to HEAD has no body that could say why
        if bare.status in _BUSY or bare.status >= 500:
            raise ProblemAnswer({**bare.problem, "type": "upload-busy"}) from bare
        state = client.call("GET", url).json()
        if state["problem"]:
            raise ProblemAnswer(state["problem"]) from bare
        raise


def keep(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with new.open("xb") as out:  # never through a link that somebody put there
        out.write(content)
    settle(new, path)


def settle(new: Path, path: Path) -> None:
    """Give a file that was written its name, durably."""
    sync(new)
    new.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Return once a file, or the names in a folder, outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
