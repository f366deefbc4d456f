"""The agent at a table where things go wrong: places that are torn, keys that are none, clocks that are set back, databases that refuse."""

import asyncio
import json
import os
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import cramjam
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from dxmesh_client.agent import run as running
from dxmesh_client.agent.config import ConfigInvalid, load
from dxmesh_client.agent.place import Place, PlaceFile, overdue
from dxmesh_client.agent.sending import Sender
from dxmesh_client.agent.table import TableJob
from dxmesh_client.client import Client

RESOURCE_ID = "01a205ed-764e-7227-959d-293f858c76f1"
MOMENT = "2026-01-01 10:00:00"


def job(url: str, **table: object) -> str:
    told = {"url": url, "table": "street", "key": ["code"], "settle_seconds": 0, **table}
    return f'name = "streets"\nresource_id = "{RESOURCE_ID}"\n[job.table]\n' + "\n".join(
        f"{name} = {json.dumps(told[name])}" for name in told
    )


def codes(node: Any) -> list[list[str]]:
    """Return the codes in every batch that was sent."""
    return [[json.loads(line)["code"] for line in bytes(cramjam.zstd.decompress(body)).splitlines()] for body in node.bodies]


@pytest.fixture
def streets(tmp_path: Path) -> Any:
    """Yield what does statements in a department's database, which has a table with three rows of one moment."""

    def do(*statements: str) -> str:
        with closing(sqlite3.connect(tmp_path / "streets.db")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return f"sqlite:///{tmp_path / 'streets.db'}"

    do("create table street (code text, at datetime)", *(f"insert into street values ('{n}', '{MOMENT}')" for n in range(3)))
    return do


@pytest.mark.parametrize("content", ["", "{", "[]", '{"source": "x"}', '{"source": "x", "after": [{"date": "x"}], "then": null}'])
def test_a_torn_place_is_no_place_and_says_what_to_do(tmp_path: Path, content: str) -> None:
    file = tmp_path / "streets.json"
    file.write_text(content)
    with pytest.raises(ConfigInvalid, match="put it back from a backup"):
        PlaceFile(file, "x").load()
    with pytest.raises(ConfigInvalid, match="column of type bytes"):
        PlaceFile(file, "x").save(Place(then=(b"1",)))


def test_a_snapshot_of_a_time_to_come_was_told_by_a_wrong_clock() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [overdue(now + timedelta(hours=hours), 24, now) for hours in (-24, -23, 0, 1)] == [True, False, False, True]


async def test_a_key_that_does_not_tell_rows_apart_stops_the_job_before_one_is_passed_over(node: Any, streets: Any) -> None:
    url = streets(f"insert into street values ('1', '{MOMENT}')")
    assert not await node.once(job(url, changed="at", rows=2))
    assert "do not tell the rows of street apart" in node.reports[-1]["detail"]
    assert await node.once(job(url, changed="at", rows=3)), "both are in one batch"


async def test_rows_that_the_node_refuses_are_read_anew_once_the_job_is_mended(node: Any, streets: Any) -> None:
    url = streets()
    node.refusal = (422, {"type": "https://dxmesh.example/problems/header-unknown", "title": "No", "status": 422})
    assert not await node.once(job(url))
    node.refusal = None
    assert await node.once(job(url) + '\n[job.table.columns]\ncode = "code"')
    assert b'"at"' in bytes(cramjam.zstd.decompress(node.bodies[0]))
    assert (codes(node)[1:], b'"at"' in bytes(cramjam.zstd.decompress(node.bodies[1]))) == ([["0", "1", "2"]], False)


async def test_rows_that_were_laid_down_and_are_gone_are_read_again(node: Any, streets: Any) -> None:
    url, spool = streets(), node.folder / "state" / "spool" / "streets"
    node.refusal = (503, {"title": "No", "status": 503})
    assert not await node.once(job(url, changed="at", snapshot_hours=24))
    [laid] = spool.iterdir()
    laid.unlink()
    (spool / "left.ndjson.zst").write_bytes(b"of a kill before the place told of it")
    node.refusal = None
    assert not await node.once(job(url, changed="at", snapshot_hours=24))
    assert await node.once(job(url, changed="at", snapshot_hours=24))
    assert codes(node)[1:] == [["0", "1", "2"]]
    assert list(spool.iterdir()) == []


async def test_rows_that_were_laid_down_and_are_at_the_node_are_not_read_again(node: Any, streets: Any) -> None:
    url, place = streets(), node.folder / "state" / "streets.json"
    kept: list[str] = []
    node.on_batch = lambda: kept.append(place.read_text())
    assert await node.once(job(url))
    place.write_text(kept[0])  # as if the last word had not reached the disk, and the file had gone with it
    streets(f"insert into street values ('3', '{MOMENT}')")
    assert await node.once(job(url))
    assert codes(node) == [["0", "1", "2"], ["3"]]


async def test_nothing_is_sent_before_the_place_is_on_disk(node: Any, streets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk and a kill would else make another batch of the same rows."""
    config = load(node.write(job(streets())))
    [one], place, synced, really = config.job, node.folder / "state" / "streets.json", [0], os.fsync
    assert one.table is not None
    with Client(node.profile, patience_seconds=0) as client:
        sender = Sender(client, config.agent, one.name, one.resource_id)
        table = TableJob(one, one.table, sender, config.agent.state, threading.Event())

        def full(descriptor: int) -> None:
            synced[0] += 1
            if synced[0] > 2:  # the rows, and their name
                raise OSError(28, "No space left on device")
            really(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OSError, match="No space"):
                await asyncio.to_thread(table.step)
        kept: list[int] = []
        node.on_batch = lambda: kept.append(len(json.loads(place.read_text())["pending"]))
        assert await asyncio.to_thread(table.step)
    assert (codes(node), kept) == ([["0", "1", "2"]], [1])


async def test_a_clock_that_was_set_back_passes_no_row_over(node: Any, streets: Any) -> None:
    url, now = streets(), datetime.now(UTC)
    streets("create table late (code text, at datetime)")
    known = {"table": "late", "changed": "at", "clock": "utc"}
    hours = iter((now - timedelta(hours=3), now - timedelta(hours=1)))
    streets(*(f"insert into late values ('{code}', '{next(hours):%Y-%m-%d %H:%M:%S}')" for code in ("first", "second")))
    assert await node.once(job(url, **known))
    place = node.folder / "state" / "streets.json"
    assert await node.once(job(url, **known, settle_seconds=7200))  # as if it were two hours ago
    streets(f"insert into late values ('third', '{now - timedelta(minutes=90):%Y-%m-%d %H:%M:%S}')")
    assert json.loads(place.read_text())["then"] is None
    assert await node.once(job(url, **known))
    assert codes(node) == [["first", "second"], ["third", "second"]]


async def test_rows_by_key_alone_wait_for_those_that_a_slower_transaction_may_put_before_them(node: Any, streets: Any) -> None:
    url = streets("delete from street where code = '1'")
    waited: list[float | None] = []

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            if len(waited) == 1:  # one transaction was slower than another, and one began later
                streets("insert into street values ('1', null)", "insert into street values ('3', null)")
            return False

    config = load(node.write(job(url, settle_seconds=30, rows=2)))
    connect = partial(Client, node.profile, patience_seconds=0)
    assert await asyncio.to_thread(running.run, config, once=True, stop=Waiting(), connect=connect)
    assert (codes(node), waited) == ([["0", "1"], ["2"], ["3"]], [30, 30])


async def test_a_number_that_json_has_no_form_for_spoils_no_batch(node: Any, streets: Any) -> None:
    url = streets("create table measured (code text, value real)", "insert into measured values ('1', 9e999)")
    assert await node.once(job(url, table="measured"))
    [line] = bytes(cramjam.zstd.decompress(node.bodies[0])).splitlines()
    assert json.loads(line) == {"code": "1", "value": "inf"}


async def test_a_clock_of_postgresql_that_was_set_back_is_seen_and_a_database_that_is_not_there_waited_for(
    node: Any, exchange: Any
) -> None:
    url = exchange.url.replace("postgresql+asyncpg", "postgresql")
    assert not await node.once(job(url.rsplit("/", 1)[0] + "/nowhere"))
    assert node.reports == [], "as a node that is not there"
    engine = create_async_engine(exchange.url)
    async with engine.begin() as tx:
        await tx.execute(text("create table civil_street (code text primary key, at timestamptz default now())"))
        await tx.execute(text("insert into civil_street values ('1')"))
    assert await node.once(job(url, table="civil_street", changed="at"))
    place = node.folder / "state" / "streets.json"
    kept = json.loads(place.read_text())
    place.write_text(json.dumps(kept | {"after": [{"datetime": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "1"]}))
    assert await node.once(job(url, table="civil_street", changed="at"))
    async with engine.begin() as tx:
        await tx.execute(text("insert into civil_street values ('2')"))
    await engine.dispose()
    assert await node.once(job(url, table="civil_street", changed="at"))
    assert codes(node) == [["1"], ["2"]]
