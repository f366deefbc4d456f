"""What becomes of sharing requests and grants between being handed in and being over (政务数据共享条例 Art. 20-29)."""

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef, Snapshot
from dxmesh_schemas.exchange import GrantEvent, RequestEvent, ViewSnapshot
from dxmesh_schemas.exchange_terms import Terms


class RequestMaterialsRequested(RequestEvent):
    """The provider named, once, everything that is missing (GDSR Art. 21); the answer's deadline may stand still meanwhile."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.materials_requested.v1"
    missing: tuple[str, ...] = Field(min_length=1)
    asked_at: datetime
    asked_by: str


class RequestMaterialsSupplied(RequestEvent):
    """The requester supplied what was missing; the answer is due again."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.materials_supplied.v1"
    supplied: str
    supplied_at: datetime


class RequestExtensionAsked(RequestEvent):
    """The provider asks the data authority for more time to answer (GDSR Art. 21)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.extension_asked.v1"
    days: int = Field(ge=1, description="working days")
    reason: str
    asked_at: datetime


class RequestExtended(RequestEvent):
    """The data authority agreed to more time; this is the notice to the requester (GDSR Art. 21)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.extended.v1"
    days: int = Field(ge=1, description="working days")
    reason: str
    consented_by: str
    extended_at: datetime


class RequestWithdrawn(RequestEvent):
    """The requester wants it no more."""

    TYPE: ClassVar[str] = "dxmesh.exchange.request.withdrawn.v1"
    reason: str
    withdrawn_at: datetime


class GrantSuspended(GrantEvent):
    """Nothing can be read by the grant until it is resumed: misuse is to be put right until a day (GDSR Art. 27)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.suspended.v1"
    reason: str
    remedy_until: date | None = Field(default=None, description="the last day to put it right, in China")
    suspended_at: datetime


class GrantResumed(GrantEvent):
    """The grant may be read again; what came meanwhile is on its topic."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.resumed.v1"
    reason: str
    resumed_at: datetime


class GrantExpired(GrantEvent):
    """The grant's time is over."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.expired.v1"
    use_until: datetime
    expired_at: datetime


class GrantTermsChanged(GrantEvent):
    """The grant has other terms; rows come by this view from now on, and the former topic, if it is another, has had its last."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.terms_changed.v1"
    view: ViewSnapshot
    terms: Terms
    former_topic: str
    use_until: datetime | None
    reason: str
    changed_by: str
    changed_at: datetime


class Disposal(Snapshot):
    """What a requester did with the data once it might use them no more (GDSR Art. 27, 29)."""

    what: str
    how: str
    disposed_on: date
    done_by: str


class GrantDisposed(GrantEvent):
    """The requester filed how it disposed of what it had by the grant."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.disposed.v1"
    disposal: Disposal
    filed_at: datetime


class GrantScenarioLapsed(GrantEvent):
    """The scenario that gave the grant authorizes no more; its provider decides whether the grant goes on (GDSR Art. 27: not cut here)."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.scenario_lapsed.v1"
    provider: OrganizationRef
    scenario_id: UUID
    scenario: str = Field(description="its name")
    reason: str
    lapsed_at: datetime


class GrantScenarioConfirmed(GrantEvent):
    """The provider lets a grant go on whose scenario authorizes no more: it rests on the provider's own answer from now on."""

    TYPE: ClassVar[str] = "dxmesh.exchange.grant.scenario_confirmed.v1"
    scenario_id: UUID
    scenario: str = Field(description="its name")
    reason: str
    confirmed_by: str
    confirmed_at: datetime
