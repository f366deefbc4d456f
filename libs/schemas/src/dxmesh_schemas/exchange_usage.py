"""What is told of the use of shared data: calls of APIs by the hour, and what requesters record of it, and who falls behind."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef, Snapshot
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import GrantEvent
from dxmesh_schemas.exchange_terms import Mode


class ApiUsed(Event):
    """The calls of one hour to a resource's API by a grant; an event of the same hour, grant and API that comes later takes its place.

    api: `pull` gives rows, `verify` answers questions about them. A refused call gave nothing.
    """

    TOPIC: ClassVar[str] = "dxmesh.exchange.api"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    TYPE: ClassVar[str] = "dxmesh.exchange.api.used.v1"
    resource_id: UUID
    api: Literal["pull", "verify"]
    grant_id: UUID
    provider_id: UUID
    requester: OrganizationRef
    hour: datetime = Field(description="its beginning")
    call_count: int = Field(ge=0, description="calls that were answered")
    refused_count: int = Field(ge=0, description="calls that the grant's terms, state or rate refused")
    row_count: int = Field(ge=0, description="rows that were given out")
    question_count: int = Field(ge=0, description="questions that were answered")
    system_ids: tuple[UUID, ...] = Field(default=(), description="the requester's systems that named themselves")
    last_called_at: datetime


class Use(Snapshot):
    """What a requester did with shared data and what came of it (GDSR Art. 29); its scenario is the request's, its end the disposal's."""

    process: str = Field(description="in which business and how it was used")
    effect: str = Field(description="what came of it")
    storage: str = Field(description="where copies are kept, or that there are none")
    case_count: int | None = Field(default=None, description="cases that were handled with it")


class GrantUseRecorded(GrantEvent):
    """The requester recorded what it did with the data of a grant on some days; a record is not changed."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.use_recorded.v1"
    use_id: UUID
    first_on: date = Field(description="in China")
    last_on: date
    use: Use
    recorded_at: datetime


class GrantFellBehind(GrantEvent):
    """A subscriber has not had what came for longer than it may wait; told once, until it has caught up."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.fell_behind.v1"
    mode: Mode
    subscriber: str = Field(description="the consumer group, the subscription, or the system that pulls; empty where no system was named")
    waiting_since: datetime = Field(description="from when it could have had the first of what it has not had")
    limit_seconds: float = Field(description="for how long that may be")
    unread_batch_count: int = Field(ge=0, description="at least")
    unread_row_count: int = Field(ge=0, description="at least")
    found_at: datetime


class GrantCaughtUp(GrantEvent):
    """A subscriber that was behind waits for no more than half as long as it may; one that is gone is not told of."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.caught_up.v1"
    mode: Mode
    subscriber: str
    behind_since: datetime = Field(description="when it was told to be behind")
    found_at: datetime
