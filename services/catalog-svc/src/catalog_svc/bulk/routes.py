"""Entering many resources over HTTP."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from catalog_svc.bulk import commands, domain
from catalog_svc.bulk.domain import Outcome, Until
from catalog_svc.bulk.errors import ImportInvalid
from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden, TooLarge, UnsupportedMedia

router = APIRouter(prefix="/v1/resources", tags=["resources"])
_MEDIA = ("application/x-ndjson", "application/jsonl", "application/ndjson")


class FaultOut(BaseModel):
    """What is wrong with a field, and what to do."""

    pointer: str
    detail: str


class LineOut(BaseModel):
    """What became of a line; `state` is where its draft stands now, or `published`."""

    row: int
    outcome: Outcome
    name: str | None
    resource_id: UUID | None
    state: str | None
    slug: str | None
    errors: list[FaultOut]


class ReportOut(BaseModel):
    """What became of every line, in their order, and how many came to which outcome."""

    counts: dict[Outcome, int]
    rows: list[LineOut]


async def _body(request: Request) -> bytes:
    """Return the lines. Raises: UnsupportedMedia (415), TooLarge (413), ImportInvalid (422)."""
    essence = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if essence not in _MEDIA:
        raise UnsupportedMedia(f"the body is sent as {essence or 'nothing'}; send a JSON object a line with Content-Type: {_MEDIA[0]}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > domain.MAX_BYTES:
            raise TooLarge(f"the body has more than {domain.MAX_BYTES} bytes; send the lines in several requests")
    lines = domain.read_lines(bytes(body))
    if not lines:
        raise ImportInvalid("the body has no lines; send a resource as a JSON object a line")
    if len(lines) > domain.MAX_LINES:
        raise TooLarge(f"the body has {len(lines)} lines; send at most {domain.MAX_LINES} in a request")
    return bytes(body)


@router.post(
    "/import",
    response_model=ReportOut,
    responses=problems(UnsupportedMedia, TooLarge, ImportInvalid, Forbidden),
    openapi_extra={"requestBody": {"required": True, "content": {_MEDIA[0]: {"schema": {"type": "string"}}}}},
)
async def import_lines(
    request: Request, who: Who, until: Annotated[Until, Query(description="how far each resource is taken")] = Until.DRAFT
) -> Response:
    """Enter up to 1,000 resources, a JSON object a line (NDJSON), each in a transaction of its own; report on each.

    A line is an entry as under `POST /v1/resources`, where `system` may name the system instead of `system_id`, and `provider` the
    organization, by its unified social credit code or its name; `assessments` is what an approval rests on. A resource that is
    there under the same provider and name is changed, or left as it is when nothing differs: an import that broke off is sent again.
    """
    state = request.state
    work = commands.Import(state.sessions, who, until, state.publication_policy, state.code_scheme, state.deadlines, state.public_url)
    report = await work.run(await _body(request), now=utc_now())
    rows = [commands.as_json(told) for told in report.told]
    return Response(orjson.dumps({"counts": report.counts, "rows": rows}, default=str), media_type="application/json")
