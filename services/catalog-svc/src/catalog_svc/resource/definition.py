"""The shapes of a data resource's entry: as its steward writes it, and as it is kept once the rules have passed it."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dxmesh_schemas.catalog import DataItem, ItemCode, OpenType, SharingType, Snapshot, StandingConsent, UpdateCycle
from dxmesh_schemas.text import Name, Paragraph, Reason

ClassPath = Annotated[str, StringConstraints(pattern=r"^[123](/[0-9]{2}(/[0-9]{3}(/[0-9A-Za-z]{1,12})?)?)?$")]
"""类/项/目/细目: 1 base, 2 theme or 3 department; two digits; three digits; up to twelve characters (编制指南 section 3)."""


class BasisKind(StrEnum):
    """What may forbid sharing (GDSR Art. 14): nothing below a State Council decision."""

    LAW = "law"
    ADMINISTRATIVE_REGULATION = "administrative_regulation"
    STATE_COUNCIL_DECISION = "state_council_decision"


class NonSharingBasis(BaseModel):
    """不予共享依据: the provision that forbids sharing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: BasisKind
    title: Name
    article: Name


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
    items: Annotated[tuple[ItemIn, ...], Field(min_length=1, max_length=1000)]
    key: Annotated[tuple[ItemCode, ...], Field(max_length=20)] = ()
    sharing_type: Annotated[SharingType | None, Field(description="the strictest of the items' when left out")] = None
    sharing_condition: Paragraph | None = None
    non_sharing_basis: NonSharingBasis | None = None
    open_type: OpenType = OpenType.CLOSED
    open_theme: Name | None = None
    update_cycle: UpdateCycle
    max_quarantined_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    is_classified: bool = False
    standing_consent: ConsentIn | None = None


class Settled(Snapshot):
    """A data resource as it is kept: nothing left open, and readable whatever rules come later."""

    system_id: UUID
    name: str
    summary: str
    class_path: str
    items: tuple[DataItem, ...]
    key: tuple[str, ...]
    sharing_type: SharingType
    sharing_condition: str | None
    non_sharing_basis: NonSharingBasis | None
    open_type: OpenType
    open_theme: str | None
    update_cycle: UpdateCycle
    max_quarantined_ratio: float
    is_classified: bool
    standing_consent: StandingConsent | None
