"""Rights on a requester's table that are taken away while rows are brought are named with what gives them back; nothing is lost."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from dxmesh_schemas.exchange_subscriptions import SubscriptionPaused

MORE = "code,name,people,since\n330602001,塔山街道,90000,2001-05-01\n330602009,新街道,1,2026-01-01\n".encode()


@pytest.fixture
async def theirs(fresh_database: Any) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
    """Yield their database, as its owner, and the address of a user that may do in it what it is let."""
    url = (await fresh_database("")).replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    parts = urlsplit(url)
    await connection.execute("DROP ROLE IF EXISTS keeper")
    await connection.execute("CREATE ROLE keeper LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO keeper")
    yield connection, parts._replace(netloc=f"keeper:x@{parts.hostname}:{parts.port}", query="sslmode=disable").geturl()
    await connection.execute("DROP OWNED BY keeper; DROP ROLE keeper")
    await connection.close()


async def test_rights_that_are_taken_away_pause_the_subscription_until_they_are_given_back(node: Any, until: Any, theirs: Any) -> None:
    exchange, (owner, url) = node.exchange, theirs
    resource = await exchange.publish()
    made = await node.subscribed(await exchange.granted(resource), {"mode": "table", "url": url, "table": "streets", "create": True})
    await owner.execute("ALTER TABLE streets OWNER TO CURRENT_USER; ALTER TABLE dxmesh_place OWNER TO CURRENT_USER")
    await owner.execute("GRANT ALL ON streets, dxmesh_place TO keeper; REVOKE CREATE ON SCHEMA public FROM keeper")
    await exchange.accepted(resource.resource_id)
    await node.flow()

    async def stands(**expected: Any) -> Any:
        found = await node.seen(made)
        return found if expected.items() <= found.items() else None

    async with node.working():
        await until(lambda: stands(row_count=3))
        for taken in ("INSERT ON streets", "SELECT, UPDATE ON dxmesh_place", "DELETE ON streets"):
            await owner.execute(f"REVOKE {taken} FROM keeper")
            await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
            await node.flow()
            reason = (await until(lambda: stands(state="paused")))["reason"]
            told = [event.reason for event in await exchange.outbox() if isinstance(event, SubscriptionPaused)]
            assert "permission denied" not in reason, "what the database says is not passed on"
            assert told[-1] == reason
            refused = await node.post(made["path"] + "/resumption", {"reason": "x"})
            assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (422, "table-unfit")
            assert f"keeper may not {taken.partition(' ON ')[0]} on" in refused.json()["detail"]
            for statement in reason.partition("run: ")[2].split("; "):
                await owner.execute(statement)
            assert (await node.post(made["path"] + "/resumption", {"reason": "已授权"})).status_code == 201
            await until(lambda: stands(state="active", failing_since=None))
        await until(lambda: stands(row_count=9))
    rows = [tuple(row) for row in await owner.fetch("SELECT code, people FROM streets ORDER BY code")]
    assert rows == [("330602001", 90000), ("330602002", None), ("330602003", 55000), ("330602009", 1)]
