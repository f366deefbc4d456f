"""The Python SDK: what a department's program calls to push, ask, read and prove."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid5

import httpx
from pydantic import BaseModel

from dxmesh_client.config import Profile, load
from dxmesh_client.errors import BatchRejected, ProblemAnswer, Unreachable
from dxmesh_client.models import Batch, Grant, Page, SharingRequest, Token
from dxmesh_schemas.audit import Receipt

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".txt": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.stream",
    ".arrows": "application/vnd.apache.arrow.stream",
}
_ENCODINGS = {".gz": "gzip", ".zst": "zstd"}
_BATCH_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680001")
_CHUNK_BYTES = 1024 * 1024
_AGAIN = (httpx.TransportError,)
Found = TypeVar("Found")
Model = TypeVar("Model", bound=BaseModel)
Progress = Callable[[int], None]  # bytes sent since the last call


def media_of(path: Path) -> tuple[str, str | None]:
    """Return (media type, content encoding or None) by the file's name. Raises ValueError for an unknown ending."""
    encoding = _ENCODINGS.get(path.suffix.lower())
    name = Path(path.stem) if encoding else path
    media = MEDIA_TYPES.get(name.suffix.lower())
    if media is None:
        raise ValueError(f"{path.name}: the format is not known by its ending; it may be one of {', '.join(sorted(MEDIA_TYPES))}")
    return media, encoding


def batch_id_of(resource_id: UUID, kind: str, sha256: str) -> UUID:
    """Return the id under which the same file, for the same resource and kind, is always the same batch."""
    return uuid5(_BATCH_IDS, f"{resource_id}/{kind}/{sha256}")


