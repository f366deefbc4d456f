"""Rules of grants and views: which grants share a topic, what of a batch leaves, and how long a grant lasts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot, SharingType
from dxmesh_schemas.exchange import BatchKind, DispatchOrdered, ObjectRef, ViewSnapshot
from dxmesh_schemas.exchange_terms import Condition, Drop, Mask, Mode, Pseudonym, Terms
from exchange_svc.enforcement.rows import names_rows
from exchange_svc.enforcement.rules import mask_faults, where_faults
from exchange_svc.grant.errors import GrantIsSuspended, GrantNotActive, GrantOver, ModeNotGranted, TermsInvalid

_MOST_REMEDY_DAYS = 366
_FORM = ("data_type", "scale", "required", "length", "minimum", "maximum", "pattern", "enumeration", "format")


class State(StrEnum):
    """Where a grant is; `expired` follows from the time, and is stored once that was told."""

    DELIVERING = "delivering"  # given, and nothing of the resource is accepted yet
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    TERMINATED = "terminated"
    DISPOSED = "disposed"


IN_FORCE = (State.DELIVERING, State.ACTIVE, State.SUSPENDED)
"""States of a grant whose view gets batches, while its time is not over: a suspended one misses none of them."""
READABLE = (State.DELIVERING, State.ACTIVE)


@dataclass(frozen=True, slots=True)
class OpenView:
    """What of a resource leaves on which topic.

    form: the announced version that batches of earlier ones are brought into; None for a view that takes each batch as it is.
    scope: whose pseudonyms they are; None for a view without. schema_base: where the view's own schema is, if it has masks.
    former_where: while earlier batches come again for changed terms that take rows back, the filter until then.
    """

    view_id: UUID
    resource_id: UUID
    items: tuple[str, ...]
    topic: str
    form: ResourceSnapshot | None = None
    where: tuple[Condition, ...] = ()
    masks: tuple[Mask, ...] = ()
    scope: UUID | None = None
    schema_base: str | None = None
    former_where: tuple[Condition, ...] | None = None


def state_at(stored: State, use_until: datetime | None, now: datetime) -> State:
    """Return a grant's state at a time: one in force whose time is over is expired."""
    if stored in IN_FORCE and use_until is not None and use_until <= now:
        return State.EXPIRED
    return stored


def check_readable(
    state: State, *, use_until: datetime | None, termination_reason: str | None, suspension_reason: str | None = None
) -> None:
    """Let a grant read that is in force and not suspended. Raises GrantOver, GrantIsSuspended (403) saying why and what to do."""
    if state is State.SUSPENDED:
        raise GrantIsSuspended(f"the grant is suspended: {suspension_reason}; put it right and ask the provider to resume it")
    if state is State.EXPIRED and use_until is not None:
        raise GrantOver(f"the grant was good until {use_until.isoformat()}; submit a new request")
    if state not in READABLE:
        raise GrantOver(f"the grant was terminated: {termination_reason or 'its time was over'}; submit a new request")


def check_mode(mode: Mode, terms: Terms) -> None:
    """Let rows be had in a way the grant allows. Raises: ModeNotGranted (403)."""
    if mode not in terms.modes:
        raise ModeNotGranted(f"the grant is for {', '.join(terms.modes)}, not for {mode}; ask the provider to change its terms")


def held_by(state: State, mode: Mode, terms: Terms) -> str | None:
    """Say why rows do not come by a grant in a way now; None when they do."""
    if state not in READABLE:
        return f"the grant is {state}"
    return None if mode in terms.modes else f"the grant is for {', '.join(terms.modes)}, not for {mode}"


def check_suspendable(state: State, *, remedy_until: date | None, today: date) -> None:
    """Let a grant be suspended that can be read. Raises: GrantNotActive (409), TermsInvalid (422)."""
    if state not in READABLE:
        raise GrantNotActive(f"the grant is {state}; only one that can be read is suspended")
    if remedy_until is not None and remedy_until < today:
        raise TermsInvalid.at("/remedy_until", f"remedy_until {remedy_until} is over; give a day from {today} on, or none")
    if remedy_until is not None and (remedy_until - today).days > _MOST_REMEDY_DAYS:
        detail = f"remedy_until {remedy_until} is more than {_MOST_REMEDY_DAYS} days ahead: end the grant instead, or give an earlier day"
        raise TermsInvalid.at("/remedy_until", detail)


def check_resumable(state: State) -> None:
    """Let a suspended grant be resumed. Raises: GrantNotActive (409)."""
    if state is not State.SUSPENDED:
        raise GrantNotActive(f"the grant is {state}; only a suspended one is resumed")


def check_changeable(state: State) -> None:
    """Let the terms of a grant in force be changed, of a suspended one too. Raises: GrantNotActive (409)."""
    if state not in IN_FORCE:
        raise GrantNotActive(f"the grant is {state}; terms are changed while it is in force: ask for a new one")


def check_disposable(state: State, *, disposed_on: date, today: date) -> None:
    """Let disposal be filed of a grant that is over. Raises: GrantNotActive (409), TermsInvalid (422)."""
    if state is State.DISPOSED:
        raise GrantNotActive("disposal was filed before; it is kept as it was filed")
    if state not in (State.EXPIRED, State.TERMINATED):
        raise GrantNotActive(f"the grant is {state}; end it first, then file what became of the data")
    if disposed_on > today:
        raise TermsInvalid.at("/disposed_on", f"disposed_on {disposed_on} is to come; file disposal once it is done")


