"""A database that is killed under a request is answered as away, and the next request heals by itself."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dxmesh_runtime import app as http
from dxmesh_runtime.db import Database, Tx, connect
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


async def test_connections_the_server_closed_while_they_waited_are_not_handed_out(database: Database) -> None:
    other = connect(DatabaseSettings(url=database.engine.url.render_as_string(hide_password=False)))
    async with database.engine.connect() as one, database.engine.connect() as two:
        drivers = [(await held.get_raw_connection()).driver_connection for held in (one, two)]
    async with other.autocommit.connect() as connection:
        for driver in drivers:
            assert driver is not None
            await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": driver.get_server_pid()})
    async with asyncio.timeout(20):
        while not all(driver.is_closed() for driver in drivers):
            await asyncio.sleep(0.01)
    for _ in drivers:
        async with database.sessions() as tx:
            assert (await tx.execute(text("SELECT 1"))).scalar_one() == 1
    await other.close()


async def test_an_error_says_no_value_that_the_statement_was_about(database: Database) -> None:
    with pytest.raises(DBAPIError, match="division by zero") as told:
        async with database.sessions() as tx:
            await tx.execute(text("SELECT CAST(:value AS text), 1 / 0"), {"value": "of a person"})
    assert "of a person" not in str(told.value)
