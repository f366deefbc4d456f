"""The events of catalog-svc."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import (
    Contract,
    Level,
    Licence,
    Officer,
    OrganizationKind,
    OrganizationRef,
    ResourceSnapshot,
    Snapshot,
    SystemKind,
    SystemState,
    UpdateCycle,
)
from dxmesh_schemas.event import Event

_SOURCE = "/catalog-svc"


class OrganizationEvent(Event):
    """A snapshot of an organization."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.organization"
    KEY: ClassVar[str] = "organization_id"
    SOURCE: ClassVar[str] = _SOURCE
    organization_id: UUID
    uscc: str
    name: str
    level: Level
    division_code: str
    kind: OrganizationKind
    parent_id: UUID | None = None
    licence: Licence | None = None
    contract: Contract | None = None
    officers: tuple[Officer, ...] = Field(default=(), description="who holds an office now or will; ended terms are left out")


class OrganizationRegistered(OrganizationEvent):
    """An organization joined the node."""

    TYPE: ClassVar[str] = "dxmesh.catalog.organization.registered.v1"


class OrganizationChanged(OrganizationEvent):
    """An organization's entry changed; the snapshot is the new state."""

    TYPE: ClassVar[str] = "dxmesh.catalog.organization.changed.v1"


class OrganizationPaperLapsed(OrganizationEvent):
    """The licence of a public utility, or the contract of a social body, lapsed: nothing new of it comes in force; told once a paper."""

    TYPE: ClassVar[str] = "dxmesh.catalog.organization.paper_lapsed.v1"
    paper: Literal["licence", "contract"]
    valid_until: date = Field(description="the last day, in China, it was good")


class SystemEvent(Event):
    """A snapshot of an information system."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.system"
    KEY: ClassVar[str] = "system_id"
    SOURCE: ClassVar[str] = _SOURCE
    system_id: UUID
    organization_id: UUID
    name: str
    kind: SystemKind | None = None
    state: SystemState | None = None
    on_gov_cloud: bool | None = None
    is_main_system: bool = False
    sector: str | None = None


class SystemRegistered(SystemEvent):
    """An information system was entered."""

    TYPE: ClassVar[str] = "dxmesh.catalog.system.registered.v1"


class SystemChanged(SystemEvent):
    """A system's entry changed; the snapshot is the new state."""

    TYPE: ClassVar[str] = "dxmesh.catalog.system.changed.v1"


class ResourceEvent(Event):
    """Something happened to a data resource."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.resource"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID


class ResourcePublished(ResourceEvent):
    """The first version of a resource is in force."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.published.v1"
    resource: ResourceSnapshot


class ResourceChanged(ResourceEvent):
    """A later version of a resource is in force."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.changed.v1"
    resource: ResourceSnapshot


class ResourceWithdrawn(ResourceEvent):
    """A resource takes no more batches and gives no more grants."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.withdrawn.v1"
    reason: str
    withdrawn_at: datetime


class ResourceMountChanged(ResourceEvent):
    """How a resource's data are reached was declared, confirmed or taken away; the event says how it is from then on."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.mount_changed.v1"
    kind: Literal["replica", "proxy"] | None = Field(default=None, description="none: the mount was taken away")
    address: str | None = Field(default=None, description="of a proxy's service interface, for the node's services alone")
    confirmed_at: datetime | None = Field(default=None, description="when the data authority confirmed that the interface answers")
    changed_at: datetime


class ResourceStale(ResourceEvent):
    """A resource's newest data are older than its update cycle allows; told once for the same newest data."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.stale.v1"
    resource_code: str
    name: str
    provider: OrganizationRef
    steward: str | None = Field(default=None, description="the post that keeps the entry current")
    update_cycle: UpdateCycle
    evidence: Literal["batch", "version"] = Field(description="what the age is counted from: the newest batch, or without one the version")
    newest_at: datetime
    fresh_through: date = Field(description="the last day, in China, on which the newest data were current")


class ResourceSubmitted(ResourceEvent):
    """A draft waits for its department's approval; what it says is not told before it is published."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.submitted.v1"
    version: int = Field(ge=1, description="the version it is to become")
    revision: int
    provider: OrganizationRef
    submitted_at: datetime
    submitted_by: str


class ResourceApproved(ResourceEvent):
    """The department's head approved a draft (GDSR Art. 13); it waits for the data authority's review."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.approved.v1"
    version: int = Field(ge=1, description="the version it is to become")
    revision: int
    provider: OrganizationRef
    approved_at: datetime
    approved_by: str


class ResourceReturned(ResourceEvent):
    """A draft went back to its steward, with all its faults in one notice; an announced version is thereby called off."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.returned.v1"
    version: int = Field(ge=1, description="the version it was to become")
    revision: int
    provider: OrganizationRef
    reason: str
    fault_count: int
    was_announced: bool
    returned_at: datetime
    returned_by: str


class TouchedGrant(Snapshot):
    """A grant that a breaking change touches."""

    grant_id: UUID
    requester_id: UUID
    requester_name: str
    items: tuple[str, ...] = Field(description="its items that are removed, retyped or narrowed; all when the whole resource is touched")


class ResourceChangeAnnounced(ResourceEvent):
    """A breaking change of a resource in use comes in force later; until then the version in force stays so."""

    TYPE: ClassVar[str] = "dxmesh.catalog.resource.change_announced.v1"
    resource: ResourceSnapshot = Field(description="the coming version")
    effective_at: datetime
    announced_at: datetime
    broken_items: tuple[str, ...]
    breaks_all: bool = Field(default=False, description="every reader is touched: the key changes, or sharing gets stricter")
    grants: tuple[TouchedGrant, ...]


class CodeSetEvent(Event):
    """A code set, by its name."""

    TOPIC: ClassVar[str] = "dxmesh.catalog.code_set"
    KEY: ClassVar[str] = "name"
    SOURCE: ClassVar[str] = _SOURCE
    name: str
    version: int
    title: str


class CodeSetPublished(CodeSetEvent):
    """A version of a code set is in force; it carries all its codes (at most 20,000)."""

    TYPE: ClassVar[str] = "dxmesh.catalog.code_set.published.v1"
    codes: tuple[str, ...]
    organization_id: UUID | None = Field(default=None, description="whose it is; null for the node's own")


class CodeSetRetired(CodeSetEvent):
    """A code set is out of use: what its newest version checks goes on, no new item takes it, and no version follows."""

    TYPE: ClassVar[str] = "dxmesh.catalog.code_set.retired.v1"
    reason: str
    retired_at: datetime


class EditionPublished(Event):
    """A year's catalogue is published for good: what it holds, the SHA-256 of its content, and the node's signature over both."""

    TYPE: ClassVar[str] = "dxmesh.catalog.edition.published.v1"
    TOPIC: ClassVar[str] = "dxmesh.catalog.edition"
    KEY: ClassVar[str] = "year"
    SOURCE: ClassVar[str] = _SOURCE
    year: int
    title: str
    resource_count: int
    item_count: int
    shareable_item_count: int
    content_sha256: str
    content_byte_count: int
    signature: str
    published_at: datetime