def check_terminable(state: State) -> None:
    """Let a grant be ended that is in force or expired. Raises GrantNotActive (409)."""
    if state in (State.TERMINATED, State.DISPOSED):
        raise GrantNotActive("the grant was terminated before; nothing is left to end")


def view_identity(items: Sequence[str], terms: Terms, sharing: SharingType, grant_id: UUID) -> str:
    """Return what equal grants have in common: items, filter and masks when access is unconditional, else the grant itself.

    Pseudonyms are a grant's own, so a view with any is that grant's alone.
    """
    if sharing is not SharingType.UNCONDITIONAL or has_pseudonyms(terms.masks):
        return f"grant:{grant_id}"
    return _shared_identity(items, terms.where, terms.masks)


def lets_out_the_same(view: OpenView, items: Sequence[str], terms: Terms) -> bool:
    """Say whether a view has these items, and the filter and masks of these terms."""
    return (list(view.items), _sorted(view.where), _sorted(view.masks)) == (list(items), _sorted(terms.where), _sorted(terms.masks))


def takes_back(view: OpenView, terms: Terms) -> bool:
    """Say whether rows that a view let out may be outside these terms: they have a condition that the view had not."""
    return not set(_sorted(terms.where)) <= set(_sorted(view.where))


def taking_back(view: OpenView, former: OpenView, terms: Terms, told: ResourceSnapshot) -> OpenView:
    """Return a view as its earlier batches are ordered: they delete what readers of the former view have and these terms take back.

    Where the keys of their records are made otherwise, none could be named.
    """
    if takes_back(former, terms) and naming(former, told) == naming(view, told):
        return replace(view, former_where=former.where)
    return view


def naming(view: OpenView, told: ResourceSnapshot) -> list[tuple[str, Mask | None]]:
    """Return what the keys of a view's records are made of: each key item with its mask; nothing of a view whose records have none."""
    masks = {one.item: one for one in fitting_masks(view.masks, told)}
    if not set(told.key) <= set(leaving_items(view.items, told)) or not names_rows(told.key, list(masks.values())):
        return []
    return [(code, masks.get(code)) for code in told.key]


def schema_base(public_url: str, view_id: UUID, masks: Sequence[Mask]) -> str | None:
    """Return where the schema of a view's rows is, without its version; None where what leaves is what the resource's schema says."""
    return f"{public_url}/v1/views/{view_id}/schema.json" if masks else None


def has_pseudonyms(masks: Iterable[Mask]) -> bool:
    """Say whether masks make tokens, which belong to a grant."""
    return any(isinstance(one, Pseudonym) for one in masks)


def _shared_identity(items: Sequence[str], where: Sequence[Condition], masks: Sequence[Mask]) -> str:
    if not where and not masks:
        return json.dumps(list(items))
    return json.dumps([list(items), _sorted(where), _sorted(masks)])


def _sorted(terms: Sequence[BaseModel]) -> list[str]:
    return sorted(json.dumps(one.model_dump(mode="json"), sort_keys=True) for one in terms)


def coming_identity(view: OpenView, identity: str, version: int, items: Sequence[str]) -> str:
    """Return what views of a coming version have in common: that version and, for shared ones, what it leaves of their items."""
    return f"{version}:{identity if identity.startswith('grant:') else _shared_identity(items, view.where, view.masks)}"


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
    masks = fitting_masks(view.masks, told)
    key = told.key if set(told.key) <= set(leaving) and names_rows(told.key, masks) else ()
    items = leaving_items(leaving, resource)
    if not items or not _can_filter(view.where, items, told):
        return None
    return ViewSnapshot(
        view_id=view.view_id,
        resource_id=view.resource_id,
        resource_version=told.version,
        items=items,
        key=key,
        topic=view.topic,
        schema_url=told.schema_url if view.schema_base is None else f"{view.schema_base}?version={told.version}",
        into=tuple(item for item in told.items if item.code in {*items, *key} and not _fits(item, told, resource)) if is_later else (),
        where=view.where,
        masks=masks,
        scope=view.scope if has_pseudonyms(masks) else None,
        former_where=_former_where(view, [item for item in told.items if not is_later or item.code in items]) if key else None,
    )


def _former_where(view: OpenView, items: Sequence[DataItem]) -> tuple[Condition, ...] | None:
    """Return the filter of before, where rows with these items could meet it."""
    return None if view.former_where is None or any(where_faults(view.former_where, items)) else view.former_where


def fitting_masks(masks: Sequence[Mask], resource: ResourceSnapshot) -> tuple[Mask, ...]:
    """Return the masks under a version of the resource: an item whose mask does not fit its type there shows nothing."""
    return tuple(
        Drop(item=one.item, mask="drop") if (item := resource.item(one.item)) and any(mask_faults([one], [item])) else one for one in masks
    )


def _can_filter(where: Sequence[Condition], items: Sequence[str], told: ResourceSnapshot) -> bool:
    """Say whether a filter can be told of rows with these items: what cannot be told to leave does not leave."""
    return not any(where_faults(where, [item for item in told.items if item.code in items]))


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
