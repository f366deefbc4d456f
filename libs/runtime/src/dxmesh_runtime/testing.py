"""What tests of services share: tokens, a running app, delivered events, the outbox read back, the schema compared."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx
import uvicorn
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from sqlalchemy import Connection, MetaData, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from dxmesh_runtime import outbox, signing
from dxmesh_runtime.consumer import Group, Handlers, Incoming, take_effect
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.settings import AuthSettings
from dxmesh_schemas.event import Event, Meta, event_class

ISSUER = "http://issuer.test"
_START_SECONDS = 20
_Settings = TypeVar("_Settings")
_made: dict[tuple[Callable[..., FastAPI], int], FastAPI] = {}


class Tokens:
    """An issuer for tests: makes tokens, and the settings that accept them."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def auth_settings(self) -> AuthSettings:
        """Return settings that trust this issuer."""
        return AuthSettings(issuer=ISSUER, jwks=json.dumps(signing.jwks(self._key.public_key())))

    def token(self, organization_id: UUID | None, *roles: str, **claims: Any) -> str:
        """Return a token; `claims` replace the usual ones, so that each can be made wrong."""
        now = int(utc_now().timestamp())
        usual: dict[str, Any] = {"iss": ISSUER, "aud": "dxmesh", "sub": "test-client", "iat": now, "exp": now + 900, "roles": list(roles)}
        if organization_id is not None:
            usual["org"] = str(organization_id)
        return signing.sign_jws(self._key, usual | claims)

    def issue(self, organization_id: UUID | None, *roles: str, **claims: Any) -> dict[str, str]:
        """Return the header that carries such a token."""
        return {"Authorization": f"Bearer {self.token(organization_id, *roles, **claims)}"}


def make_app(create: Callable[[_Settings], FastAPI], settings: _Settings) -> FastAPI:
    """Return `create(settings)`; a process keeps one app for those of the same routes and gives it the lifespan of the newest.

    FastAPI works out the routes of each app at its first requests, which takes longer than most tests do. An app knows its settings
    by its lifespan alone, so one that runs already keeps its own.
    """
    app = create(settings)
    kept = _made.setdefault((create, len(app.routes)), app)
    kept.router.lifespan_context = app.router.lifespan_context
    return kept


@asynccontextmanager
async def serving(app: FastAPI, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run the app's lifespan and yield a client to it; server errors are answers, as they are for a real client."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(with_state, raise_app_exceptions=False, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test", **options) as client:
            yield client


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """Serve the app on a free port, for clients that are no part of the test's process; yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(_START_SECONDS):
        while not server.started:  # noqa: ASYNC110  # uvicorn tells it by a flag alone
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


def incoming(event: Event, *, event_id: UUID | None = None, offset: int = 0) -> Incoming:
    """Return an event as the consumer loop hands it over."""
    meta = Meta(event_id or uuid7(), event.TYPE, event.SOURCE, utc_now())
    return Incoming(meta, event, event.encode(), event.TOPIC, 0, offset)


async def deliver(
    sessions: async_sessionmaker[AsyncSession],
    handlers: Handlers,
    *events: Event | Incoming,
    event_id: UUID | None = None,
    consumer: str = "test",
    every: Group | None = None,
) -> Meta:
    """Let events take effect in one transaction, through the inbox, as the loop does; return the last one's context."""
    found = [event if isinstance(event, Incoming) else incoming(event, event_id=event_id) for event in events]
    async with sessions.begin() as tx:
        await take_effect(tx, consumer, handlers, every, found)
    return found[-1].meta


async def outbox_events(sessions: async_sessionmaker[AsyncSession]) -> list[Event]:
    """Return what the outbox holds, in its order."""
    async with sessions() as session:
        rows = (await session.execute(select(outbox.outbox).order_by(outbox.outbox.c.seq))).all()
    events = []
    for row in rows:
        kind = event_class(row.event_type)
        assert kind is not None, f"{row.event_type} is not registered"
        events.append(kind.decode(row.payload))
    return events


async def schema_diff(url: str, *metadata: MetaData) -> list[Any]:
    """Return the differences between a migrated database and what the code says it is; empty when they agree."""

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, [outbox.metadata, *metadata]))  # type: ignore[arg-type]  # a sequence is accepted

    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compare)
    finally:
        await engine.dispose()
