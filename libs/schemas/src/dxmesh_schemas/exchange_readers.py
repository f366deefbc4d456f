"""The events of exchange-svc about readers: who was given a user on the broker, and who lost it."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event


class ReaderEvent(Event):
    """Something happened to the Kafka user of a requester's information system; what it may read follows from the grants."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.reader"
    KEY: ClassVar[str] = "reader_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    reader_id: UUID
    organization: OrganizationRef
    user_name: str = Field(description="the Kafka user")


class ReaderRegistered(ReaderEvent):
    """A steward had a reader made for an information system."""

    TYPE: ClassVar[str] = "dxmesh.exchange.reader.registered.v1"
    system_id: UUID | None = None
    registered_by: str
    registered_at: datetime


class ReaderRotated(ReaderEvent):
    """A reader has a new password; the old one opens no connection any more."""

    TYPE: ClassVar[str] = "dxmesh.exchange.reader.rotated.v1"
    rotated_by: str
    rotated_at: datetime


class ReaderRevoked(ReaderEvent):
    """A reader is gone: Kafka refuses it."""

    TYPE: ClassVar[str] = "dxmesh.exchange.reader.revoked.v1"
    revoked_by: str
    revoked_at: datetime
