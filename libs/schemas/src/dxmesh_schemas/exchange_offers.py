"""Data that is offered before anyone asks: what an approved scenario covers, to the organizations it names (主动共享)."""

from datetime import date, datetime
from typing import ClassVar, Literal
from uuid import UUID

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.event import Event


class OfferEvent(Event):
    """Something happened to an offer."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.offer"
    KEY: ClassVar[str] = "offer_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    offer_id: UUID
    scenario_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider: OrganizationRef


class OfferMade(OfferEvent):
    """An organization may have these items of a resource by a scenario, with one call."""

    TYPE: ClassVar[str] = "dxmesh.exchange.offer.made.v1"
    scenario: str
    items: tuple[str, ...]
    purposes: tuple[UsePurpose, ...]
    valid_until: date
    offered_at: datetime


class OfferEnded(OfferEvent):
    """The offer was accepted, or its scenario covers this no more."""

    TYPE: ClassVar[str] = "dxmesh.exchange.offer.ended.v1"
    outcome: Literal["accepted", "withdrawn"]
    request_id: UUID | None = None
    ended_at: datetime
