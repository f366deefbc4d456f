"""The six lists and the rules of their entries: four are kept here, the system and data lists show what is registered."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.resource.definition import BasisIn
from catalog_svc.sharing_list.scenario import TermsIn
from dxmesh_schemas.catalog import ItemCode, OpenType, SharingType
from dxmesh_schemas.problem import Fault
from dxmesh_schemas.text import Name, Paragraph

_FIRST_YEAR, _LAST_YEAR = 2000, 2099


class ListKind(StrEnum):
    """A list."""

    SYSTEM = "system"
    DATA = "data"
    DEMAND = "demand"
    DUTY = "duty"
    NEGATIVE = "negative"
    SCENARIO = "scenario"


class KeptKind(StrEnum):
    """A list whose entries are kept here; those of the other two are what is registered."""

    DEMAND = "demand"
    DUTY = "duty"
    NEGATIVE = "negative"
    SCENARIO = "scenario"


TITLES = {
    ListKind.SYSTEM: "系统清单",
    ListKind.DATA: "数据清单",
    ListKind.DEMAND: "需求清单",
    ListKind.DUTY: "责任清单",
    ListKind.NEGATIVE: "负面清单",
    ListKind.SCENARIO: "场景清单",
}


class Status(StrEnum):
    """Where an entry stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CANCELLED = "cancelled"
    IN_FORCE = "in_force"
    LIFTED = "lifted"


STATUS_TITLES = {
    Status.PENDING: "未开始",
    Status.IN_PROGRESS: "进行中",
    Status.DONE: "已完成",
    Status.CANCELLED: "已取消",
    Status.IN_FORCE: "有效",
    Status.LIFTED: "已解除",
}
_WORK = (Status.PENDING, Status.IN_PROGRESS, Status.DONE, Status.CANCELLED)
STATUSES = {
    KeptKind.DEMAND: _WORK,
    KeptKind.DUTY: _WORK,
    KeptKind.SCENARIO: _WORK,
    KeptKind.NEGATIVE: (Status.IN_FORCE, Status.LIFTED),
}
"""The statuses of each list; a new entry has the first."""
ENDED = (Status.DONE, Status.CANCELLED, Status.LIFTED)


class Forbids(StrEnum):
    """What an entry of the negative list forbids; what is not shared is not opened either."""

    SHARING = "sharing"
    OPENING = "opening"


FORBIDS_TITLES = {Forbids.SHARING: "不予共享", Forbids.OPENING: "不予开放"}


