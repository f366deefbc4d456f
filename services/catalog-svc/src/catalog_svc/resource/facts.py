"""What the rules must know beyond the entry itself, and what they answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from catalog_svc.resource.definition import Settled
from dxmesh_schemas.catalog import DataItem


@dataclass(frozen=True)
class Facts:
    """What the rules must know beyond the entry itself."""

    system_name: str | None  # None: the provider has no such system
    code_sets: Mapping[str, int] = field(default_factory=dict)  # name → newest version
    retired_code_sets: Collection[str] = frozenset()
    referenced: Mapping[UUID, Sequence[DataItem]] = field(default_factory=dict)  # published resources → their items
    taxonomies: Mapping[str, bool] = field(default_factory=dict)  # codes of entries as they are spelt → whether they are retired
    resource_id: UUID | None = None
    resource_code: str | None = None
    published: Settled | None = None  # the version in force
    kept: Mapping[str, DataItem] = field(default_factory=dict)  # items of any version, by code: the table has their columns
