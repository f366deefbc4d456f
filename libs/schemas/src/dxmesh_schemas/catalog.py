"""The catalogue's words: organizations, systems, resources, items (编制指南 发改高技〔2017〕1272号; 政务数据共享条例 Art. 13-15)."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dxmesh_schemas.catalog_attributes import (
    Census,
    FormatClass,
    NonSharingBasis,
    ResourceKind,
    Sensitivity,
    SharingChannel,
    SharingMode,
    UsePurpose,
    Video,
)

ItemCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
"""An item's column name in files, records and tables."""
DivisionCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}([0-9]{2}([0-9]{2}([0-9]{3}([0-9]{3})?)?)?)?$")]
"""A division code: 2, 4, 6, 9 or 12 digits (GB/T 2260, GB/T 10114)."""


class Snapshot(BaseModel):
    """A part of an event: frozen, and tolerant of fields a newer emitter adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Level(StrEnum):
    """A government level."""

    NATION = "nation"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


class OrganizationKind(StrEnum):
    """What an organization is (C17 brings in public utilities and social bodies)."""

    DEPARTMENT = "department"
    PUBLIC_UTILITY = "public_utility"
    SOCIAL_BODY = "social_body"


class OfficerRole(StrEnum):
    """Who answers for an organization's data: 首席数据官, 数据管理员, 共享工作机构 (GDSR Art. 11)."""

    CDO = "cdo"
    STEWARD = "steward"
    SHARING_UNIT = "sharing_unit"


class Officer(Snapshot):
    """A term of office, now or to come."""

    role: OfficerRole
    holder: str = Field(description="a client id or account name")
    since: date = Field(description="the first day, China time")
    until: date | None = Field(default=None, description="the first day on which the office is no longer held; null: open")


class Licence(Snapshot):
    """What lets a public utility or social body do what its data come from."""

    title: str
    number: str
    valid_until: date | None = Field(default=None, description="the last day it is good; null: without end")


class Contract(Licence):
    """What the data of a public utility or social body are had by."""

    shared_use: bool = Field(default=False, description="统采共用: bought once, for the use of all departments")


class SystemKind(StrEnum):
    """Who runs a system: the organization itself, or the nation, province or city above it (国垂, 省垂, 市垂)."""

    OWN = "own"
    NATION = "nation"
    PROVINCE = "province"
    CITY = "city"


class SystemState(StrEnum):
    """Where a system stands."""

    PLANNED = "planned"
    IN_SERVICE = "in_service"
    RETIRED = "retired"


class SharingType(StrEnum):
    """无条件共享, 有条件共享, 不予共享 (GDSR Art. 14)."""

    UNCONDITIONAL = "UNCONDITIONAL"
    CONDITIONAL = "CONDITIONAL"
    NOT_SHARED = "NOT_SHARED"


class OpenType(StrEnum):
    """无条件开放, 有条件开放, 不予开放."""

    UNCONDITIONAL = "UNCONDITIONAL"
    CONDITIONAL = "CONDITIONAL"
    CLOSED = "CLOSED"


class UpdateCycle(StrEnum):
    """更新周期."""

    REALTIME = "REALTIME"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    HALF_YEARLY = "HALF_YEARLY"
    YEARLY = "YEARLY"
    IRREGULAR = "IRREGULAR"
    STATIC = "STATIC"


class DataType(StrEnum):
    """The guide's item types; the letter is the guide's own code.

    C text, M long text, G generic (kept as text); I whole number (64 bit); N number (exact with `scale`, else 64-bit floating);
    Y money (exact, scale 2 unless given); B and F 64-bit floating; D date; T date and time; L yes or no.
    """

    TEXT = "C"
    NUMBER = "N"
    MONEY = "Y"
    DATE = "D"
    DATETIME = "T"
    LOGICAL = "L"
    LONG_TEXT = "M"
    GENERIC = "G"
    DOUBLE = "B"
    INTEGER = "I"
    FLOAT = "F"

    @property
    def is_text(self) -> bool:
        """Say whether values are kept as the text that was sent."""
        return self in _TEXTS

    @property
    def is_numeric(self) -> bool:
        """Say whether values can be compared with `minimum` and `maximum`."""
        return self in _NUMBERS


# a member's name is looked up by a function each time: every item of every entry and event asks
_TEXTS = (DataType.TEXT, DataType.LONG_TEXT, DataType.GENERIC)
_NUMBERS = (DataType.NUMBER, DataType.MONEY, DataType.DOUBLE, DataType.INTEGER, DataType.FLOAT)
_SCALED = (DataType.NUMBER, DataType.MONEY)
_TEXT_ONLY = ("length", "pattern", "format", "enumeration")


class ItemFormat(StrEnum):
    """A form with a check of its own."""

    RESIDENT_ID = "resident_id"  # 公民身份号码, GB 11643
    USCC = "uscc"  # 统一社会信用代码, GB 32100
    DIVISION = "division"  # 行政区划代码, GB/T 2260: shape only; a code set or reference says which exist


