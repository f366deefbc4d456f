"""The events of exchange-svc: batches, requests, grants, deliveries and tables."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import DataItem, Level, OrganizationRef, SharingType, Snapshot
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_terms import Conditions, Masks, Terms

_SOURCE = "/exchange-svc"


class BatchKind(StrEnum):
    """How a batch applies to the resource's table."""

    APPEND = "append"
    UPSERT = "upsert"  # by business key
    DELETE = "delete"  # by business key; other items may be absent
    SNAPSHOT = "snapshot"  # the whole resource: what is missing is deleted


class ObjectRef(Snapshot):
    """An immutable object in the store."""

    key: str  # below the store's root
    sha256: str
    byte_count: int = Field(ge=0)
    row_count: int = Field(ge=0)


class BatchEvent(Event):
    """Something happened to a batch; order holds per resource."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.batch"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID
    batch_id: UUID
    resource_version: int
    provider: OrganizationRef
    kind: BatchKind


class BatchReceived(BatchEvent):
    """A file was taken in and its rows stored in columns.

    `rows` holds the rows that could be read and typed (a `row_` column, 1-based, and one column an item);
    `refused` the others, a row, item, rule, reason, value and record for each fault. received_count = rows.row_count + refused_row_count.
    """

    TYPE: ClassVar[str] = "dxmesh.exchange.batch.received.v1"
    received_at: datetime
    body_sha256: str
    body_byte_count: int
    media_type: str
    received_count: int
    rows: ObjectRef
    refused: ObjectRef | None = None
    refused_row_count: int = 0


class BatchAccepted(BatchEvent):
    """The batch, or its good part, is in force: accepted_count + quarantined_count = received_count."""

    TYPE: ClassVar[str] = "dxmesh.exchange.batch.accepted.v1"
    sequence: int = Field(ge=1, description="counts the accepted batches of the resource, without gaps")
    accepted_at: datetime
    received_count: int
    accepted_count: int
    quarantined_count: int
    rows: ObjectRef
    quarantine: ObjectRef | None = None
    view_ids: tuple[UUID, ...] = ()


class BatchRejected(BatchEvent):
    """The whole batch is refused: rejected_count = received_count."""

    TYPE: ClassVar[str] = "dxmesh.exchange.batch.rejected.v1"
    rejected_at: datetime
    received_count: int
    rejected_count: int
    reason: str
    quarantine: ObjectRef | None = None


class ViewSnapshot(Snapshot):
    """What of a resource leaves, and on which topic: a resource version with the granted items."""

    view_id: UUID
    resource_id: UUID
    resource_version: int
    items: tuple[str, ...]
    key: tuple[str, ...]
    topic: str
    schema_url: str
    into: tuple[DataItem, ...] = Field(
        default=(), description="items of a batch of an earlier version that are brought into this form; a row that cannot be is withheld"
    )
    where: Conditions = Field(default=(), description="only rows for which all of these hold leave")
    masks: Masks = Field(default=(), description="what is shown in place of an item's value")
    scope: UUID | None = Field(default=None, description="whose pseudonyms they are: the grant's")
    former_where: Conditions | None = Field(
        default=None,
        description="of an earlier batch, where changed terms take rows back: the filter until then. Rows that met it and do not meet"
        " `where` leave as deletions",
    )


class DispatchOrdered(Event):
    """An accepted batch is to be delivered to these views; dispatches of a resource are ordered as its batches were accepted.

    The delivery worker needs nothing else: one comes with each acceptance, and one for each earlier batch when a view is opened (backfill).
    """

    TYPE: ClassVar[str] = "dxmesh.exchange.dispatch.ordered.v1"
    TOPIC: ClassVar[str] = "dxmesh.exchange.dispatch"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID
    batch_id: UUID
    sequence: int
    kind: BatchKind
    rows: ObjectRef
    views: tuple[ViewSnapshot, ...] = Field(min_length=1)
    previous: ObjectRef | None = None  # reserved for what a snapshot replaces
    ordered_at: datetime


class DispatchEnded(Event):
    """A view with a filter closed: nothing is ordered for it any more, and what delivery keeps of its readers' keys is removed."""

    TYPE: ClassVar[str] = "dxmesh.exchange.dispatch.ended.v1"
    TOPIC: ClassVar[str] = "dxmesh.exchange.dispatch"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID
    view_id: UUID
    ended_at: datetime


