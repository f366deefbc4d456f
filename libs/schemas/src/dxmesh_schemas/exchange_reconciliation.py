"""What comes of holding a provider's or requester's account against the node's (政务数据共享条例 Art. 26; X12)."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef, Snapshot
from dxmesh_schemas.event import Event


class Account(Snapshot):
    """What a window adds up to; sha256 is over one line a batch: see exchange_svc.reconciliation.domain.account."""

    batch_count: int = Field(ge=0)
    row_count: int = Field(ge=0)
    sha256: str


class DifferenceKind(StrEnum):
    """In what two accounts differ about a batch."""

    NOT_HERE = "not_here"  # told, and this node has it not
    NOT_TOLD = "not_told"  # this node has it, and it was not told
    OTHER_COUNT = "other_count"
    OTHER_CONTENT = "other_content"


class Difference(Snapshot):
    """One batch about which two accounts differ."""

    batch_id: UUID
    kind: DifferenceKind
    told_count: int | None
    held_count: int | None


class ReconciliationEvent(Event):
    """Something was reconciled; order holds per case."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.reconciliation"
    KEY: ClassVar[str] = "case_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    case_id: UUID
    side: Literal["provider", "requester"]
    resource_id: UUID
    grant_id: UUID | None = Field(description="of a requester's account")
    organization: OrganizationRef = Field(description="whose account it is")
    since: datetime
    until: datetime


class ReconciliationDiffered(ReconciliationEvent):
    """An account differs from what the node has; it is told again when a later account of the window differs otherwise."""

    TYPE: ClassVar[str] = "dxmesh.exchange.reconciliation.differed.v1"
    told: Account
    held: Account
    difference_count: int
    differences: tuple[Difference, ...] = Field(description="the first of them")
    found_at: datetime


class ReconciliationSettled(ReconciliationEvent):
    """The difference is gone, or explained."""

    TYPE: ClassVar[str] = "dxmesh.exchange.reconciliation.settled.v1"
    explanation: str
    settled_by: str
    settled_at: datetime
