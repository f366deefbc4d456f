"""Which data an entry of a department's negative list closes to the public."""

from collections.abc import Iterable
from dataclasses import dataclass

from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.catalog_lists import ListEntryEvent
from dxmesh_schemas.text import comparable


@dataclass(frozen=True, slots=True)
class Ban:
    """What entries in force close of one resource: all of it, or some of its items; `reason` names the entry and its provision."""

    reason: str
    items: frozenset[str] = frozenset()  # none: all of it


def is_in_force(entry: ListEntryEvent) -> bool:
    """Say whether an entry closes anything: what is not shared is not opened either, so both kinds of the negative list do."""
    return entry.kind == "negative" and entry.status == "in_force"


def binds(entry: ListEntryEvent, resource: ResourceSnapshot) -> bool:
    """Say whether an entry is about a resource: the one it names, else those of the system it names, else the one of its name.

    A department binds its own data alone.
    """
    if entry.owner.organization_id != resource.provider.organization_id:
        return False
    if entry.resource_id is not None:
        return entry.resource_id == resource.resource_id
    if entry.system_id is not None:
        return entry.system_id == resource.system_id
    return comparable(entry.name) == comparable(resource.name)


def bans(entries: Iterable[ListEntryEvent], resource: ResourceSnapshot) -> tuple[Ban, ...]:
    """Return what entries close of a resource, those in force alone."""
    return tuple(Ban(_reason(entry), frozenset(entry.items)) for entry in entries if is_in_force(entry) and binds(entry, resource))


def _reason(entry: ListEntryEvent) -> str:
    provision = f", 《{entry.basis.title}》{entry.basis.article}" if entry.basis else ""
    return f"列入负面清单 on the negative list: {entry.name} ({entry.entry_id}{provision})"
