"""The shapes of a data resource's entry: as its steward writes it, and as it is kept once the rules have passed it."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from catalog_svc.taxonomy.domain import TaxonomyCode
from dxmesh_schemas.catalog import DataItem, DivisionCode, ItemCode, OpenType, SharingType, Snapshot, StandingConsent, UpdateCycle
from dxmesh_schemas.catalog_attributes import (
    BasisKind,
    Census,
    FormatClass,
    NonSharingBasis,
    ResourceKind,
    SharingChannel,
    SharingMode,
    UsePurpose,
    Video,
)
from dxmesh_schemas.text import Name, Paragraph, Reason

ClassPath = Annotated[str, StringConstraints(pattern=r"^[123](/[0-9]{2}(/[0-9]{3}(/[0-9A-Za-z]{1,12})?)?)?$")]
"""类/项/目/细目: 1 base, 2 theme or 3 department; two digits; three digits; up to twelve characters (编制指南 section 3)."""
ResourceCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z/._-]{1,64}$")]
MAX_EVENT_BYTES = 900 * 1024
"""A record must stay below Kafka's usual 1 MiB with its headers."""
_NUMBER = re.compile("[0-9一二三四五六七八九十百零〇]")


def _basis_kind(value: object) -> object:
    if isinstance(value, str) and value not in set(BasisKind):
        raise ValueError(
            f"{value[:60]!r} cannot forbid sharing: only one of {', '.join(BasisKind)} can; local regulations, rules and policy papers"
            " cannot (GDSR Art. 14): name the law that says so, or share the resource"
        )
    return value


def _numbered(value: str) -> str:
    if not _NUMBER.search(value):
        raise ValueError("names no article; write its number, such as 第三十八条")
    return value


class BasisIn(NonSharingBasis):
    """The provision that forbids sharing, as it is sent: of one of exactly three kinds, with its article."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Annotated[BasisKind, BeforeValidator(_basis_kind)]
    title: Name
    article: Annotated[Name, AfterValidator(_numbered)]


class CensusIn(Census):
    """The census numbers as they are sent: a misspelt one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VideoIn(Video):
    """A camera as it is sent: a misspelt field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConsentIn(BaseModel):
    """Who of the provider answers all UNCONDITIONAL requests in advance; the node sets when, whatever is sent."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    approved_by: Name


class ItemIn(DataItem):
    """An item as it is sent: a misspelt field is refused, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Definition(BaseModel):
    """A data resource as its steward writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    system_id: UUID
    name: Name
    summary: Reason
    class_path: ClassPath
    kind: ResourceKind = ResourceKind.DATA
    provider_unit: Annotated[Name | None, Field(description="the unit within the provider (内部部门)")] = None
    steward: Annotated[Name | None, Field(description="the post that keeps the entry current; needed from submission on")] = None
    items: Annotated[tuple[ItemIn, ...], Field(min_length=1, max_length=1000)]
    key: Annotated[tuple[ItemCode, ...], Field(max_length=20)] = ()
    format_class: FormatClass | None = None
    format_type: Annotated[Name | None, Field(description="a type of the guide's dictionary, or `other` with a note")] = None
    format_note: Paragraph | None = None
    sharing_type: Annotated[SharingType | None, Field(description="the strictest of the items' when left out")] = None
    sharing_condition: Paragraph | None = None
    sharing_scope: Annotated[Paragraph | None, Field(description="who may have it on condition")] = None
    sharing_purposes: Annotated[
        tuple[UsePurpose, ...], Field(max_length=4, description="what it may be used for; needed for CONDITIONAL from submission on")
    ] = ()
    sharing_reason: Annotated[
        Paragraph | None, Field(description="why it, or an item of it, is shared less than unconditionally; needed from submission on")
    ] = None
    sharing_channel: SharingChannel | None = None
    sharing_mode: SharingMode | None = None
    non_sharing_basis: BasisIn | None = None
    open_type: OpenType = OpenType.CLOSED
    open_condition: Paragraph | None = None
    open_theme: Name | None = None
    update_cycle: UpdateCycle
    taxonomies: Annotated[
        tuple[TaxonomyCode, ...],
        Field(max_length=20, description="codes of the base databases, domain warehouses and theme databases it belongs to"),
    ] = ()
    related_codes: Annotated[tuple[ResourceCode, ...], Field(max_length=100)] = ()
    use_conditions: Paragraph | None = None
    data_category: Name | None = None
    data_level: Annotated[int | None, Field(ge=1, le=4, description="the highest of the items' when left out")] = None
    is_important: bool = False
    is_core: bool = False
    census: CensusIn | None = None
    business_item: Name | None = None
    authority_source: Annotated[Paragraph | None, Field(description="what makes the provider this data's source")] = None
    division_code: DivisionCode | None = None
    video: VideoIn | None = None
    max_quarantined_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    is_classified: bool = False
    standing_consent: ConsentIn | None = None


class Settled(Snapshot):
    """A data resource as it is kept: nothing left open, and readable whatever rules come later."""

    system_id: UUID
    name: str
    summary: str
    class_path: str
    kind: ResourceKind = ResourceKind.DATA
    provider_unit: str | None = None
    steward: str | None = None
    items: tuple[DataItem, ...]
    key: tuple[str, ...]
    format_class: FormatClass | None = None
    format_type: str | None = None
    format_note: str | None = None
    sharing_type: SharingType
    sharing_condition: str | None
    sharing_scope: str | None = None
    sharing_purposes: tuple[UsePurpose, ...] = ()
    sharing_reason: str | None = None
    sharing_channel: SharingChannel | None = None
    sharing_mode: SharingMode | None = None
    non_sharing_basis: NonSharingBasis | None
    open_type: OpenType
    open_condition: str | None = None
    open_theme: str | None
    update_cycle: UpdateCycle
    taxonomies: tuple[str, ...] = ()
    related_codes: tuple[str, ...] = ()
    use_conditions: str | None = None
    data_category: str | None = None
    data_level: int | None = None
    is_important: bool = False
    is_core: bool = False
    census: Census | None = None
    business_item: str | None = None
    authority_source: str | None = None
    division_code: str | None = None
    video: Video | None = None
    max_quarantined_ratio: float
    is_classified: bool
    standing_consent: StandingConsent | None
