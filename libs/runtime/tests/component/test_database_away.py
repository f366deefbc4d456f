"""A database that is killed under a request is answered as away, and the next request heals by itself."""

import httpx
from fastapi import APIRouter
from sqlalchemy import text

from dxmesh_runtime import app as http
from dxmesh_runtime.db import Database, Tx
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings, ServiceSettings
from dxmesh_runtime.testing import Tokens, serving

router = APIRouter()


@router.get("/killed")
async def killed(tx: Tx) -> None:
    """Lose the connection in the middle of a transaction, as when the server is killed."""
    await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@router.get("/fine")
async def fine(tx: Tx) -> int:
    """Read something."""
    return int((await tx.execute(text("SELECT 1"))).scalar_one())


@router.get("/wrong")
async def wrong(tx: Tx) -> None:
    """Send SQL that cannot run: a bug of ours, not a database that is away."""
    await tx.execute(text("SELECT nothing FROM nowhere"))


def _settings(url: str) -> ServiceSettings:
    auth = Tokens().auth_settings()
    return ServiceSettings(database=DatabaseSettings(url=url), kafka=KafkaSettings(bootstrap_servers="127.0.0.1:9"), auth=auth)


async def _answers(client: httpx.AsyncClient, *paths: str) -> list[int]:
    return [(await client.get(path)).status_code for path in paths]


async def test_a_lost_connection_is_503_and_the_next_request_is_served(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    async with serving(http.build(_settings(url), name="test", title="test", routers=[router])) as client:
        assert await _answers(client, "/fine", "/killed", "/fine", "/wrong", "/fine") == [200, 503, 200, 500, 200]
        answer = await client.get("/killed")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_database_that_is_not_there_is_503() -> None:
    app = http.build(_settings("postgresql+asyncpg://nobody@127.0.0.1:9/none"), name="test", title="test", routers=[router])
    async with serving(app) as client:
        assert await _answers(client, "/fine", "/readyz") == [503, 503]
