"""Rules of uploads: the headers of tus 1.0, and how long an upload is waited for."""

import base64
import binascii
import hashlib
import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from exchange_svc.upload.errors import ChecksumMismatch, HeaderUnreadable

VERSION = "1.0.0"
EXTENSIONS = "creation,termination,expiration,checksum"
ALGORITHMS = ("sha1", "sha256", "sha512", "md5")
MAX_METADATA = 8192
_COUNT = re.compile(r"[0-9]{1,15}")


class State(StrEnum):
    """Where an upload is on its way."""

    ARRIVING = "arriving"
    TAKEN = "taken"  # its batch is entered
    REFUSED = "refused"


def count_of(header: str | None, name: str) -> int:
    """Return the number of bytes a header tells. Raises: HeaderUnreadable (400)."""
    if header is None or _COUNT.fullmatch(header) is None:
        raise HeaderUnreadable(f"{name}: {header!r} is not a number of bytes; send it with every such request (tus 1.0)")
    return int(header)


def metadata_of(header: str | None) -> dict[str, str]:
    """Read Upload-Metadata: pairs of a key and a base64 value, by comma. Raises: HeaderUnreadable (400).

    Source: tus 1.0, Creation.
    """
    if len(header or "") > MAX_METADATA:
        raise HeaderUnreadable(f"Upload-Metadata has {len(header or '')} characters; at most {MAX_METADATA} are read")
    found: dict[str, str] = {}
    for pair in (header or "").split(","):
        if not pair.strip():
            continue
        key, _, encoded = pair.strip().partition(" ")
        try:
            value = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, ValueError) as wrong:
            raise HeaderUnreadable(f"Upload-Metadata: the value of {key!r} is not base64 of UTF-8 text ({wrong})") from wrong
        if key in found:
            raise HeaderUnreadable(f"Upload-Metadata: {key!r} is given twice; give it once")
        found[key] = value
    return found


class Checksum:
    """The announced checksum of a part, and that of what comes."""

    def __init__(self, name: str, wanted: bytes) -> None:
        self._name, self._wanted, self._found = name, wanted, hashlib.new(name, usedforsecurity=False)

    @classmethod
    def of(cls, header: str | None) -> "Checksum | None":
        """Read Upload-Checksum; None without one. Raises: HeaderUnreadable (400). Source: tus 1.0, Checksum."""
        if header is None:
            return None
        name, _, encoded = header.strip().partition(" ")
        if name not in ALGORITHMS:
            raise HeaderUnreadable(f"Upload-Checksum: {name!r} is not one of {', '.join(ALGORITHMS)}")
        try:
            return cls(name, base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError) as wrong:
            raise HeaderUnreadable(f"Upload-Checksum: what follows {name} is not base64 ({wrong})") from wrong

    def update(self, piece: Any) -> None:
        """Take in what came."""
        self._found.update(piece)

    def check(self) -> None:
        """Compare. Raises: ChecksumMismatch (460)."""
        if self._found.digest() != self._wanted:
            raise ChecksumMismatch(
                f"Upload-Checksum: {self._name} of the part is {self._found.hexdigest()}, announced was {self._wanted.hex()}: "
                "it was changed on its way and was not kept; send it again from the same offset"
            )


def expiry(now: datetime, term_seconds: int) -> datetime:
    """Return until when an upload that was touched now is waited for."""
    return now + timedelta(seconds=term_seconds)
