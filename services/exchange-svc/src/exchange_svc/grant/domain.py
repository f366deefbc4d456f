"""Rules of grants and views: which grants share a topic, what of a batch leaves, and how long a grant lasts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, SharingType
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ObjectRef, ViewSnapshot
from exchange_svc.grant.errors import GrantNotActive, GrantOver

_FORM = ("data_type", "scale", "required", "length", "minimum", "maximum", "pattern", "enumeration", "format")


class State(StrEnum):
    """Where a grant is; `expired` is never stored, it follows from the time."""

    ACTIVE = "active"
    EXPIRED = "expired"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class OpenView:
    """What of a resource leaves on which topic.

    form: the announced version that batches of earlier ones are brought into; None for a view that takes each batch as it is.
    """

    view_id: UUID
    resource_id: UUID
    items: tuple[str, ...]
    topic: str
    form: ResourceSnapshot | None = None


def state_at(stored: State, use_until: datetime | None, now: datetime) -> State:
    """Return a grant's state at a time: an active one whose time is over is expired."""
    if stored is State.ACTIVE and use_until is not None and use_until <= now:
        return State.EXPIRED
    return stored


def check_readable(state: State, *, use_until: datetime | None, termination_reason: str | None) -> None:
    """Let an active grant read. Raises GrantOver (403) saying why and what to do."""
    if state is State.EXPIRED and use_until is not None:
        raise GrantOver(f"the grant was good until {use_until.isoformat()}; submit a new request")
    if state is State.TERMINATED:
        raise GrantOver(f"the grant was terminated: {termination_reason}; submit a new request")


def check_terminable(state: State) -> None:
    """Let an active or expired grant be ended. Raises GrantNotActive (409)."""
    if state is State.TERMINATED:
        raise GrantNotActive("the grant was terminated before; nothing is left to end")


def view_identity(items: Sequence[str], sharing: SharingType, grant_id: UUID) -> str:
    """Return what equal grants have in common: the items when access is unconditional, else the grant itself."""
    return json.dumps(list(items)) if sharing is SharingType.UNCONDITIONAL else f"grant:{grant_id}"


def coming_identity(identity: str, version: int, items: Sequence[str]) -> str:
    """Return what views of a coming version have in common: that version and, for shared ones, the items it leaves them."""
    return f"{version}:{identity if identity.startswith('grant:') else json.dumps(list(items))}"


def in_force_identity(identity: str) -> str:
    """Return what a view of a coming version is found by once that version is in force: what equal grants then ask for."""
    return identity.partition(":")[2]


def topic_of(view_id: UUID) -> str:
    """Return the Kafka topic of a view."""
    return f"dxmesh.view.{view_id}"


def leaving_items(items: Iterable[str], resource: ResourceSnapshot) -> tuple[str, ...]:
    """Return those of the items that this version of the resource has and lets out, in the view's order."""
    allowed = {item.code for item in resource.items if item.sharing_type is not SharingType.NOT_SHARED}
    return tuple(code for code in items if code in allowed)


def snapshot(view: OpenView, resource: ResourceSnapshot) -> ViewSnapshot | None:
    """Return the view under a version of its resource; None when that version has none of its items.

    The business key goes along only if all its items are granted: a record's key must not tell what its value may not.
    A view of a later version has that version's items, key and schema; the batch of this one is brought into them.
    """
    is_later = view.form is not None and view.form.version > resource.version
    told = view.form if view.form is not None and is_later else resource
    leaving = leaving_items(view.items, told)
    key = told.key if set(told.key) <= set(leaving) else ()
    items = leaving_items(leaving, resource)
    if not items:
        return None
    return ViewSnapshot(
        view_id=view.view_id,
        resource_id=view.resource_id,
        resource_version=told.version,
        items=items,
        key=key,
        topic=view.topic,
        schema_url=told.schema_url,
        into=tuple(item for item in told.items if item.code in {*items, *key} and not _fits(item, told, resource)) if is_later else (),
    )


def _fits(item: DataItem, told: ResourceSnapshot, resource: ResourceSnapshot) -> bool:
    """Say whether values of a version of the resource need no look to stand under a later one."""
    before = resource.item(item.code)
    if before is None or before.sharing_type is SharingType.NOT_SHARED or (item.code in told.key and item.code not in resource.key):
        return False
    return all(getattr(before, name) == getattr(item, name) for name in _FORM)


def dispatch(
    views: Iterable[OpenView],
    resource: ResourceSnapshot,
    *,
    batch_id: UUID,
    sequence: int,
    kind: BatchKind,
    rows: ObjectRef,
    now: datetime,
) -> DispatchOrdered | None:
    """Return the order to deliver an accepted batch to these views; None when nothing of it may leave.

    resource: the version the batch was received under, whose columns its object has.
    """
    snapshots = tuple(found for view in views if (found := snapshot(view, resource)) is not None)
    if not snapshots:
        return None
    return DispatchOrdered(
        resource_id=resource.resource_id, batch_id=batch_id, sequence=sequence, kind=kind, rows=rows, views=snapshots, ordered_at=now
    )
