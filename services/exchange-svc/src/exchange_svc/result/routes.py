"""HTTP of results: keys, issuing, reading, proof, revocation, recognition."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.exchange_results import ATTESTATION_TYPE, ResultStatement
from dxmesh_schemas.text import Reason
from exchange_svc.access import whose
from exchange_svc.catalog.errors import OrganizationUnknown
from exchange_svc.result import commands, store
from exchange_svc.result.errors import IssuerKeyNotFound, IssuerKeyTaken, ResultInvalid, ResultNotFound, ResultTaken

router = APIRouter(prefix="/v1", tags=["results"])
Jws = Annotated[str, Field(min_length=1, max_length=50_000, description="compact JWS (RFC 7515), EdDSA")]


class KeyIn(BaseModel):
    """A public key, and the sign that whoever registers it has it."""

    model_config = ConfigDict(extra="forbid")
    jwk: dict[str, Any] = Field(max_length=20, description="Ed25519, public (RFC 8037)")
    proof: Annotated[Jws, Field(description='over {"organization_id": …}, `typ` dxmesh-issuer-key+jws, by that key')]


class KeyOut(BaseModel):
    """A department's key for results."""

    model_config = ConfigDict(from_attributes=True)
    kid: str
    organization_id: UUID
    jwk: dict[str, str]
    registered_at: datetime
    ended_at: datetime | None
    end_reason: str | None


class WhyIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class ResultIn(BaseModel):
    """A signed result."""

    model_config = ConfigDict(extra="forbid")
    result: Annotated[Jws, Field(description="over a ResultStatement, `typ` dxmesh-result+jws, its key's id in the header")]
    shared_with: list[UUID] | None = Field(default=None, max_length=1000, description="who may have it; every department when absent")


class ResultOut(BaseModel):
    """A result and how it stands."""

    model_config = ConfigDict(from_attributes=True)
    result_id: UUID
    issuer: OrganizationRef
    kid: str
    statement: ResultStatement
    shared_with: list[UUID] | None
    issued_at: datetime
    revoked_at: datetime | None
    revocation_reason: str | None


class RecognitionIn(BaseModel):
    """What a department makes of a result."""

    model_config = ConfigDict(extra="forbid")
    accepted: bool
    purpose: Reason
    reason: Reason | None = Field(default=None, description="needed when it is not accepted")


class RecognitionOut(BaseModel):
    """What a department made of a result."""

    model_config = ConfigDict(from_attributes=True)
    organization: OrganizationRef
    accepted: bool
    purpose: str
    reason: str | None
    recognised_at: datetime


class ProofOut(BaseModel):
    """What verifies offline with the node's public key alone: the result as it was signed, and what the node says of it."""

    result: str
    attestation: str = Field(description="JWS of the node, `typ` dxmesh-result-attestation+jws")


@router.post("/issuer-keys", status_code=201, response_model=KeyOut, responses=problems(OrganizationUnknown, ResultInvalid, IssuerKeyTaken))
async def register_key(body: KeyIn, who: Steward, tx: Tx) -> store.IssuerKey:
    """Register a public key of the caller's organization; the same key again is the same answer."""
    return await commands.register_key(tx, body.jwk, body.proof, by=who, now=utc_now())


@router.get("/issuer-keys", response_model=list[KeyOut])
async def list_keys(who: Who, tx: Tx, organization_id: UUID) -> Sequence[store.IssuerKey]:  # noqa: ARG001
    """List an organization's keys, newest first."""
    return await store.list_keys(tx, organization_id)


@router.post("/issuer-keys/{kid}/end", status_code=201, response_model=KeyOut, responses=problems(IssuerKeyNotFound, IssuerKeyTaken))
async def end_key(kid: str, body: WhyIn, who: Steward, tx: Tx) -> store.IssuerKey:
    """End a key of the caller's organization: nothing more is issued under it."""
    return await commands.end_key(tx, kid, reason=body.reason, by=who, now=utc_now())


@router.post(
    "/results",
    status_code=201,
    response_model=ResultOut,
    responses=problems(OrganizationUnknown, ResultInvalid, IssuerKeyNotFound, IssuerKeyTaken, ResultTaken),
)
async def issue(body: ResultIn, who: Steward, tx: Tx, response: Response) -> store.Result:
    """Issue a signed result; the same again is 200 and the same answer."""
    row, is_new = await commands.issue(tx, body.result, shared_with=body.shared_with, by=who, now=utc_now())
    response.status_code = 201 if is_new else 200
    return row


@router.get("/results", response_model=Page[ResultOut], responses=problems(CursorInvalid))
async def list_results(
    who: Who,
    tx: Tx,
    subject: Annotated[str | None, Query(max_length=200)] = None,
    kind: Annotated[str | None, Query(max_length=200)] = None,
    issuer_id: UUID | None = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> Slice[store.Result]:
    """List the results the caller's organization may have, newest first."""
    organization_id = whose(who)
    rows = await store.list_results(
        tx,
        organization_id=organization_id,
        subject=subject,
        kind=kind,
        issuer_id=issuer_id,
        limit=limit + 1,
        after=after_time(cursor),
    )
    return cut(rows, limit, lambda row: (row.issued_at, row.result_id))


@router.get("/results/{result_id}", response_model=ResultOut, responses=problems(ResultNotFound))
async def get_result(result_id: UUID, who: Who, tx: Tx) -> store.Result:
    """Return a result to who may have it."""
    return await commands.get_visible(tx, result_id, who)


@router.get("/results/{result_id}/proof", responses=problems(ResultNotFound))
async def get_proof(result_id: UUID, request: Request, who: Who, tx: Tx) -> ProofOut:
    """Return what proves a result to anyone who has this node's public key, as of now."""
    row = await commands.get_visible(tx, result_id, who)
    said = await commands.attest(tx, row, node=request.state.node, now=utc_now())
    return ProofOut(result=row.jws, attestation=request.state.sign(said, typ=ATTESTATION_TYPE))


@router.post("/results/{result_id}/revocation", status_code=201, response_model=ResultOut, responses=problems(ResultNotFound, ResultTaken))
async def revoke(result_id: UUID, body: WhyIn, who: Steward, tx: Tx) -> store.Result:
    """Take a result back, as its issuer."""
    return await commands.revoke(tx, result_id, reason=body.reason, by=who, now=utc_now())


@router.post(
    "/results/{result_id}/recognitions",
    status_code=201,
    response_model=list[RecognitionOut],
    responses=problems(ResultNotFound, OrganizationUnknown, ResultInvalid, ResultTaken),
)
async def recognise(result_id: UUID, body: RecognitionIn, who: Steward, tx: Tx) -> Sequence[store.Recognition]:
    """Say that the result is used in place of an own check, or why it is not; return what departments said."""
    return await commands.recognise(tx, result_id, accepted=body.accepted, purpose=body.purpose, reason=body.reason, by=who, now=utc_now())


@router.get("/results/{result_id}/recognitions", response_model=list[RecognitionOut], responses=problems(ResultNotFound))
async def list_recognitions(result_id: UUID, who: Who, tx: Tx) -> Sequence[store.Recognition]:
    """List what departments made of a result, oldest first."""
    await commands.get_visible(tx, result_id, who)
    return await store.list_recognitions(tx, result_id)