class CodeSetRef(Snapshot):
    """A code set by name; without a version, the newest one at the time of the check."""

    name: str
    version: int | None = Field(default=None, ge=1)


class ItemReference(Snapshot):
    """The values of this item must exist in that item of another resource (关联性)."""

    resource_id: UUID
    item: ItemCode


class DataItem(Snapshot):
    """信息项: one column of a resource, with the rules its values must keep."""

    code: ItemCode
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    data_type: DataType
    description: str = ""
    required: bool = False
    length: int | None = Field(default=None, ge=1, le=10_000_000, description="longest value, in characters (text types)")
    scale: int | None = Field(default=None, ge=0, le=18, description="digits after the point (N, Y)")
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = Field(default=None, max_length=500, description="a regular expression the whole value must match")
    enumeration: tuple[str, ...] | None = None
    code_set: CodeSetRef | None = None
    format: ItemFormat | None = None
    reference: ItemReference | None = None
    sharing_type: SharingType = SharingType.UNCONDITIONAL
    open_type: OpenType = OpenType.UNCONDITIONAL
    data_level: int = Field(default=1, ge=1, le=4)
    sharing_condition: str | None = Field(default=None, max_length=4000, description="on what condition a CONDITIONAL item is shared")
    open_condition: str | None = Field(default=None, max_length=4000, description="on what condition a CONDITIONAL item is open")
    sensitivity: Sensitivity | None = None
    update_frequency: UpdateCycle | None = Field(default=None, description="when it differs from the resource's update cycle")
    dictionary: str | None = Field(default=None, max_length=200, description="the dictionary its values come from, such as GB/T 2261.1")

    @model_validator(mode="after")
    def _rules_fit_the_type(self) -> Self:
        if self.data_type not in _TEXTS:
            for field in _TEXT_ONLY:
                if getattr(self, field) is not None:
                    raise ValueError(f"{field} applies to text items (C, M, G); {self.code} is of type {self.data_type.value}")
        if self.scale is not None and self.data_type not in _SCALED:
            raise ValueError(f"scale applies to N and Y items; {self.code} is of type {self.data_type.value}")
        if (self.minimum is not None or self.maximum is not None) and not self.data_type.is_numeric:
            raise ValueError(f"minimum and maximum apply to numbers; {self.code} is of type {self.data_type.value}")
        return self


class OrganizationRef(Snapshot):
    """An organization as other nouns carry it."""

    organization_id: UUID
    uscc: str
    name: str
    division_code: str


class StandingConsent(Snapshot):
    """The provider's head answered all UNCONDITIONAL requests in advance (GDSR Art. 20: an answer needs a named approver)."""

    approved_by: str
    approved_at: datetime


class ResourceSnapshot(Snapshot):
    """One published version of a data resource: all that other services need of it."""

    resource_id: UUID
    version: int = Field(ge=1)
    resource_code: str
    name: str
    summary: str
    class_path: str
    provider: OrganizationRef
    system_id: UUID
    items: tuple[DataItem, ...] = Field(min_length=1, max_length=1000)
    key: tuple[ItemCode, ...] = Field(default=(), description="the business key: item codes whose values together name a row")
    sharing_type: SharingType
    sharing_condition: str | None = None
    open_type: OpenType
    open_theme: str | None = None
    update_cycle: UpdateCycle
    max_quarantined_ratio: float = Field(default=0.1, ge=0, le=1, description="a batch with a greater share of bad rows is rejected whole")
    standing_consent: StandingConsent | None = None
    schema_url: str
    published_at: datetime
    kind: ResourceKind = ResourceKind.DATA
    provider_unit: str | None = Field(default=None, description="the unit within the provider (内部部门)")
    steward: str | None = Field(default=None, description="the post that keeps the entry current")
    format_class: FormatClass | None = None
    format_type: str | None = None
    format_note: str | None = None
    sharing_scope: str | None = Field(default=None, description="who may have it on condition")
    sharing_purposes: tuple[UsePurpose, ...] = ()
    sharing_reason: str | None = Field(default=None, description="why it is shared less than unconditionally")
    sharing_channel: SharingChannel | None = None
    sharing_mode: SharingMode | None = None
    non_sharing_basis: NonSharingBasis | None = None
    open_condition: str | None = None
    related_codes: tuple[str, ...] = ()
    use_conditions: str | None = None
    data_category: str | None = None
    data_level: int | None = Field(default=None, ge=1, le=4, description="the highest of its items', or higher")
    is_important: bool = False
    is_core: bool = False
    census: Census | None = None
    business_item: str | None = None
    authority_source: str | None = Field(default=None, description="what makes the provider this data's source")
    division_code: str | None = None
    video: Video | None = None
    taxonomies: tuple[str, ...] = Field(
        default=(), description="codes of the base databases, domain warehouses and theme databases it belongs to; a code is given once"
    )

    def item(self, code: str) -> DataItem | None:
        """Return the item of that code, if the resource has it."""
        return next((item for item in self.items if item.code == code), None)
