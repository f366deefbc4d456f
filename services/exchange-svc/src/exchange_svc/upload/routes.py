"""HTTP of uploads: tus 1.0 (core, creation, termination, expiration, checksum), and what stands of one as JSON."""

from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dxmesh_runtime.auth import Steward
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Unreadable, UnsupportedMedia
from exchange_svc.batch.errors import BatchConflict, BodyInterrupted, BodyTooLarge, DigestMismatch, KeyMissing, StorageFull
from exchange_svc.catalog.errors import ResourceNotFound, ResourceWithdrawn
from exchange_svc.notice.errors import VersionNotInForce
from exchange_svc.upload import domain, store
from exchange_svc.upload.arrivals import Arrivals
from exchange_svc.upload.errors import (
    ChecksumMismatch,
    HeaderUnreadable,
    OffsetConflict,
    PartUnsupported,
    ProtocolUnsupported,
    UploadBusy,
    UploadExpired,
    UploadNotFound,
    UploadRefused,
    UploadsTooMany,
)
from exchange_svc.upload.metadata import MetadataInvalid

PATH = "/v1/uploads"
PART = "application/offset+octet-stream"
_PUSHED = (ResourceNotFound, ResourceWithdrawn, VersionNotInForce, BatchConflict, KeyMissing, Unreadable, UnsupportedMedia, BodyTooLarge)
_KNOWN = (ProtocolUnsupported, UploadNotFound, UploadExpired, UploadBusy)


async def speaks_tus(tus_resumable: Annotated[str | None, Header()] = None) -> None:
    """Refuse other versions of the protocol. Raises: ProtocolUnsupported (412)."""
    if tus_resumable != domain.VERSION:
        raise ProtocolUnsupported(f"Tus-Resumable: {tus_resumable!r} is not spoken here; send Tus-Resumable: {domain.VERSION}")


router = APIRouter(tags=["uploads"])
_TUS = [Depends(speaks_tus)]


class UploadOut(BaseModel):
    """An upload: how far it has come, and what became of it."""

    upload_id: UUID
    resource_id: UUID
    batch_id: UUID
    state: domain.State
    offset_bytes: int
    length_bytes: int
    problem: dict[str, Any] | None
    created_at: datetime
    expires_at: datetime


class Tus:
    """Say on every answer about uploads which protocol is spoken, and let a POST stand for the method it names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection. Source: tus 1.0, Core: Tus-Resumable, X-HTTP-Method-Override."""
        if scope["type"] != "http" or not (scope["path"] == PATH or scope["path"].startswith(PATH + "/")):
            await self._app(scope, receive, send)
            return
        meant = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and meant in ("PATCH", "DELETE", "HEAD"):
            scope = {**scope, "method": meant}

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = domain.VERSION
                if message["status"] == ProtocolUnsupported.status:
                    headers["Tus-Version"] = domain.VERSION
            await send(message)

        await self._app(scope, receive, told)


def _headers(row: store.Upload, offset: int) -> dict[str, str]:
    found = {
        "Upload-Offset": str(offset),
        "Upload-Expires": format_datetime(row.expires_at, usegmt=True),
        "Cache-Control": "no-store",
        "Batch-Id": str(row.batch_id),
    }
    if row.state == domain.State.TAKEN:
        found["Content-Location"] = f"/v1/batches/{row.batch_id}"
    return found


