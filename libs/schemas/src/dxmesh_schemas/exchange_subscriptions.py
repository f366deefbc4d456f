"""What becomes of subscriptions, by which a grant's rows are brought to its requester (政务数据共享条例 Art. 22)."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_terms import Mode


class SubscriptionEvent(Event):
    """Something happened to a subscription."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.subscription"
    KEY: ClassVar[str] = "subscription_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    subscription_id: UUID
    grant_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    mode: Mode


class SubscriptionOpened(SubscriptionEvent):
    """Rows are brought from now on; destination: where to, without anything secret."""

    TYPE: ClassVar[str] = "dxmesh.exchange.subscription.opened.v1"
    destination: str
    opened_at: datetime


class SubscriptionPaused(SubscriptionEvent):
    """Nothing is brought until it is resumed, and nothing is missed; one that the node paused is this notice to the requester."""

    TYPE: ClassVar[str] = "dxmesh.exchange.subscription.paused.v1"
    by: Literal["requester", "node"]
    reason: str
    paused_at: datetime


class SubscriptionResumed(SubscriptionEvent):
    """Rows are brought again, from where it stood."""

    TYPE: ClassVar[str] = "dxmesh.exchange.subscription.resumed.v1"
    reason: str
    resumed_at: datetime


class SubscriptionReplayed(SubscriptionEvent):
    """The requester wants rows again that were brought before; since: from where."""

    TYPE: ClassVar[str] = "dxmesh.exchange.subscription.replayed.v1"
    since: str
    replayed_at: datetime


class SubscriptionEnded(SubscriptionEvent):
    """Nothing is brought any more: the requester ended it, or its grant is over."""

    TYPE: ClassVar[str] = "dxmesh.exchange.subscription.ended.v1"
    reason: str
    ended_at: datetime


class PackageEvent(Event):
    """Something happened to a package of a grant's rows."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.package"
    KEY: ClassVar[str] = "package_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    package_id: UUID
    subscription_id: UUID
    grant_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    sha256: str


class PackageMade(PackageEvent):
    """A sealed package can be fetched until its term is over; sha256: of the whole file."""

    TYPE: ClassVar[str] = "dxmesh.exchange.package.made.v1"
    table_version: int
    row_count: int
    byte_count: int
    made_at: datetime
    expires_at: datetime


class PackageDownloaded(PackageEvent):
    """The receipt of a download: who was given which bytes, and when."""

    TYPE: ClassVar[str] = "dxmesh.exchange.package.downloaded.v1"
    by: str
    address: str | None = None
    downloads_left: int
    downloaded_at: datetime
