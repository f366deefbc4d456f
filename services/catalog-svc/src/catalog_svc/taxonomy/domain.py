"""Rules of taxonomies: what base databases, domain warehouses and theme databases are, and how they stand under each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from dxmesh_schemas.problem import Fault

TaxonomyCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$")]
"""A code: 1 to 32 of A-Z a-z 0-9 . _ -; two that differ in case only are the same."""
MAX_DEPTH = 8
"""Entries that stand under each other, the highest included; a reader sees no more at once."""


class TaxonomyKind(StrEnum):
    """基础库, 领域数据仓库, 主题库."""

    BASE = "base"
    DOMAIN = "domain"
    THEME = "theme"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is in a tree."""

    taxonomy_id: UUID
    code: str
    kind: TaxonomyKind
    is_retired: bool


def code_key(code: str) -> str:
    """Return what codes are compared by."""
    return code.casefold()


def parent_faults(taxonomy_id: UUID | None, kind: TaxonomyKind, above: Sequence[Entry], *, depth_below: int = 0) -> list[Fault]:
    """Return what is wrong with a parent, given it and all above it, nearest first; `depth_below` entries stand under the moved one."""
    if not above:
        return [("/parent_id", "is no entry of a taxonomy; enter the parent first, or leave it out")]
    parent = above[0]
    ids = [entry.taxonomy_id for entry in above]
    if taxonomy_id is not None and taxonomy_id in ids:
        path = " → ".join(entry.code for entry in reversed(above[: ids.index(taxonomy_id) + 1]))
        return [("/parent_id", f"would make a loop: {parent.code} is, or stands under, the entry itself ({path}); name another parent")]
    if parent.is_retired:
        return [("/parent_id", f"is {parent.code}, which is retired; name one that is in use")]
    if parent.kind is not kind:
        return [("/parent_id", f"is of kind {parent.kind} and this entry of kind {kind}; name a parent of the same kind")]
    if len(above) + 1 + depth_below > MAX_DEPTH:
        return [("/parent_id", f"makes the tree {len(above) + 1 + depth_below} deep; at most {MAX_DEPTH} are kept")]
    return []
