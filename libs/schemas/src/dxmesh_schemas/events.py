"""Every event of the mesh in one import, so that the registry is complete."""

from dxmesh_schemas import (
    audit,
    catalog_deadlines,
    catalog_events,
    catalog_lists,
    catalog_sources,
    exchange,
    exchange_channels,
    exchange_corrections,
    exchange_deadlines,
    exchange_disputes,
    exchange_offers,
    exchange_readers,
    exchange_reconciliation,
    exchange_results,
    exchange_sharing,
    exchange_subscriptions,
    exchange_usage,
    open_data,
    quality,
)
from dxmesh_schemas.event import Event, event_class, event_classes

__all__ = [
    "Event",
    "audit",
    "catalog_deadlines",
    "catalog_events",
    "catalog_lists",
    "catalog_sources",
    "event_class",
    "event_classes",
    "exchange",
    "exchange_channels",
    "exchange_corrections",
    "exchange_deadlines",
    "exchange_disputes",
    "exchange_offers",
    "exchange_readers",
    "exchange_reconciliation",
    "exchange_results",
    "exchange_sharing",
    "exchange_subscriptions",
    "exchange_usage",
    "open_data",
    "quality",
    "topics",
]


def topics() -> list[str]:
    """Return the name of every event topic, sorted."""
    return sorted({event.TOPIC for event in event_classes()})
