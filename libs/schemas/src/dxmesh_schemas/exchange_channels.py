"""Channels by which rows come: agents' jobs, and those from before the node until they are consolidated."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event


class ChannelEvent(Event):
    """Something happened to a channel of an organization."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.channel"
    KEY: ClassVar[str] = "channel_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    channel_id: UUID
    organization: OrganizationRef
    kind: str = Field(description="folder or table: an agent's job; legacy: from before the node")
    name: str
    transport: str | None = Field(default=None, description="what one from before the node is: FTP, front-end database, …")
    resource_id: UUID | None = Field(default=None, description="what its rows belong to, if that is said")
    state: str = Field(description="working or failing; to_consolidate, consolidated or retired")
    reason: str | None = Field(default=None, description="why, or what an agent says of it")


class ChannelEntered(ChannelEvent):
    """A channel is in the inventory: a job reported for the first time, or one from before the node was entered."""

    TYPE: ClassVar[str] = "dxmesh.exchange.channel.entered.v1"
    entered_at: datetime


class ChannelMoved(ChannelEvent):
    """A channel is in another state: a job fails or works again, one from before the node goes on to its end."""

    TYPE: ClassVar[str] = "dxmesh.exchange.channel.moved.v1"
    former_state: str
    moved_at: datetime
