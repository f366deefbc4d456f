"""The events of audit-svc, and the receipt that anyone can verify offline."""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from dxmesh_schemas.event import Event


class CheckpointPublished(Event):
    """The log has a new signed checkpoint (C2SP tlog-checkpoint); this topic itself is not logged, or the log would never rest."""

    TYPE: ClassVar[str] = "dxmesh.audit.checkpoint.published.v1"
    TOPIC: ClassVar[str] = "dxmesh.audit.checkpoint"
    KEY: ClassVar[str] = "origin"
    SOURCE: ClassVar[str] = "/audit-svc"
    origin: str
    tree_size: int
    root_hash: str  # base64, as in the checkpoint
    checkpoint: str
    published_at: datetime


class Receipt(BaseModel):
    """Proof that an event is in the log: verified offline with the log's public key.

    leaf hash = SHA-256(0x00 || entry) (RFC 6962 section 2.1); `entry` commits to the payload by its SHA-256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "dxmesh-receipt-v1"
    entry: str  # base64 of the leaf's bytes
    payload: str  # base64 of the event's bytes as they travelled
    index: int
    tree_size: int
    proof: tuple[str, ...]  # base64 hashes, leaf to root
    checkpoint: str  # signed note (C2SP signed-note)
