"""Disputes about refused and unanswered requests (政务数据共享条例 Art. 28)."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event

Rung = Literal["negotiation", "authority", "upper_authority", "government"]


class DisputeEvent(Event):
    """Something happened in a dispute about a sharing request."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.dispute"
    KEY: ClassVar[str] = "dispute_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    dispute_id: UUID
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider: OrganizationRef
    rung: Rung = Field(description="before whom it is")


class DisputeOpened(DisputeEvent):
    """The requester disputes a refusal, or that its request was not answered in time; the two negotiate."""

    TYPE: ClassVar[str] = "dxmesh.exchange.dispute.opened.v1"
    reason: str
    due_on: date = Field(description="the last day for the provider's answer, in China")
    opened_at: datetime


class DisputeTakenFurther(DisputeEvent):
    """The requester takes the dispute to the next body."""

    TYPE: ClassVar[str] = "dxmesh.exchange.dispute.taken_further.v1"
    division_code: str = Field(description="of whose body it is: the division both sides are of; empty for the nation")
    reason: str
    due_on: date = Field(description="the last day for the decision, in China")
    taken_at: datetime


class DisputeDecided(DisputeEvent):
    """The dispute was answered: the request is granted, or its refusal upheld."""

    TYPE: ClassVar[str] = "dxmesh.exchange.dispute.decided.v1"
    outcome: Literal["granted", "upheld"]
    reason: str
    decided_by: str
    document: str | None = Field(default=None, description="the number of the decision, where another body than this node's made it")
    further_until: date | None = Field(default=None, description="the last day to take it further, in China; None: it is for good")
    decided_at: datetime


class DisputeWithdrawn(DisputeEvent):
    """The requester disputes no more."""

    TYPE: ClassVar[str] = "dxmesh.exchange.dispute.withdrawn.v1"
    reason: str
    withdrawn_at: datetime
