"""The events of the catalogue's deadlines: each is told at most once per clock."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event


class DeadlineEvent(Event):
    """How a deadline of the catalogue stands, in working days."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.deadline"
    KEY: ClassVar[str] = "clock_id"
    SOURCE: ClassVar[str] = "/catalog-svc"
    clock_id: UUID
    rule: str = Field(description="catalogue_update, catalogue_review or arbitration")
    source: str = Field(description="the article that sets the deadline")
    responsible: Literal["provider", "authority"]
    organization: OrganizationRef = Field(description="whose entry it is about")
    resource_id: UUID | None = None
    resource_name: str | None = None
    case_id: UUID | None = Field(default=None, description="the arbitration case, where the deadline is that of one")
    reason: str
    started_on: date = Field(description="not counted (民法典 Art. 201)")
    days: int = Field(description="working days, without the extension")
    extension_days: int = 0
    due_on: date = Field(description="the last day in time, in China")
    assumed_years: tuple[int, ...] = Field(default=(), description="years counted Monday to Friday, as their holidays are not announced")


class DeadlineApproaching(DeadlineEvent):
    """A deadline is near its end."""

    TYPE: ClassVar[str] = "dxmesh.catalog.deadline.approaching.v1"
    days_left: int


class DeadlineMissed(DeadlineEvent):
    """A deadline passed; what was owed was not done in time."""

    TYPE: ClassVar[str] = "dxmesh.catalog.deadline.missed.v1"
    missed_at: datetime
    met_at: datetime | None = Field(default=None, description="when it was done late, if it is done")