@router.options(PATH, status_code=204, response_class=Response)
async def get_protocol(request: Request) -> Response:
    """Say which parts of tus are spoken."""
    headers = {
        "Tus-Version": domain.VERSION,
        "Tus-Extension": domain.EXTENSIONS,
        "Tus-Max-Size": str(request.state.upload_max_bytes),
        "Tus-Checksum-Algorithm": ",".join(domain.ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    PATH,
    status_code=201,
    response_class=Response,
    dependencies=_TUS,
    responses=problems(ProtocolUnsupported, HeaderUnreadable, MetadataInvalid, UploadsTooMany, StorageFull, *_PUSHED),
)
async def create(
    request: Request,
    who: Steward,
    upload_length: Annotated[str | None, Header(description="bytes of the file")] = None,
    upload_metadata: Annotated[
        str | None,
        Header(
            description="resource_id, batch_id (client-made), media_type (or filetype); as wanted kind, version, content_encoding (gzip, "
            "zstd), delimiter, encoding, sheet, sha256 (hex, of all bytes); values in base64"
        ),
    ] = None,
) -> Response:
    """Begin an upload of a file that becomes a batch; what a push would be refused for before its body is refused here."""
    arrivals: Arrivals = request.state.arrivals
    row = await arrivals.create(upload_metadata or "", byte_count=domain.count_of(upload_length, "Upload-Length"), by=who)
    return Response(status_code=201, headers=_headers(row, 0) | {"Location": f"{PATH}/{row.upload_id}"})


@router.head(
    PATH + "/{upload_id}",
    response_class=Response,
    dependencies=_TUS,
    responses=problems(*_KNOWN, UploadRefused, DigestMismatch, *_PUSHED),
)
async def look(upload_id: UUID, request: Request, who: Steward) -> Response:
    """Return the offset to go on from; one at the end says that the batch is entered: if that was cut short, it is done now."""
    arrivals: Arrivals = request.state.arrivals
    row, offset = await arrivals.look(upload_id, by=who)
    return Response(headers=_headers(row, offset) | {"Upload-Length": str(row.byte_count), "Upload-Metadata": row.metadata_header})


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise BodyInterrupted("the connection ended before the part did; ask for the offset and go on from there") from None


@router.patch(
    PATH + "/{upload_id}",
    status_code=204,
    response_class=Response,
    dependencies=_TUS,
    responses=problems(
        *_KNOWN, HeaderUnreadable, PartUnsupported, OffsetConflict, ChecksumMismatch, UploadRefused, DigestMismatch, StorageFull, *_PUSHED
    ),
    openapi_extra={"requestBody": {"required": True, "content": {PART: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def append(
    upload_id: UUID,
    request: Request,
    who: Steward,
    upload_offset: Annotated[str | None, Header(description="where the part begins")] = None,
    upload_checksum: Annotated[str | None, Header(description="of the part: algorithm and base64; a part that differs is not kept")] = None,
) -> Response:
    """Add a part; it is on disk when this is answered. With the last one the file is taken in, and refused as a push of it would be."""
    if request.headers.get("content-type") != PART:
        raise PartUnsupported(f"Content-Type {request.headers.get('content-type')} is not that of a part; send {PART}")
    offset, checksum = domain.count_of(upload_offset, "Upload-Offset"), domain.Checksum.of(upload_checksum)
    arrivals: Arrivals = request.state.arrivals
    row, offset = await arrivals.append(upload_id, offset, _body(request), checksum=checksum, by=who)
    return Response(status_code=204, headers=_headers(row, offset))


@router.delete(PATH + "/{upload_id}", status_code=204, response_class=Response, dependencies=_TUS, responses=problems(*_KNOWN))
async def terminate(upload_id: UUID, request: Request, who: Steward) -> Response:
    """End an upload; a batch that was made of it stays."""
    arrivals: Arrivals = request.state.arrivals
    await arrivals.terminate(upload_id, by=who)
    return Response(status_code=204)


@router.get(PATH + "/{upload_id}", response_model=UploadOut, responses=problems(UploadNotFound, UploadExpired))
async def get_upload(upload_id: UUID, request: Request, who: Steward) -> UploadOut:
    """Return how far an upload is, and why it was refused, if it was."""
    arrivals: Arrivals = request.state.arrivals
    row, offset = await arrivals.find(upload_id, by=who)
    return UploadOut(
        upload_id=row.upload_id,
        resource_id=row.resource_id,
        batch_id=row.batch_id,
        state=domain.State(row.state),
        offset_bytes=offset,
        length_bytes=row.byte_count,
        problem=row.problem,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
