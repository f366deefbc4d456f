"""What is found: a resource as results show it, the page it stands on, and who may see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Organization:
    """A provider, as results show it."""

    organization_id: UUID
    uscc: str
    name: str
    division_code: str
    level: str


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """A base database, domain warehouse or theme database, as results are counted and narrowed by it."""

    code: str
    name: str
    parent: str | None  # the code of the one it stands under


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource, as it is found and shown: the version in force, or the draft of one that was never published."""

    resource_id: UUID
    revision: int
    state: str
    version: int
    organization: Organization
    system_id: UUID
    resource_code: str
    name: str
    summary: str
    items: tuple[tuple[str, str], ...]  # (code, name)
    class_path: str
    sharing_type: str
    open_type: str
    update_cycle: str
    format: str | None
    theme: str | None
    item_count: int
    shareable_item_count: int
    published_at: datetime | None
    taxonomies: tuple[str, ...] = ()  # codes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the score and the order within it of its last result."""

    score: int
    order: int


@dataclass(frozen=True, slots=True)
class Found:
    """A page of results, and the counts of all of them."""

    total: int
    entries: Sequence[Entry]
    last: Place | None  # None on the last page
    facets: Mapping[str, Sequence[tuple[str, int]]]
    is_relaxed: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a result holds what was asked for: texts as HTML with <mark>, None where nothing was found."""

    name: str | None
    summary: str | None
    organization: str | None
    items: Sequence[tuple[str, str, str | None]]  # (code, name, name as HTML), the first five
    item_count: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What the caller may see: all, or what is published and the drafts of one organization."""

    all: bool
    organization_id: UUID | None
