"""The events of catalog-svc about the lists that are kept: what is asked for, owed, not shared or opened, and wanted in a scenario."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import ItemCode, Level, OrganizationKind, OrganizationRef, Snapshot
from dxmesh_schemas.catalog_attributes import NonSharingBasis, UsePurpose
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_terms import Narrowing


class ScenarioRequesters(Snapshot):
    """Who may ask in a scenario: the organizations named, and those of one of the kinds and one of the levels; none named means any."""

    organization_ids: tuple[UUID, ...] = ()
    kinds: tuple[OrganizationKind, ...] = ()
    levels: tuple[Level, ...] = ()


class ScenarioData(Snapshot):
    """What may be asked for in a scenario: a resource, whole or some of its items, or every resource of a class."""

    resource_id: UUID | None = None
    items: tuple[ItemCode, ...] = Field(default=(), description="of the resource; all of its items when there are none")
    class_prefix: str | None = Field(default=None, description="the class path of its resources, or the beginning of it by whole parts")


class ScenarioTerms(Snapshot):
    """What a scenario authorizes once it is approved: who, for what, which data, and when."""

    purposes: tuple[UsePurpose, ...]
    requesters: ScenarioRequesters
    data: tuple[ScenarioData, ...]
    valid_from: date = Field(description="the first day, in China")
    valid_until: date = Field(description="the last day, in China")
    terms: Narrowing | None = Field(default=None, description="what it leaves of a request: rows, masks and ways; all of it without")


class ScenarioApproval(Snapshot):
    """Who approved a scenario as it stands: the data authority, or a provider for its own conditional resources."""

    role: Literal["authority", "provider"]
    organization_id: UUID | None = Field(default=None, description="the provider; null for the authority")
    approved_by: str
    approved_at: datetime


class ListEntryEvent(Event):
    """A snapshot of an entry of a kept list; the greatest revision is what it is now."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.list_entry"
    KEY: ClassVar[str] = "entry_id"
    SOURCE: ClassVar[str] = "/catalog-svc"
    entry_id: UUID
    kind: Literal["demand", "duty", "negative", "scenario"]
    revision: int = Field(ge=1, description="counts every change of the entry")
    owner: OrganizationRef
    name: str
    content: str = ""
    status: Literal["pending", "in_progress", "done", "cancelled", "in_force", "lifted"]
    due_on: date | None = None
    counterpart: OrganizationRef | None = Field(default=None, description="of a demand: the department that is asked")
    resource_id: UUID | None = None
    items: tuple[ItemCode, ...] = Field(default=(), description="the items of the resource it is about; all of it when there are none")
    system_id: UUID | None = None
    basis: NonSharingBasis | None = Field(default=None, description="of a negative entry: the provision it rests on")
    forbids: Literal["sharing", "opening"] | None = Field(
        default=None, description="of a negative entry; what is not shared is not opened either"
    )
    scenario: ScenarioTerms | None = Field(default=None, description="of a scenario entry: what it authorizes once it is approved")
    approvals: tuple[ScenarioApproval, ...] = Field(default=(), description="of the scenario as this snapshot says it")
    changed_at: datetime
    changed_by: str


class ListEntryEntered(ListEntryEvent):
    """An entry was entered into a list."""

    TYPE: ClassVar[str] = "dxmesh.catalog.list_entry.entered.v1"


class ListEntryChanged(ListEntryEvent):
    """An entry changed, was approved or taken up again; the snapshot is the new state."""

    TYPE: ClassVar[str] = "dxmesh.catalog.list_entry.changed.v1"


class ListEntryEnded(ListEntryEvent):
    """An entry came to its end: done, cancelled, or lifted."""

    TYPE: ClassVar[str] = "dxmesh.catalog.list_entry.ended.v1"
