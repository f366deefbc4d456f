"""What is wired for HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI, Request

from dxmesh_runtime import app, signing
from dxmesh_runtime.db import Database
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore
from exchange_svc import dashboard
from exchange_svc.api import routes as apis
from exchange_svc.api.verifying import Verifier
from exchange_svc.batch import routes as batches
from exchange_svc.batch.intake import Intake
from exchange_svc.batch.staging import Staging
from exchange_svc.channel import routes as channels
from exchange_svc.channel.domain import Server
from exchange_svc.clock import routes as clocks
from exchange_svc.correction import routes as corrections
from exchange_svc.demand import routes as demands
from exchange_svc.dispute import routes as disputes
from exchange_svc.enforcement.rows import token_keys
from exchange_svc.grant import routes as grants
from exchange_svc.inventory import routes as inventory
from exchange_svc.lag import routes as lag
from exchange_svc.offer import routes as offers
from exchange_svc.package import routes as packages
from exchange_svc.pages import lists as pages
from exchange_svc.proxy import routes as proxies
from exchange_svc.proxy.forward import Forwarder
from exchange_svc.reader import routes as readers
from exchange_svc.reader.routes import Broker
from exchange_svc.reconciliation import routes as reconciliation
from exchange_svc.report import routes as reports
from exchange_svc.request import routes as requests
from exchange_svc.result import routes as results
from exchange_svc.scenario import routes as scenarios
from exchange_svc.secrets import derived
from exchange_svc.settings import Settings
from exchange_svc.stream import routes as streams
from exchange_svc.stream.inflow import Inflow
from exchange_svc.subscription import routes as subscriptions
from exchange_svc.subscription.opening import Opening
from exchange_svc.upload import routes as uploads
from exchange_svc.upload.arrivals import Arrivals
from exchange_svc.use import routes as uses

ACKNOWLEDGEMENT = "dxmesh-acknowledgement+jws"
keys = APIRouter(tags=["keys"])


@keys.get("/.well-known/jwks.json")
async def get_keys(request: Request) -> dict[str, list[dict[str, str]]]:
    """Return the node's public key, by which acknowledgements are checked (RFC 7517)."""
    found: dict[str, list[dict[str, str]]] = request.state.jwks
    return found


def _broker(settings: Settings, key: Ed25519PrivateKey) -> Broker | None:
    told = settings.reader.told(settings.kafka)
    return None if told is None else Broker(*told, derived(key, "readers"))


def _state(settings: Settings) -> Callable[[Database], AbstractAsyncContextManager[dict[str, Any]]]:
    @asynccontextmanager
    async def state(database: Database) -> AsyncIterator[dict[str, Any]]:
        key = signing.load_key(settings.signing.key_file)
        objects = ObjectStore.open(settings.object_store.url)
        lookup = Lookup(objects, max_bytes=settings.apis.lookup_bytes)
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
            idle_seconds=settings.limits.idle_seconds,
        )
        arrivals = Arrivals(
            database,
            intake,
            settings.staging.folder / "uploads",
            term_seconds=settings.uploads.term_seconds,
            idle_seconds=settings.uploads.idle_seconds,
            max_open=settings.uploads.max_open,
            max_open_bytes=settings.uploads.max_open_bytes,
        )
        inflow = Inflow(
            database,
            intake,
            idle_seconds=settings.streams.idle_seconds,
            max_open=settings.streams.max_open,
            max_open_each=settings.streams.max_open_each,
        )
        sweeping = asyncio.create_task(arrivals.keep_swept(), name="uploads")
        try:
            yield {
                "intake": intake,
                "arrivals": arrivals,
                "inflow": inflow,
                "forwarder": Forwarder(
                    staging,
                    timeout_seconds=settings.proxy.timeout_seconds,
                    answer_max_bytes=settings.proxy.answer_max_bytes,
                    at_once=settings.proxy.at_once,
                    allowed=settings.proxy.allowed_networks,
                ),
                "upload_max_bytes": settings.limits.body_max_bytes,
                "objects": objects,
                "lookup": lookup,
                "verifier": Verifier(
                    objects,
                    lookup,
                    questions_max=settings.apis.questions_max,
                    count_floor=settings.apis.count_floor,
                    counts_per_day=settings.apis.counts_per_day,
                ),
                "jwks": signing.jwks(key.public_key()),
                "cursor_key": derived(key, "cursor"),
                "token_keys": token_keys(derived(key, "pseudonym")),
                "reader_broker": _broker(settings, key),
                "channel_server": Server(*(settings.reader.told(settings.kafka) or (settings.kafka.bootstrap_servers, "PLAINTEXT"))),
                "node": settings.node.code,
                "public_url": settings.public_url,
                "sign": partial(signing.sign_jws, key),
                "opening": Opening(settings.subscriptions, derived(key, "subscription"), settings.node.origin),
                "deadlines": settings.policy.read(),
            }
        finally:
            sweeping.cancel()
            staging.close()

    return state


def create_app(settings: Settings) -> FastAPI:
    """Return the service's HTTP side."""
    found = app.build(
        settings,
        name="exchange-svc",
        title="exchange-svc",
        routers=[
            batches.router,
            uploads.router,
            streams.router,
            requests.router,
            grants.router,
            apis.router,
            uses.router,
            clocks.router,
            corrections.router,
            disputes.router,
            readers.router,
            results.router,
            reconciliation.router,
            channels.router,
            scenarios.router,
            inventory.router,
            demands.router,
            offers.router,
            reports.router,
            subscriptions.router,
            lag.router,
            proxies.router,
            packages.router,
            keys,
            dashboard.router,
            pages.router,
        ],
        state=_state(settings),
    )
    found.add_middleware(uploads.Tus)
    return found
