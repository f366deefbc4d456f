"""The events of quality-svc."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from dxmesh_schemas.catalog import Snapshot
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange import ObjectRef


class Outcome(StrEnum):
    """What the resource's threshold makes of a batch."""

    ACCEPT = "accept"
    ACCEPT_PART = "accept_part"
    REJECT = "reject"


class RuleResult(Snapshot):
    """One rule on one batch: of checked_count values, failed_count broke it."""

    rule: str
    item: str | None
    dimension_local: str  # 完整性 准确性 规范性 一致性 唯一性 关联性
    dimension_gb: str  # GB/T 36344: 规范性 完整性 准确性 一致性 时效性 可访问性
    checked_count: int
    failed_count: int


class AssessmentCompleted(Event):
    """A batch was checked against its resource's rules: accepted.row_count + quarantined_count = received_count.

    `accepted` is the batch's own object when every row is good. `quarantine` has a line per broken rule and row
    (row, item, rule, reason, value, record), so it may hold more lines than quarantined_count rows.
    """

    TYPE: ClassVar[str] = "dxmesh.quality.assessment.completed.v1"
    TOPIC: ClassVar[str] = "dxmesh.quality.assessment"
    KEY: ClassVar[str] = "resource_id"
    SOURCE: ClassVar[str] = "/quality-svc"
    assessment_id: UUID
    resource_id: UUID
    resource_version: int
    batch_id: UUID
    outcome: Outcome
    reason: str
    received_count: int
    quarantined_count: int
    accepted: ObjectRef
    quarantine: ObjectRef | None = None
    results: tuple[RuleResult, ...] = ()
    completed_at: datetime
