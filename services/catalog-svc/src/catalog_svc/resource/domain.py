"""A data resource's states, its code, and the snapshot that a published version is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.errors import IllegalTransition
from catalog_svc.resource.rules import effective_sharing
from dxmesh_schemas.catalog import DataItem, OrganizationRef, ResourceSnapshot, SharingType, StandingConsent

MAX_EVENT_BYTES = 900 * 1024
"""A record must stay below Kafka's usual 1 MiB with its headers."""


class State(StrEnum):
    """Where a resource stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


def refuse_change(state: State) -> None:
    """Raise IllegalTransition (409) when a resource takes no new definition."""
    if state is State.WITHDRAWN:
        raise IllegalTransition("the resource is withdrawn; register a new one instead", state=state.value)


def publish(state: State, *, has_draft: bool) -> State:
    """Return the state after publication: a draft is there and the resource is not withdrawn. Raises: IllegalTransition (409)."""
    refuse_change(state)
    if not has_draft:
        raise IllegalTransition("nothing changed since the version in force; PUT a new definition first", state=state.value)
    return State.PUBLISHED


def withdraw(state: State) -> State:
    """Return the state after withdrawal. Raises: IllegalTransition (409) for what is not in force."""
    if state is not State.PUBLISHED:
        raise IllegalTransition(f"only a published resource is withdrawn; this one is {state.value}", state=state.value)
    return State.WITHDRAWN


@dataclass(frozen=True, slots=True)
class CodeScheme:
    """How resource codes are made; provinces publish their own (DB12/T 1233, DB15/T 1875, DB23/T 2838)."""

    prefix: Callable[[str], str]  # class path → 前段码, which counts its own numbers
    code: Callable[[str, int], str]  # prefix, number → resource code


def _national_prefix(class_path: str) -> str:
    kind, section, subsection, detail = (class_path.split("/") + ["00", "000", ""][class_path.count("/") :])[:4]
    return f"{kind}{section}{subsection}{detail}"


NATIONAL = CodeScheme(prefix=_national_prefix, code=lambda prefix, number: f"{prefix}/{number:06d}")
"""类(1) 项(2) 目(3) 细目, "/", 顺序码 of six digits or more (编制指南 section 4); a level that is left out is zeros."""


def settle(entry: Definition, *, before: Settled | None, now: datetime) -> Settled:
    """Return the entry with nothing left open: sharing type derived, key items required, consent dated.

    A consent keeps its date while its approver stays the same.
    """
    key = set(entry.key)
    items = tuple(DataItem.model_validate(item.model_dump() | {"required": item.required or item.code in key}) for item in entry.items)
    consent = None
    if entry.standing_consent is not None:
        approved_by = entry.standing_consent.approved_by
        earlier = before.standing_consent if before is not None else None
        kept = earlier if earlier is not None and earlier.approved_by == approved_by else None
        consent = kept or StandingConsent(approved_by=approved_by, approved_at=now)
    return Settled(
        system_id=entry.system_id,
        name=entry.name,
        summary=entry.summary,
        class_path=entry.class_path,
        items=items,
        key=entry.key,
        sharing_type=effective_sharing(entry),
        sharing_condition=entry.sharing_condition or None,
        non_sharing_basis=entry.non_sharing_basis,
        open_type=entry.open_type,
        open_theme=entry.open_theme,
        update_cycle=entry.update_cycle,
        max_quarantined_ratio=entry.max_quarantined_ratio,
        is_classified=entry.is_classified,
        standing_consent=consent,
    )


def shareable_count(items: tuple[DataItem, ...]) -> int:
    """Count the items that are shared, with or without conditions (可共享项)."""
    return sum(item.sharing_type is not SharingType.NOT_SHARED for item in items)


def schema_url(public_url: str, resource_id: UUID, version: int) -> str:
    """Return where the JSON Schema of a version is."""
    return f"{public_url.rstrip('/')}/v1/resources/{resource_id}/versions/{version}/schema.json"


def snapshot(
    entry: Settled, *, resource_id: UUID, resource_code: str, version: int, provider: OrganizationRef, public_url: str, now: datetime
) -> ResourceSnapshot:
    """Return a version as other services keep it."""
    return ResourceSnapshot(
        resource_id=resource_id,
        version=version,
        resource_code=resource_code,
        name=entry.name,
        summary=entry.summary,
        class_path=entry.class_path,
        provider=provider,
        system_id=entry.system_id,
        items=entry.items,
        key=entry.key,
        sharing_type=entry.sharing_type,
        sharing_condition=entry.sharing_condition,
        open_type=entry.open_type,
        open_theme=entry.open_theme,
        update_cycle=entry.update_cycle,
        max_quarantined_ratio=entry.max_quarantined_ratio,
        standing_consent=entry.standing_consent,
        schema_url=schema_url(public_url, resource_id, version),
        published_at=now,
    )
