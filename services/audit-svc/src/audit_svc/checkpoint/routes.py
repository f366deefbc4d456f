"""The newest checkpoint and the key that signs it."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from audit_svc.checkpoint import store
from audit_svc.checkpoint.errors import NoCheckpointYet
from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import problems

router = APIRouter(tags=["log"])


@router.get("/checkpoint", response_class=PlainTextResponse, responses=problems(NoCheckpointYet))
async def get_checkpoint(tx: Tx) -> PlainTextResponse:
    """Return the newest signed checkpoint (C2SP tlog-checkpoint)."""
    return PlainTextResponse((await store.get_newest(tx)).note, headers={"Cache-Control": "no-cache"})


@router.get("/v1/log-key", response_class=PlainTextResponse)
async def get_log_key(request: Request) -> PlainTextResponse:
    """Return the log's verifier key (C2SP signed-note): keep it, receipts are checked with it."""
    return PlainTextResponse(request.state.signer.log_key + "\n", headers={"Cache-Control": "public, max-age=300"})
