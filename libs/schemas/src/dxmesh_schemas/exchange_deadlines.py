"""How the deadlines of sharing stand: answers, deliveries, corrections, disposals, remedies, disputes (政务数据共享条例)."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event


class DeadlineEvent(Event):
    """How a deadline of sharing stands, in working days."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.deadline"
    KEY: ClassVar[str] = "clock_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    clock_id: UUID
    rule: str = Field(
        description="request_unconditional, request_conditional, delivery, correction, disposal, remedy, dispute_negotiation, …_decision"
    )
    source: str = Field(description="the article that sets the deadline")
    responsible: Literal["provider", "requester", "authority"]
    organization: OrganizationRef = Field(description="who owes it; where the data authority does, the provider it is about")
    resource_id: UUID
    resource_name: str
    request_id: UUID
    grant_id: UUID | None = None
    dispute_id: UUID | None = None
    correction_id: UUID | None = None
    reason: str
    started_on: date = Field(description="not counted (民法典 Art. 201)")
    days: int = Field(description="working days, without extension and pauses")
    extension_days: int = 0
    due_on: date = Field(description="the last day in time, in China")
    assumed_years: tuple[int, ...] = Field(default=(), description="years counted Monday to Friday, as their holidays are not announced")


class DeadlineApproaching(DeadlineEvent):
    """A deadline is near its end."""

    TYPE: ClassVar[str] = "dxmesh.exchange.deadline.approaching.v1"
    days_left: int


class DeadlineMissed(DeadlineEvent):
    """A deadline passed; what was owed was not done in time."""

    TYPE: ClassVar[str] = "dxmesh.exchange.deadline.missed.v1"
    missed_at: datetime
    met_at: datetime | None = Field(default=None, description="when it was done late, if it is done")


class DeadlineEscalated(DeadlineEvent):
    """What is still owed behind its deadline is taken to the chief data officer of who owes it, and then to the data authority."""

    TYPE: ClassVar[str] = "dxmesh.exchange.deadline.escalated.v1"
    level: Literal["chief_data_officer", "data_authority"]
    missed_at: datetime
    overdue_days: int = Field(ge=0, description="working days behind the last one in time")
