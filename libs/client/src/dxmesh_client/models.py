"""What the services answer, as the client sees it; fields a newer service adds are kept."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """An answer: tolerant of what is new."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Token(Answer):
    """An access token (RFC 6749 section 5.1)."""

    access_token: str
    expires_in: float  # seconds


class Batch(Answer):
    """A batch and where it stands."""

    batch_id: UUID
    resource_id: UUID
    resource_version: int
    kind: str
    state: str
    body_sha256: str
    body_byte_count: int
    received_count: int
    refused_row_count: int
    received_at: datetime
    event_id: UUID
    acknowledgement: str
    accepted_count: int | None = None
    quarantined_count: int | None = None
    rejected_count: int | None = None
    sequence: int | None = None
    reason: str | None = None

    @property
    def is_decided(self) -> bool:
        """Say whether the rules have been run."""
        return self.state in ("accepted", "rejected")


class SharingRequest(Answer):
    """A sharing request and its answer."""

    request_id: UUID
    resource_id: UUID
    state: str
    reason: str | None = None
    grant_id: UUID | None = None


class Coming(Answer):
    """An announced version that breaks what a grant reads, and where its rows come already; no topic when none of the items stays."""

    version: int
    effective_at: datetime
    items: list[str]
    topic: str | None = None


class Grant(Answer):
    """A grant: which items may be read, and on which topic."""

    grant_id: UUID
    request_id: UUID
    resource_id: UUID
    state: str
    view_id: UUID
    items: list[str]
    topic: str
    coming: Coming | None = None


class Page(Answer):
    """A page of a list."""

    items: list[dict[str, Any]]
    next_cursor: str | None = None