class RequestEvent(Event):
    """Something happened to a sharing request."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.request"
    KEY: ClassVar[str] = "request_id"
    SOURCE: ClassVar[str] = _SOURCE
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider: OrganizationRef


class RequestSubmitted(RequestEvent):
    """A department asked for access (GDSR Art. 20)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.submitted.v1"
    items: tuple[str, ...]
    legal_basis: str
    scenario: str
    purpose: str
    sharing_type: SharingType
    submitted_at: datetime
    use_until: datetime | None = None
    approved_by: str | None = Field(default=None, description="the head of the requester who approved it")
    terms: Terms | None = Field(default=None, description="what is asked for beside the items")
    scenario_id: UUID | None = Field(default=None, description="the entry of the scenario list it rests on")
    use_purpose: UsePurpose | None = None
    demand_id: UUID | None = Field(default=None, description="the entry of the demand list it came from")


class RequestGranted(RequestEvent):
    """The provider agreed; the grant that follows carries the terms."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.granted.v1"
    decided_at: datetime
    decided_by: str
    reason: str | None = None
    scenario_id: UUID | None = Field(default=None, description="the approved scenario that granted it, without another look")


class RequestRefused(RequestEvent):
    """The provider refused, with reasons (GDSR Art. 21)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.refused.v1"
    decided_at: datetime
    decided_by: str
    reason: str


class GrantEvent(Event):
    """Something happened to a grant."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.grant"
    KEY: ClassVar[str] = "grant_id"
    SOURCE: ClassVar[str] = _SOURCE
    grant_id: UUID
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef


class GrantActivated(GrantEvent):
    """The requester may read; the view says what, the topic where; and who to whom, of which level and division, for what."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.activated.v1"
    view: ViewSnapshot
    use_until: datetime | None = None
    activated_at: datetime
    provider: OrganizationRef | None = None
    provider_level: Level | None = None
    requester_level: Level | None = None
    scenario: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    terms: Terms | None = None


class GrantTerminated(GrantEvent):
    """The grant is over (GDSR Art. 27)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.terminated.v1"
    reason: str
    terminated_at: datetime


class GrantChangeAnnounced(GrantEvent):
    """A version of the resource that breaks what the grant reads is coming; until then its rows come in both forms."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.change_announced.v1"
    version: int = Field(ge=1, description="the coming version")
    view: ViewSnapshot | None = Field(description="where rows come in the form of that version; null when none of the items stays")
    announced_at: datetime
    effective_at: datetime


class GrantMoved(GrantEvent):
    """The announced version is in force: the grant's rows come by this view alone, and the former topic has had its last."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.moved.v1"
    view: ViewSnapshot
    former_topic: str
    moved_at: datetime


class GrantChangeCalledOff(GrantEvent):
    """The announced version does not come: its topic, if there was one, gets no more; the grant's own view goes on as it was."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.change_called_off.v1"
    version: int = Field(ge=1, description="the version that was coming")
    topic: str | None = Field(description="the topic that gets no more rows")
    called_off_at: datetime


class Misfit(Snapshot):
    """How many rows of a batch have a value of an item that cannot be brought into the form of a later version."""

    item: str
    row_count: int


class DeliveryCompleted(Event):
    """One batch's rows are on one view's topic, all of them, once; commits in the Kafka transaction of the rows themselves.

    accepted_count = delivered_count + withheld_count + filtered_count. `first_offset` and `last_offset` are per partition of the topic, as
    [partition, first, last].
    """

    TYPE: ClassVar[str] = "dxmesh.exchange.delivery.completed.v1"
    TOPIC: ClassVar[str] = "dxmesh.exchange.delivery"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID
    batch_id: UUID
    sequence: int
    view_id: UUID
    topic: str
    ranges: tuple[tuple[int, int, int], ...]
    accepted_count: int
    delivered_count: int
    withheld_count: int = Field(default=0, description="rows of an earlier version that cannot be brought into the view's")
    misfits: tuple[Misfit, ...] = Field(default=(), description="why: a row counts once for each item that does not fit")
    filtered_count: int = Field(default=0, description="rows that the view's filter does not let out")
    vanished_count: int = Field(
        default=0, description="records beside the batch's rows: readers had these keys and a snapshot has them no more"
    )
    sha256: str  # over the delivered keys and values, in order: see exchange_svc.delivery
    completed_at: datetime
    mode: Literal["topic"] = "topic"


class TableAdvanced(Event):
    """The resource's Delta table has a new version that holds every batch up to `sequence`."""

    TYPE: ClassVar[str] = "dxmesh.exchange.table.advanced.v1"
    TOPIC: ClassVar[str] = "dxmesh.exchange.table"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = _SOURCE
    resource_id: UUID
    resource_version: int
    table_key: str  # the table's folder, below the store's root
    table_version: int
    sequence: int
    row_count: int
    advanced_at: datetime