class Client:
    """A connection to one node as one credential; use it as a context manager.

    GET and PUT are repeated while a service is away, for at most `patience_seconds` (the profile's when not given); both
    are safe to repeat.
    Raises: ProblemAnswer, Unreachable (see dxmesh_client.errors).
    """

    def __init__(self, profile: Profile | None = None, *, patience_seconds: float | None = None, timeout_seconds: float = 300) -> None:
        self.profile = profile or load()
        self._patience = self.profile.patience_seconds if patience_seconds is None else patience_seconds
        self._http = httpx.Client(timeout=httpx.Timeout(timeout_seconds, connect=5))
        self._token = ""
        self._token_until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- calls

    def token(self) -> str:
        """Return an access token, a new one when the last is about to end."""
        if time.monotonic() >= self._token_until:
            body = {"grant_type": "client_credentials"}
            auth = (self.profile.client_id, self.profile.client_secret)
            answer = self._repeat(lambda: self._http.post(f"{self.profile.catalog}/oauth/token", data=body, auth=auth))
            if answer.status_code != 200:
                raise ProblemAnswer(_problem_of(answer))
            found = _read(Token, answer)
            self._token = found.access_token
            self._token_until = time.monotonic() + max(found.expires_in - 60, 5)
        return self._token

    def call(self, method: str, url: str, *, repeat: bool | None = None, **options: Any) -> httpx.Response:
        """Send a request with the token; return a good answer. Raises ProblemAnswer, Unreachable."""
        headers: Mapping[str, str] = options.pop("headers", {})

        def send() -> httpx.Response:
            return self._http.request(method, url, headers={"Authorization": f"Bearer {self.token()}", **headers}, **options)

        answer = self._repeat(send) if repeat or (repeat is None and method in ("GET", "PUT")) else self._once(send)
        return self._good(answer)

    def _good(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 401:
            self._token_until = 0.0  # it was ended before its time: the next call asks for another
        if answer.is_error:
            raise ProblemAnswer(_problem_of(answer))
        return answer

    def _once(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return send()
        except _AGAIN as away:
            raise Unreachable(f"{_where(away)} does not answer: {away}; see `dxmesh doctor`") from away

    def _repeat(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        pause = 0.05
        while True:
            try:
                answer = send()
                if answer.status_code not in (502, 503, 504):
                    return answer
                failure: Exception = ProblemAnswer(_problem_of(answer))
            except _AGAIN as away:
                failure = Unreachable(f"{_where(away)} does not answer: {away}; see `dxmesh doctor`")
            if time.monotonic() + pause > deadline:
                raise failure
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    # --- batches

    def push(
        self,
        resource_id: UUID,
        file: Path,
        *,
        kind: str = "append",
        batch_id: UUID | None = None,
        media_type: str | None = None,
        options: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> tuple[Batch, bool]:
        """Send a file as a batch; return it and whether it is new (False: the node had it already, nothing changed).

        Without a batch_id the same file, kind and resource always make the same batch.
        """
        known, encoding = media_of(file) if media_type is None else (media_type, _ENCODINGS.get(file.suffix.lower()))
        digest = digest_of(file)
        identity = batch_id or batch_id_of(resource_id, kind, digest.hex())
        headers = {"Content-Type": known, "Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:"}
        headers["Content-Length"] = str(file.stat().st_size)
        if encoding:
            headers["Content-Encoding"] = encoding
        url = f"{self.profile.exchange}/v1/resources/{resource_id}/batches/{identity}"
        parameters = {"kind": kind, **(options or {})}

        def send() -> httpx.Response:
            authorized = {"Authorization": f"Bearer {self.token()}", **headers}
            return self._http.put(url, params=parameters, headers=authorized, content=_chunks(file, progress))

        answer = self._good(self._repeat(send))
        return _read(Batch, answer), answer.status_code == 201

    def batch(self, batch_id: UUID) -> Batch:
        """Return a batch."""
        return _read(Batch, self.call("GET", f"{self.profile.exchange}/v1/batches/{batch_id}"))

    def wait(self, batch_id: UUID, *, seconds: float = 60) -> Batch:
        """Return the batch once it is accepted or rejected. Raises Unreachable when that takes longer than `seconds`."""
        return self._until(lambda: self.batch(batch_id), lambda batch: batch.is_decided, seconds, f"batch {batch_id} is not decided")

    def push_and_wait(self, resource_id: UUID, file: Path, *, seconds: float = 300, **options: Any) -> Batch:
        """Send a file and return its batch once accepted. Raises BatchRejected with the reason."""
        batch, _ = self.push(resource_id, file, **options)
        batch = self.wait(batch.batch_id, seconds=seconds)
        if batch.state == "rejected":
            raise BatchRejected(f"batch {batch.batch_id} is rejected: {batch.reason}")
        return batch

    def quarantine(self, batch_id: UUID) -> Iterator[dict[str, Any]]:
        """Yield the refused rows of a batch: row, item, rule, reason, value, record."""
        return self._pages(f"{self.profile.exchange}/v1/batches/{batch_id}/quarantine")

    # --- requests and grants

    def request_access(self, resource_id: UUID, **fields: Any) -> SharingRequest:
        """Ask for access: legal_basis, scenario, purpose, approved_by; items, use_until and terms if wanted."""
        body = {"resource_id": str(resource_id), **fields}
        return _read(SharingRequest, self.call("POST", f"{self.profile.exchange}/v1/requests", json=body))

    def decide(self, request_id: UUID, outcome: str, *, approved_by: str, reason: str | None = None, **narrower: Any) -> SharingRequest:
        """Answer a request as its provider: `granted` or `refused`; a refusal needs a reason; the rest makes it narrower."""
        body = {"outcome": outcome, "reason": reason, "approved_by": approved_by, **narrower}
        url = f"{self.profile.exchange}/v1/requests/{request_id}/decision"
        return _read(SharingRequest, self.call("POST", url, json=body))

    def grant(self, grant_id: UUID) -> Grant:
        """Return a grant."""
        return _read(Grant, self.call("GET", f"{self.profile.exchange}/v1/grants/{grant_id}"))

    def rows(self, grant_id: UUID, *, limit: int = 10_000) -> Iterator[dict[str, Any]]:
        """Yield the rows of a grant's resource as they stood when the first page was asked for; numbers with a fraction as Decimal."""
        return self._pages(f"{self.profile.exchange}/v1/grants/{grant_id}/rows", {"limit": limit}, exact=True)

    # --- proof

    def receipt(self, event_id: UUID, *, seconds: float = 30) -> Receipt:
        """Return the receipt of an event once it is in the log; it appears within about a second."""
        url = f"{self.profile.audit}/v1/receipts/{event_id}"

        def ask() -> Receipt | None:
            try:
                return _read(Receipt, self.call("GET", url))
            except ProblemAnswer as problem:
                if problem.status == 404:
                    return None
                raise

        found = self._until(ask, lambda receipt: receipt is not None, seconds, f"event {event_id} is not in the log")
        assert found is not None
        return found

    def log_key(self) -> str:
        """Return the log's verifier key as the node shows it now; compare it with one had from elsewhere."""
        answer = self._repeat(lambda: self._http.get(f"{self.profile.audit}/v1/log-key"))
        if answer.is_error:
            raise ProblemAnswer(_problem_of(answer))
        return answer.text.strip()

    # --- lists

    def page(self, url: str, **parameters: Any) -> Page:
        """Return one page of a list."""
        return self._page(url, parameters)

    def _page(self, url: str, parameters: Mapping[str, Any], *, exact: bool = False) -> Page:
        """Return one page; exact: numbers with a fraction as Decimal, with every digit."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return _read(Page, self.call("GET", url, params=given, headers={"Accept": "application/json"}), exact=exact)

    def _pages(self, url: str, parameters: Mapping[str, Any] | None = None, *, exact: bool = False) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._page(url, {**(parameters or {}), "cursor": cursor}, exact=exact)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def _until(self, ask: Callable[[], Found], good: Callable[[Found], bool], seconds: float, missing: str) -> Found:
        deadline = time.monotonic() + seconds
        pause = 0.02
        while True:
            found = ask()
            if good(found):
                return found
            if time.monotonic() + pause > deadline:
                raise Unreachable(f"{missing} after {seconds:.0f} s; ask again later, nothing is lost")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)


def _read(kind: type[Model], answer: httpx.Response, *, exact: bool = False) -> Model:
    try:
        return kind.model_validate(answer.json(parse_float=Decimal)) if exact else kind.model_validate_json(answer.content)
    except ValueError as wrong:  # pydantic's is one
        raise Unreachable(f"{answer.url} is no service of a node: its answer is not a {kind.__name__}; correct the profile") from wrong


def digest_of(file: Path) -> bytes:
    """Return a file's SHA-256."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").digest()


def _chunks(file: Path, progress: Progress | None) -> Iterator[bytes]:
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk
            if progress is not None:
                progress(len(chunk))


def _where(error: httpx.TransportError) -> str:
    return str(error.request.url.copy_with(path="/", query=None)).rstrip("/")


def _problem_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = {}
    if isinstance(found, dict) and "error" in found and "title" not in found:  # RFC 6749 section 5.2
        found = {"type": found["error"], "title": "No token was given", "detail": found.get("error_description", found["error"])}
    if not isinstance(found, dict) or "title" not in found:
        found = {"title": f"{answer.url} answered {answer.status_code}", "detail": answer.text[:200]}
    return {"status": answer.status_code, **found}
