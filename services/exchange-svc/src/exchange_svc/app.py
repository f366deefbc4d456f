"""What is wired for HTTP."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI, Request

from dxmesh_runtime import app, signing
from dxmesh_runtime.db import Database
from dxmesh_tabular.store import ObjectStore
from exchange_svc import dashboard
from exchange_svc.batch import routes as batches
from exchange_svc.batch.intake import Intake
from exchange_svc.batch.staging import Staging
from exchange_svc.grant import routes as grants
from exchange_svc.request import routes as requests
from exchange_svc.settings import Settings

ACKNOWLEDGEMENT = "dxmesh-acknowledgement+jws"
keys = APIRouter(tags=["keys"])


@keys.get("/.well-known/jwks.json")
async def get_keys(request: Request) -> dict[str, list[dict[str, str]]]:
    """Return the node's public key, by which acknowledgements are checked (RFC 7517)."""
    found: dict[str, list[dict[str, str]]] = request.state.jwks
    return found


def _cursor_key(key: Ed25519PrivateKey) -> bytes:
    """Return a key for cursors that every process of this node has, and nobody else."""
    return hashlib.sha256(b"dxmesh cursor\n" + key.private_bytes_raw()).digest()


def _state(settings: Settings) -> Callable[[Database], AbstractAsyncContextManager[dict[str, Any]]]:
    @asynccontextmanager
    async def state(database: Database) -> AsyncIterator[dict[str, Any]]:
        key = signing.load_key(settings.signing.key_file)
        objects = ObjectStore.open(settings.object_store.url)
        staging = Staging.open(settings.staging.folder)
        intake = Intake(
            database,
            objects,
            staging,
            partial(signing.sign_jws, key, typ=ACKNOWLEDGEMENT),
            node=settings.node.code,
            body_max_bytes=settings.limits.body_max_bytes,
            inflated_max_bytes=settings.limits.inflated_max_bytes,
            parse_concurrency=settings.limits.parse_concurrency,
        )
        try:
            yield {"intake": intake, "objects": objects, "jwks": signing.jwks(key.public_key()), "cursor_key": _cursor_key(key)}
        finally:
            staging.close()

    return state


def create_app(settings: Settings) -> FastAPI:
    """Return the service's HTTP side."""
    return app.build(
        settings,
        name="exchange-svc",
        title="exchange-svc",
        routers=[batches.router, requests.router, grants.router, keys, dashboard.router],
        state=_state(settings),
    )
