"""A data resource's state, and what a published version is made of."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from catalog_svc.resource import attribute_rules
from catalog_svc.resource.codes import NATIONAL, CodeScheme, scheme_named
from catalog_svc.resource.definition import MAX_EVENT_BYTES, Definition, Settled
from catalog_svc.resource.errors import IllegalTransition
from catalog_svc.resource.rules import effective_level, effective_sharing
from dxmesh_schemas.catalog import DataItem, OrganizationRef, ResourceSnapshot, SharingType, StandingConsent

__all__ = [
    "MAX_EVENT_BYTES",
    "NATIONAL",
    "CodeScheme",
    "State",
    "refuse_change",
    "scheme_named",
    "settle",
    "shareable_count",
    "snapshot",
    "withdraw",
]


class State(StrEnum):
    """Where a resource stands; once published it stays so while a later version is drafted, submitted and approved."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


KNOWN_TO_ALL = (State.PUBLISHED, State.WITHDRAWN)
"""The states in which a resource is more than its provider's and the data authority's business."""


def refuse_change(state: State) -> None:
    """Raise IllegalTransition (409) when a resource takes no new definition."""
    if state is State.WITHDRAWN:
        raise IllegalTransition("the resource is withdrawn; register a new one instead", state=state.value)


def withdraw(state: State) -> State:
    """Return the state after withdrawal. Raises: IllegalTransition (409) for what is not in force."""
    if state is not State.PUBLISHED:
        raise IllegalTransition(f"only a published resource is withdrawn; this one is {state.value}", state=state.value)
    return State.WITHDRAWN


def settle(entry: Definition, *, before: Settled | None, now: datetime) -> Settled:
    """Return the entry with nothing left open: sharing type and level derived, key items required, consent dated.

    A consent keeps its date while its approver stays the same. Empty texts count as left out.
    """
    key = set(entry.key)
    items = [vars(item) | {"required": item.required or item.code in key} for item in entry.items]
    consent = None
    if entry.standing_consent is not None:
        approved_by = entry.standing_consent.approved_by
        earlier = before.standing_consent if before is not None else None
        kept = earlier if earlier is not None and earlier.approved_by == approved_by else None
        consent = kept or StandingConsent(approved_by=approved_by, approved_at=now)
    said = {name: None if value == "" else value for name, value in entry.model_dump(exclude={"items", "standing_consent"}).items()}
    derived = {
        "items": items,
        "sharing_type": effective_sharing(entry),
        "data_level": effective_level(entry),
        "format_type": attribute_rules.format_type(entry),
        "standing_consent": consent,
    }
    return Settled.model_validate(said | derived)


def shareable_count(items: tuple[DataItem, ...]) -> int:
    """Count the items that are shared, with or without conditions (可共享项)."""
    return sum(item.sharing_type is not SharingType.NOT_SHARED for item in items)


def schema_url(public_url: str, resource_id: UUID, version: int) -> str:
    """Return where the JSON Schema of a version is."""
    return f"{public_url.rstrip('/')}/v1/resources/{resource_id}/versions/{version}/schema.json"


def snapshot(
    entry: Settled, *, resource_id: UUID, resource_code: str, version: int, provider: OrganizationRef, public_url: str, now: datetime
) -> ResourceSnapshot:
    """Return a version as other services keep it; `now` is when it comes in force."""
    said = {name: getattr(entry, name) for name in Settled.model_fields if name in ResourceSnapshot.model_fields}
    given = {
        "resource_id": resource_id,
        "version": version,
        "resource_code": resource_code,
        "provider": provider,
        "schema_url": schema_url(public_url, resource_id, version),
        "published_at": now,
    }
    return ResourceSnapshot.model_validate(said | given)
