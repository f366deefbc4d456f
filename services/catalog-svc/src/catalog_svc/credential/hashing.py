"""Secrets at rest and their check: Argon2id off the event loop, and a short memory of what was right."""

import asyncio
import base64
import hmac
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from catalog_svc.credential.errors import TooManyChecks

ResultT = TypeVar("ResultT")
_RETRY_SECONDS = 1


class SecretChecks:
    """Checks client secrets without letting them fill the processor.

    Argon2id with 19 MiB and 2 passes (OWASP's floor, RFC 9106): about 20 ms and 19 MiB a check, at most `at_once` at a time and
    `waiting` in the queue. A secret found right is remembered for `fresh_seconds` as an HMAC under a key of this process over the
    client, the stored hash and the secret: neither secret nor a plain digest of it stays in memory, and a changed or revoked
    credential is never answered from it, because its row is read each time.
    """

    def __init__(self, *, fresh_seconds: float = 60, at_once: int = 2, waiting: int = 64, remembered: int = 4096) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
        self._decoy = f"$argon2id$v=19$m={19 * 1024},t=2,p=1${salt}${digest}"  # of no secret, and as much work to compare with
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}
        self._fresh_seconds, self._remembered = fresh_seconds, remembered
        self._slots, self._waiting, self._most = asyncio.Semaphore(at_once), 0, waiting + at_once

    async def hash(self, secret: str) -> str:
        """Return the encoded Argon2id hash of a secret. Raises: TooManyChecks (503)."""
        return await self._run(self._hasher.hash, secret)

    async def matches(self, client_id: str, secret: str, secret_hash: str | None) -> bool:
        """Say whether the secret belongs to the hash; without one (unknown client) the same work is done and the answer is no.

        Raises: TooManyChecks (503).
        """
        place = hmac.digest(self._key, "\0".join((client_id, secret_hash or "", secret)).encode(), "sha256")
        if secret_hash is not None and self._right.get(place, 0.0) > time.monotonic():
            return True
        right = await self._run(self._verify, secret_hash or self._decoy, secret) and secret_hash is not None
        if right:
            self._remember(place)
        return right

    def _verify(self, secret_hash: str, secret: str) -> bool:
        try:
            return self._hasher.verify(secret_hash, secret)
        except (VerificationError, InvalidHashError):
            return False

    def _remember(self, place: bytes) -> None:
        now = time.monotonic()
        if len(self._right) >= self._remembered:
            self._right = {key: until for key, until in self._right.items() if until > now}
            if len(self._right) >= self._remembered:
                self._right.clear()
        self._right[place] = now + self._fresh_seconds

    async def _run(self, work: Callable[..., ResultT], *arguments: str) -> ResultT:
        if self._waiting >= self._most:
            raise TooManyChecks("too many secrets wait to be checked; try again in a moment", retry_after_seconds=_RETRY_SECONDS)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1
