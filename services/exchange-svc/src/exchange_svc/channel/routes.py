"""HTTP of channels: the AsyncAPI document."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from dxmesh_runtime.auth import Who
from dxmesh_runtime.db import Tx, utc_now
from exchange_svc.access import whose
from exchange_svc.channel import domain, store
from exchange_svc.enforcement.schema import of_view
from exchange_svc.reader.domain import group_prefix

router = APIRouter(prefix="/v1", tags=["channels"])
MEDIA_TYPE = "application/vnd.aai.asyncapi+json"


@router.get("/asyncapi.json", response_class=JSONResponse, responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}})
async def describe(request: Request, who: Who, tx: Tx) -> JSONResponse:
    """Return the AsyncAPI 3 document of the topics the caller's organization may read now; of every topic for the data authority."""
    organization_id = whose(who)
    channels = await store.list_channels(tx, organization_id=organization_id, now=utc_now())
    schemas = {one.view.view_id: of_view(one.view, one.resource)["properties"] for one in channels}
    server: domain.Server = request.state.channel_server
    prefix = None if organization_id is None else group_prefix(organization_id)
    found = domain.document(channels, server, node=request.state.node, group_prefix=prefix, schemas=schemas)
    return JSONResponse(found, media_type=MEDIA_TYPE)
