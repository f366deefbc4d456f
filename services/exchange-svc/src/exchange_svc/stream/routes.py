"""HTTP of streams: rows go up line by line, acknowledgements come down meanwhile."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from dxmesh_runtime.auth import Steward
from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import problems
from dxmesh_schemas.exchange import BatchKind
from dxmesh_schemas.problem import UnsupportedMedia
from dxmesh_tabular.media import MediaType, parse_content_type
from exchange_svc.batch.errors import KeyMissing
from exchange_svc.batch.inflate import CodingUnsupported
from exchange_svc.catalog.errors import ResourceNotFound, ResourceWithdrawn
from exchange_svc.notice.errors import VersionNotInForce
from exchange_svc.stream import store
from exchange_svc.stream.errors import StreamConflict, StreamGap, StreamNotFound, StreamsTooMany
from exchange_svc.stream.inflow import Inflow, Line, Wish

router = APIRouter(tags=["streams"])
_PATH = "/v1/resources/{resource_id}/streams/{stream_id}"
_NDJSON: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}

_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "A line where the stream stands, one for each batch that was entered, one at the end", "content": _NDJSON}
}


class StreamQuery(BaseModel):
    """How the rows of a stream apply, where they are cut into batches, and where this connection begins."""

    kind: Literal["append", "upsert", "delete"] = "append"
    version: int | None = Field(default=None, ge=1, description="of the resource, that the rows are made by")
    rows: int = Field(default=5_000, ge=1, le=100_000, description="that a batch has at most")
    bytes: int = Field(default=4 << 20, ge=1_000, le=16 << 20, description="that a batch has at most, and so a line")
    milliseconds: int = Field(default=1_000, ge=10, le=60_000, description="that a row waits for others at most")
    from_row: int = Field(
        default=0,
        ge=0,
        description="number of the first row sent, counted from 0 in the whole stream; rows that are there already are passed over",
    )


class StreamOut(BaseModel):
    """How far a stream is: what comes after `row_count` rows is still to be sent."""

    model_config = ConfigDict(from_attributes=True)
    stream_id: UUID
    resource_id: UUID
    last_number: int
    row_count: int
    last_batch_id: UUID | None
    opened_at: datetime
    advanced_at: datetime | None


class Lines(Response):
    """An answer that goes out line by line while the request's body still comes in."""

    media_type = "application/x-ndjson"

    def __init__(self, lines: AsyncIterator[Line]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "close"})
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Serve the answer; not by the framework's streaming, which reads the connection itself to notice that it ended."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for line in self._lines:
                await send({"type": "http.response.body", "body": orjson.dumps(line) + b"\n", "more_body": True})
        except ClientDisconnect:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@router.post(
    _PATH,
    status_code=200,
    response_class=Lines,
    responses=_ANSWERED
    | problems(
        ResourceNotFound, ResourceWithdrawn, VersionNotInForce, KeyMissing, UnsupportedMedia, StreamConflict, StreamGap, StreamsTooMany
    ),
    openapi_extra={"requestBody": {"required": True, "description": "Rows, one JSON object a line", "content": _NDJSON}},
)
async def send(resource_id: UUID, stream_id: UUID, request: Request, who: Steward, query: Annotated[StreamQuery, Query()]) -> Lines:
    """Send rows for as long as wanted; they are taken in as small batches, each acknowledged by a line as soon as it is durable.

    Whoever was cut off begins again at `next_row` of the last line, or anywhere before it: a row is never taken in twice. Read the answer
    while sending; who does not is waited for.
    """
    if parse_content_type(request.headers.get("content-type")).media is not MediaType.NDJSON:
        raise UnsupportedMedia("a stream is sent as application/x-ndjson, one JSON object a line", supported=[MediaType.NDJSON.value])
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise CodingUnsupported("a stream is sent as it is; push a compressed file as a batch", supported=["identity"])
    wish = Wish(
        kind=BatchKind(query.kind),
        version=query.version,
        rows=query.rows,
        byte_count=query.bytes,
        seconds=query.milliseconds / 1000,
        from_row=query.from_row,
    )
    inflow: Inflow = request.state.inflow
    stream = await inflow.begin(resource_id, stream_id, wish, by=who)

    async def caller() -> Any:
        return await request.state.principals.of(request.headers.get("authorization"))

    return Lines(inflow.run(stream, wish, aiter(request.stream()), caller))


@router.get(_PATH, response_model=StreamOut, responses=problems(StreamNotFound))
async def get_stream(resource_id: UUID, stream_id: UUID, who: Steward, tx: Tx) -> store.Stream:
    """Return how far a stream is."""
    row = await store.find(tx, who.own_organization, stream_id)
    if row is None or row.resource_id != resource_id:
        raise StreamNotFound(f"no row of stream {stream_id} was taken in for resource {resource_id}, or you may not see it")
    return row