class EntryChange(BaseModel):
    """What of an entry may change."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Name
    content: Paragraph = ""
    status: Status | None = None
    due_on: date | None = None
    counterpart_id: UUID | None = None
    resource_id: UUID | None = None
    items: Annotated[
        tuple[ItemCode, ...], Field(max_length=1000, description="of the resource, where a demand or negative entry is not about all of it")
    ] = ()
    system_id: UUID | None = None
    basis: BasisIn | None = None
    forbids: Forbids | None = None
    scenario: Annotated[TermsIn | None, Field(description="what a scenario authorizes once it is approved")] = None


@dataclass(frozen=True, slots=True)
class Owned:
    """What an entry refers to, as the rules must know it: None where there is nothing of that id that it may name."""

    owner_id: UUID
    knows_resource: bool = True
    knows_system: bool = True
    knows_counterpart: bool = True
    items: Collection[str] | None = None  # codes the resource has; None where no items are named


def first_status(kind: KeptKind) -> Status:
    """Return the status of a new entry."""
    return STATUSES[kind][0]


@dataclass(frozen=True, slots=True)
class Forbidding:
    """An entry of the negative list in force, as it binds a resource: its id, its name and the provision it cites."""

    entry_id: UUID
    name: str
    forbids: Forbids
    basis: str
    items: Collection[str] = ()  # what of the resource; all of it when there are none


@dataclass(frozen=True, slots=True)
class Part:
    """How a resource or one of its items is shared and opened; `pointer` is where its entry says so."""

    sharing: SharingType
    opening: OpenType
    pointer: str = ""


def forbidden(entries: Iterable[Forbidding], whole: Part, items: Mapping[str, Part]) -> list[Fault]:
    """Return what of a resource's sharing and opening the negative list forbids, each entry named; `items` by their codes.

    Source: what is not on the negative list may be opened, and what is on it may not; checked at each publication.
    """
    return [
        fault
        for entry in entries
        for part in ([items[code] for code in entry.items if code in items] if entry.items else [whole])
        for fault in _forbidden(entry, part)
    ]


def _forbidden(entry: Forbidding, part: Part) -> Iterator[Fault]:
    named = f"the negative list's entry {entry.name!r} ({entry.entry_id}, {entry.basis})"
    if entry.forbids is Forbids.SHARING and part.sharing is not SharingType.NOT_SHARED:
        what = f"is {part.sharing}, and {named} forbids sharing; write NOT_SHARED with its basis, or lift the entry"
        yield f"{part.pointer}/sharing_type", what
    if entry.forbids is Forbids.OPENING and part.opening is not OpenType.CLOSED:
        yield f"{part.pointer}/open_type", f"is {part.opening}, and {named} forbids opening; write CLOSED, or lift the entry"


def faults(kind: KeptKind, entry: EntryChange, owned: Owned) -> list[Fault]:
    """Return (JSON pointer, what is wrong and what to do) for every rule that is broken; empty when the entry is good."""
    return [*_status(kind, entry), *_due(kind, entry), *_basis(kind, entry), *_references(kind, entry, owned), *_items(kind, entry, owned)]


def _status(kind: KeptKind, entry: EntryChange) -> Iterator[Fault]:
    status = entry.status or first_status(kind)
    if status not in STATUSES[kind]:
        known = ", ".join(f"{one.value} ({STATUS_TITLES[one]})" for one in STATUSES[kind])
        yield "/status", f"is {status.value}, which the {kind.value} list does not know; write one of {known}"
    if status is Status.DONE and kind in (KeptKind.DEMAND, KeptKind.DUTY) and entry.resource_id is None:
        yield "/resource_id", "is missing: an entry is done once a data resource meets it; name that resource"


def _due(kind: KeptKind, entry: EntryChange) -> Iterator[Fault]:
    if entry.due_on is None:
        if kind is not KeptKind.NEGATIVE:
            yield "/due_on", "is missing; write the day by which it is to be done, such as 2026-12-31"
    elif not _FIRST_YEAR <= entry.due_on.year <= _LAST_YEAR:
        yield "/due_on", f"is {entry.due_on}; write a day from {_FIRST_YEAR} to {_LAST_YEAR}"


def _basis(kind: KeptKind, entry: EntryChange) -> Iterator[Fault]:
    if kind is KeptKind.NEGATIVE and entry.basis is None:
        yield (
            "/basis",
            "is missing: the negative list needs the law, administrative regulation or State Council decision (kind, title, article)",
        )
    if kind is not KeptKind.NEGATIVE and entry.basis is not None:
        yield "/basis", f"belongs to the negative list; leave it out of the {kind.value} list"
    if kind is not KeptKind.NEGATIVE and entry.forbids is not None:
        yield "/forbids", f"belongs to the negative list; leave it out of the {kind.value} list"


def _references(kind: KeptKind, entry: EntryChange, owned: Owned) -> Iterator[Fault]:
    if entry.resource_id is not None and not owned.knows_resource:
        which = "of the owner, whose data alone its negative list binds" if kind is KeptKind.NEGATIVE else "in force, nor one of the owner"
        yield "/resource_id", f"is no data resource {which}; look it up under /v1/resources"
    if entry.system_id is not None and not owned.knows_system:
        yield "/system_id", "is no system of the owner; look it up under /v1/systems"
    if entry.counterpart_id is None:
        return
    if kind is not KeptKind.DEMAND:
        yield "/counterpart_id", f"belongs to the demand list (who is asked); leave it out of the {kind.value} list"
    elif entry.counterpart_id == owned.owner_id:
        yield "/counterpart_id", "is the owner itself; name the department whose data are asked for"
    elif not owned.knows_counterpart:
        yield "/counterpart_id", "is no registered organization; look it up under /v1/organizations"


def _items(kind: KeptKind, entry: EntryChange, owned: Owned) -> Iterator[Fault]:
    if kind is not KeptKind.SCENARIO and entry.scenario is not None:
        yield "/scenario", f"belongs to the scenario list; leave it out of the {kind.value} list"
    if not entry.items:
        return
    if kind not in (KeptKind.DEMAND, KeptKind.NEGATIVE):
        yield "/items", f"belong to the demand and negative lists; leave them out of the {kind.value} list"
    elif entry.resource_id is None:
        yield "/items", "are of no resource; name in resource_id the resource whose items they are"
    elif unknown := [code for code in entry.items if code not in (owned.items or ())]:
        yield "/items", f"has {', '.join(unknown[:20])}, which the resource does not; name items it has, or none for all of it"


def keeps_approvals(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Say whether what approved a scenario still holds: it says the same as when it was approved."""
    return all(before[name] == after[name] for name in ("name", "content", "scenario"))
