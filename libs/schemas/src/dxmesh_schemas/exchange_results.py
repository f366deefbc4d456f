"""Results that departments recognise from each other (监管结果互认): signed by who issued them, verifiable by who has them."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from dxmesh_schemas.catalog import DivisionCode, OrganizationRef, Snapshot
from dxmesh_schemas.event import Event
from dxmesh_schemas.text import Name, Reason

RESULT_TYPE = "dxmesh-result+jws"
"""`typ` of the JWS an issuer makes of a statement."""
KEY_TYPE = "dxmesh-issuer-key+jws"
"""`typ` of the JWS by which an issuer shows that it has a key."""
ATTESTATION_TYPE = "dxmesh-result-attestation+jws"
"""`typ` of the JWS by which a node says whose key signed a result, and how the result stands."""
Fact = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class SubjectScheme(StrEnum):
    """By what a result names whom it is about; a person only by a number of the issuer's own, never by the resident id."""

    USCC = "uscc"
    REFERENCE = "reference"


class ResultStatement(Snapshot):
    """What an issuer signs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    result_id: UUID
    issuer: UUID = Field(description="its organization id")
    kind: Name = Field(description="such as an inspection, a licence, a rating")
    subject_scheme: SubjectScheme
    subject: Name
    outcome: Reason
    basis: Reason = Field(description="the law and article")
    division_code: DivisionCode
    issued_on: date
    valid_until: date | None = Field(default=None, description="the last day it is good; null: without end")
    facts: Mapping[Name, Fact] = Field(default_factory=dict, max_length=50)


class ResultEvent(Event):
    """Something happened to a result."""

    TOPIC: ClassVar[str] = "dxmesh.exchange.result"
    KEY: ClassVar[str] = "result_id"
    SOURCE: ClassVar[str] = "/exchange-svc"
    result_id: UUID
    issuer: OrganizationRef


class ResultIssued(ResultEvent):
    """A department issued a result; `jws` is what it signed, `jwk` its key, as the node knows it."""

    TYPE: ClassVar[str] = "dxmesh.exchange.result.issued.v1"
    statement: ResultStatement
    jws: str
    jwk: Mapping[str, str]
    shared_with: tuple[UUID, ...] | None = Field(default=None, description="who may have it; null: every department of the node")
    issued_at: datetime


class ResultRevoked(ResultEvent):
    """Its issuer takes it back."""

    TYPE: ClassVar[str] = "dxmesh.exchange.result.revoked.v1"
    reason: str
    revoked_at: datetime


class ResultRecognised(ResultEvent):
    """Another department used it in place of a check of its own, or says why it does not."""

    TYPE: ClassVar[str] = "dxmesh.exchange.result.recognised.v1"
    by: OrganizationRef
    accepted: bool
    purpose: str
    reason: str | None = None
    recognised_at: datetime
