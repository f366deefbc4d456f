"""The events of catalog-svc about who is the source of a data element (一数一源)."""

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.event import Event

_SOURCE = "/catalog-svc"


class SourceEvent(Event):
    """An item's standing as its division's source of a data element changed (GDSR Art. 19)."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.source"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID
    item: str
    item_name: str
    claim_id: UUID
    organization_id: UUID
    division_code: str


class SourceAssigned(SourceEvent):
    """An item became its division's source of a data element."""

    TYPE: ClassVar[str] = "dxmesh.catalog.source.assigned.v1"
    assigned_at: datetime
    case_id: UUID | None = Field(default=None, description="the arbitration that named it, if one did")


class SourceReleased(SourceEvent):
    """An item is the source no more; another may claim the data element."""

    TYPE: ClassVar[str] = "dxmesh.catalog.source.released.v1"
    reason: str
    released_at: datetime


class ArbitrationEvent(Event):
    """Something happened in a case about a data element's source."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.arbitration"
    KEY: ClassVar[str] = "case_id"
    SOURCE: ClassVar[str] = _SOURCE
    case_id: UUID


class ArbitrationOpened(ArbitrationEvent):
    """An item that was refused as a source is before the data authority."""

    TYPE: ClassVar[str] = "dxmesh.catalog.arbitration.opened.v1"
    division_code: str
    claimant_organization_id: UUID
    claimant_resource_id: UUID
    claimant_item: str
    holder_organization_id: UUID
    holder_resource_id: UUID
    holder_item: str
    opened_at: datetime
    due_on: date | None = Field(default=None, description="the last day in time for the decision, in China")


class ArbitrationDecided(ArbitrationEvent):
    """The authority, or on objection its people's government, named the source or found two different data elements (`distinct`)."""

    TYPE: ClassVar[str] = "dxmesh.catalog.arbitration.decided.v1"
    outcome: str = Field(description="claimant, holder or distinct")
    reason: str
    source_organization_id: UUID
    source_resource_id: UUID
    source_item: str
    decided_at: datetime
    objection_until: date | None = Field(default=None, description="the last day to object to it, in China; None: it is for good")
    document: str | None = Field(default=None, description="the people's government's decision, where that decided")


class ArbitrationObjected(ArbitrationEvent):
    """The side a decision went against objects in time: the case goes to the people's government, the decision stands meanwhile."""

    TYPE: ClassVar[str] = "dxmesh.catalog.arbitration.objected.v1"
    organization_id: UUID
    reason: str
    objected_at: datetime
    due_on: date = Field(description="the last day in time for the answer, in China")


class ArbitrationClosed(ArbitrationEvent):
    """A case ended without another decision."""

    TYPE: ClassVar[str] = "dxmesh.catalog.arbitration.closed.v1"
    state: str = Field(description="withdrawn by the claimant; lapsed, as one of the items is gone; settled: the decision stands for good")
    reason: str
    closed_at: datetime
