"""Corrections of shared data that a requester doubts (校核, 政务数据共享条例 Art. 26)."""

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.event import Event


class CorrectionEvent(Event):
    """Something happened to a correction request; which records it is about is read at the node, as their keys may be personal data."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.correction"
    KEY: ClassVar[str] = "correction_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    correction_id: UUID
    grant_id: UUID
    request_id: UUID
    resource_id: UUID
    requester: OrganizationRef
    provider: OrganizationRef


class CorrectionFiled(CorrectionEvent):
    """A requester doubts records; the provider looks, corrects what is wrong, and says so."""

    TYPE: ClassVar[str] = "dxmesh.exchange.correction.filed.v1"
    record_count: int = Field(ge=1)
    items: tuple[str, ...] = Field(default=(), description="whose values are doubted; none: the records as a whole")
    reason: str
    due_on: date = Field(description="the last day for the provider's answer, in China")
    filed_at: datetime


class CorrectionCorrected(CorrectionEvent):
    """The provider corrected the records; the batch brings them."""

    TYPE: ClassVar[str] = "dxmesh.exchange.correction.corrected.v1"
    batch_id: UUID
    reason: str | None = Field(default=None, description="what was corrected, if the provider says more than the batch does")
    covered_count: int | None = Field(
        default=None, description="doubted records that the batch replaces or deletes; null where no key names rows"
    )
    uncovered_count: int | None = Field(default=None, description="doubted records that the batch leaves as they are")
    other_row_count: int | None = Field(default=None, description="rows of the batch that nobody doubted here")
    answered_by: str
    answered_at: datetime


class CorrectionRejected(CorrectionEvent):
    """The provider looked, and the records are right, or not its own to correct."""

    TYPE: ClassVar[str] = "dxmesh.exchange.correction.rejected.v1"
    reason: str
    answered_by: str
    answered_at: datetime


class CorrectionWithdrawn(CorrectionEvent):
    """The requester doubts them no more."""

    TYPE: ClassVar[str] = "dxmesh.exchange.correction.withdrawn.v1"
    reason: str
    withdrawn_at: datetime
