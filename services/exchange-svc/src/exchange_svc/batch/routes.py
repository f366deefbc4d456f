"""HTTP of batches: push, status, quarantine, deliveries."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from dxmesh_runtime.auth import Steward, Who
from dxmesh_runtime.db import Tx
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_time, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.exchange import BatchKind, Misfit
from dxmesh_schemas.problem import Unreadable, UnsupportedMedia
from dxmesh_tabular.media import MediaType, parse_content_type
from exchange_svc import formats
from exchange_svc.access import sees
from exchange_svc.batch import commands, domain, quarantine, store
from exchange_svc.batch.errors import (
    BatchConflict,
    BatchNotFound,
    BodyInterrupted,
    BodyTooLarge,
    DigestMismatch,
    DigestUnreadable,
    KeyMissing,
    StorageFull,
)
from exchange_svc.batch.inflate import coding_of
from exchange_svc.batch.intake import Declaration, Intake
from exchange_svc.batch.query import PushQuery
from exchange_svc.catalog import store as catalog
from exchange_svc.catalog.errors import ResourceNotFound, ResourceWithdrawn
from exchange_svc.delivery import store as deliveries
from exchange_svc.notice.errors import VersionNotInForce

router = APIRouter(tags=["batches"])


class BatchOut(BaseModel):
    """A batch: what was received, the signed acknowledgement, and what became of it."""

    model_config = ConfigDict(from_attributes=True)
    batch_id: UUID
    resource_id: UUID
    resource_version: int
    kind: BatchKind
    state: domain.State
    body_sha256: str
    body_byte_count: int
    received_count: int
    refused_row_count: int
    received_at: datetime
    event_id: UUID
    acknowledgement: str
    accepted_count: int | None
    quarantined_count: int | None
    rejected_count: int | None
    sequence: int | None
    reason: str | None


class DeliveryOut(BaseModel):
    """What of a batch is on a view's topic: `ranges` are [partition, first offset, last offset]."""

    model_config = ConfigDict(from_attributes=True)
    batch_id: UUID
    view_id: UUID
    sequence: int
    topic: str
    ranges: list[tuple[int, int, int]]
    accepted_count: int
    delivered_count: int
    withheld_count: int = Field(description="rows that cannot be brought into the version the view is for")
    filtered_count: int = Field(description="rows that the view's filter does not let out")
    vanished_count: int = Field(description="records beside the batch's rows: keys that readers had and a snapshot has no more")
    misfits: list[Misfit] = Field(description="why: a row counts once for each item that does not fit")
    sha256: str
    completed_at: datetime


_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Content-Digest",
            "in": "header",
            "description": "sha-256 or sha-512 of the body as sent (RFC 9530); checked when given",
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "The file, streamed; `Content-Encoding: gzip|zstd` and `Content-Digest` (RFC 9530) are understood.",
        "content": {media.value: {"schema": {"type": "string", "format": "binary"}} for media in MediaType},
    },
}
_REPEATED: dict[int | str, dict[str, Any]] = {200: {"model": BatchOut, "description": "The same push came before; this is its answer"}}


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise BodyInterrupted("the connection ended before the body did; nothing was kept: push again with the same batch id") from None


@router.put(
    "/v1/resources/{resource_id}/batches/{batch_id}",
    response_model=BatchOut,
    status_code=201,
    responses=_REPEATED
    | problems(
        ResourceNotFound,
        ResourceWithdrawn,
        VersionNotInForce,
        BatchConflict,
        KeyMissing,
        Unreadable,
        UnsupportedMedia,
        BodyTooLarge,
        DigestUnreadable,
        DigestMismatch,
        StorageFull,
    ),
    openapi_extra=_BODY,
)
async def push(
    resource_id: UUID,
    batch_id: UUID,
    request: Request,
    response: Response,
    who: Steward,
    query: Annotated[PushQuery, Query()],
) -> store.Batch:
    """Push a file as a batch; 201 when it is durable, 200 when the same was pushed before under this id."""
    headers = request.headers
    content = parse_content_type(headers.get("content-type"))
    declared = Declaration(
        kind=query.kind,
        version=query.version,
        media=content.media,
        coding=coding_of(headers.get("content-encoding")),
        delimiter=query.delimiter or content.delimiter,
        encoding=query.encoding or content.encoding,
        sheet=query.sheet,
        digests=domain.wanted_digests(headers.get("content-digest")),
        length=int(length) if (length := headers.get("content-length", "")).isdecimal() else None,
    )
    intake: Intake = request.state.intake
    row, is_new = await intake.push(resource_id, batch_id, declared, _body(request), by=who)
    response.status_code = 201 if is_new else 200
    return row


@router.get("/v1/resources/{resource_id}/batches", response_model=Page[BatchOut], responses=problems(ResourceNotFound, CursorInvalid))
async def list_batches(
    resource_id: UUID, who: Who, tx: Tx, state: domain.State | None = None, limit: Limit = 100, cursor: CursorText = None
) -> Slice[store.Batch]:
    """List a resource's batches, newest first, to its provider."""
    resource = await catalog.find_resource(tx, resource_id)
    if resource is None or not sees(who, resource.provider_id):
        raise ResourceNotFound(f"resource {resource_id} is not published on this node, or you may not see it")
    rows = await store.list_of_resource(tx, resource_id, state=state, limit=limit + 1, after=after_time(cursor))
    return cut(rows, limit, lambda row: (row.received_at, row.batch_id))


@router.get("/v1/batches/{batch_id}", response_model=BatchOut, responses=problems(BatchNotFound))
async def get_batch(batch_id: UUID, who: Who, tx: Tx) -> store.Batch:
    """Return a batch to its sender."""
    return await commands.get_visible(tx, batch_id, who)


@router.get(
    "/v1/batches/{batch_id}/quarantine",
    responses=formats.responses(quarantine.FORMATS) | problems(BatchNotFound),
    response_class=Response,
)
async def list_quarantine(
    batch_id: UUID,
    request: Request,
    who: Who,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
    cursor: CursorText = None,
    format: formats.Format | None = None,  # noqa: A002  # the name callers know
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """List the bad rows of a batch to its sender: row, item, rule, reason, value, record; a row stands once per broken rule."""
    form = formats.choose(format, accept, quarantine.FORMATS)
    async with request.state.sessions() as tx:
        batch = await commands.get_visible(tx, batch_id, who)
    frame, following = await quarantine.page(request.state.objects, request.state.cursor_key, batch, limit=limit, cursor=cursor)
    return await formats.answer(frame, form, next_cursor=following, name=f"quarantine-{batch_id}")


@router.get("/v1/batches/{batch_id}/deliveries", response_model=Page[DeliveryOut], responses=problems(BatchNotFound))
async def list_deliveries(batch_id: UUID, who: Who, tx: Tx) -> Slice[deliveries.Delivery]:
    """List on which topics a batch's rows are, where, and how many, to its sender."""
    batch = await commands.get_visible(tx, batch_id, who)
    return Slice(await deliveries.list_of_batch(tx, batch.batch_id), None)
