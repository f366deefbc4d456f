"""What is told of the use of shared APIs."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event


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
