"""Checkpoints as signed notes (C2SP tlog-checkpoint and signed-note, Ed25519); no input or output."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dxmesh_schemas.audit import CheckpointPublished

_ED25519 = b"\x01"  # the signature type of signed-note
_NAME = re.compile(r"[^\s+]+")


@dataclass(frozen=True, slots=True)
class Head:
    """The tree at one moment."""

    size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class Signer:
    """The log's name and key: `origin` is both the checkpoint's first line and the name of the key."""

    origin: str
    key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.origin):
            raise ValueError(f"LOG__ORIGIN is {self.origin!r}; it must not be empty and must hold neither spaces nor '+'")

    @property
    def log_key(self) -> str:
        """Return the verifier key that readers of the log need: `<name>+<id>+<key>`."""
        public = self.key.public_key().public_bytes_raw()
        return f"{self.origin}+{key_id(self.origin, public).hex()}+{b64encode(_ED25519 + public).decode()}"

    def sign(self, head: Head) -> str:
        """Return the checkpoint: a signed note with one signature."""
        text = checkpoint_text(self.origin, head)
        signature = key_id(self.origin, self.key.public_key().public_bytes_raw()) + self.key.sign(text.encode())
        return f"{text}\n— {self.origin} {b64encode(signature).decode()}\n"

    def open(self, note: str) -> Head:
        """Return what a checkpoint of this log says. Raises: ValueError unless this key signed it and the origin is this log's."""
        text, _, signatures = note.rpartition("\n\n")
        text += "\n"
        public = self.key.public_key()
        for line in signatures.splitlines():
            if line.startswith(f"— {self.origin} "):
                signature = b64decode(line.rpartition(" ")[2], validate=True)
                if signature[:4] == key_id(self.origin, public.public_bytes_raw()) and _verifies(public, signature[4:], text.encode()):
                    return _parse(text, self.origin)
        raise ValueError(f"the checkpoint is not signed by the key of {self.origin} that is in use")


def key_id(name: str, public: bytes) -> bytes:
    """Return the four bytes that name a key. Source: C2SP signed-note, Ed25519."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def checkpoint_text(origin: str, head: Head) -> str:
    """Return the signed part: origin, size and root, a line each."""
    return f"{origin}\n{head.size}\n{b64encode(head.root_hash).decode()}\n"


def _verifies(public: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        public.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _parse(text: str, origin: str) -> Head:
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != origin:
        raise ValueError(f"the checkpoint is not one of {origin}")
    head = Head(int(lines[1]), b64decode(lines[2], validate=True))
    if checkpoint_text(origin, head) != text:
        raise ValueError("the checkpoint is not in its one written form")
    return head


def is_due(head: Head, *, signed_size: int | None, signed_at: datetime | None, now: datetime, every_seconds: float) -> bool:
    """Say whether the tree outgrew its last checkpoint and the pace allows another; the first one (of an empty tree too) is always due."""
    if signed_size is None or signed_at is None:
        return True
    return head.size > signed_size and now - signed_at >= timedelta(seconds=every_seconds)


def published(origin: str, head: Head, note: str, now: datetime) -> CheckpointPublished:
    """Return the event that tells of a checkpoint."""
    return CheckpointPublished(
        origin=origin, tree_size=head.size, root_hash=b64encode(head.root_hash).decode(), checkpoint=note, published_at=now
    )
