"""The agent at a table of the department: rows are sent once, in their order, also those of one moment, also when it is killed."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from dxmesh_client.agent.check import check
from dxmesh_client.agent.config import ConfigInvalid, load
from dxmesh_client.client import Client

COLUMNS = "code text primary key, name text, people bigint, since date"


def job(resource: Any, url: str, **table: object) -> str:
    told = {"url": url, "table": "street", "key": ["code"], "settle_seconds": 0, **table}
    lines = [f'name = "streets"\nresource_id = "{resource.resource_id}"', "[job.table]"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in told.items() if name != "columns")]) + (
        "\n[job.table.columns]\n" + "\n".join(f"{item} = {json.dumps(column)}" for item, column in told["columns"].items())  # type: ignore[attr-defined]
        if "columns" in told
        else ""
    )


class Sqlite:
    """A department's database in a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "streets.db"
        self.url = f"sqlite:///{self.path}"

    def do(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()


@pytest.fixture
def sqlite(department: Any) -> Sqlite:
    return Sqlite(department.folder)


async def test_rows_are_read_by_key_in_batches_and_only_new_ones_are_sent_again(department: Any, sqlite: Sqlite) -> None:
    resource = await department.exchange.publish()
    sqlite.do(f"create table street ({COLUMNS})", *(f"insert into street values ('{n}', 'a', {n}, '2001-05-01')" for n in (1, 2, 3)))
    config = department.write(job(resource, sqlite.url, rows=2))
    assert await department.once(config)
    assert await department.batches() == [("append", ["1", "2"]), ("append", ["3"])]
    assert await department.once(config)
    sqlite.do("insert into street values ('4', 'b', null, null)")
    assert await department.once(config)
    assert (await department.batches())[2:] == [("append", ["4"])]


async def test_rows_of_one_moment_at_the_border_of_a_batch_are_sent_once(department: Any, sqlite: Sqlite) -> None:
    resource = await department.exchange.publish()
    sqlite.do(f"create table street ({COLUMNS}, at datetime)")
    sqlite.do(*(f"insert into street values ('{n}', 'a', 1, null, '2026-01-01 10:00:00')" for n in range(7)))
    config = department.write(job(resource, sqlite.url, rows=3, changed="at", columns={"code": "code", "name": "name"}))
    assert await department.once(config)
    assert await department.batches() == [("upsert", ["0", "1", "2"]), ("upsert", ["3", "4", "5"]), ("upsert", ["6"])]
    assert await department.once(config)
    assert len(await department.batches()) == 3
    sqlite.do("update street set name = 'b', at = '2026-01-01 10:00:01' where code = '2'")
    assert await department.once(config)
    assert (await department.batches())[3:] == [("upsert", ["2"])]


async def test_a_row_whose_moment_is_not_over_waits_for_those_that_may_still_come_before_it(department: Any, sqlite: Sqlite) -> None:
    resource = await department.exchange.publish()
    now = datetime.now(UTC)
    sqlite.do(f"create table street ({COLUMNS}, at datetime)")
    for code, age in (("old", timedelta(hours=2)), ("young", timedelta(minutes=10))):
        sqlite.do(f"insert into street values ('{code}', 'a', 1, null, '{(now - age):%Y-%m-%d %H:%M:%S}')")
    known = {"changed": "at", "clock": "utc", "columns": {"code": "code", "name": "name"}}
    assert await department.once(department.write(job(resource, sqlite.url, settle_seconds=3600, **known)))
    assert await department.batches() == [("upsert", ["old"])]
    assert await department.once(department.write(job(resource, sqlite.url, settle_seconds=60, **known)))
    assert await department.batches() == [("upsert", ["old"]), ("upsert", ["young"])]


async def test_rows_marked_as_deleted_are_deleted(department: Any, sqlite: Sqlite) -> None:
    resource = await department.exchange.publish()
    sqlite.do(f"create table street ({COLUMNS}, at datetime, gone integer)")
    sqlite.do(*(f"insert into street values ('{n}', 'a', 1, null, '2026-01-01 10:00:00', {n % 2})" for n in range(4)))
    known = {"changed": "at", "deleted": "gone", "columns": {"code": "code", "name": "name"}}
    config = department.write(job(resource, sqlite.url, **known))
    assert await department.once(config)
    assert await department.batches() == [("upsert", ["0", "2"]), ("delete", ["1", "3"])]
    sqlite.do("update street set gone = 1, at = '2026-01-01 11:00:00' where code = '0'")
    assert await department.once(config)
    assert (await department.batches())[2:] == [("delete", ["0"])]


async def test_a_snapshot_tells_of_rows_that_went_without_a_mark_and_what_it_held_is_not_sent_again(
    department: Any, sqlite: Sqlite
) -> None:
    resource = await department.exchange.publish()
    sqlite.do(f"create table street ({COLUMNS}, at datetime)")
    sqlite.do(*(f"insert into street values ('{n}', 'a', 1, null, '2026-01-01 10:00:00')" for n in range(3)))
    config = department.write(job(resource, sqlite.url, changed="at", snapshot_hours=24, columns={"code": "code", "name": "name"}))
    assert await department.once(config)
    assert await department.batches() == [("snapshot", ["0", "1", "2"])]
    sqlite.do("delete from street where code = '1'", "insert into street values ('3', 'a', 1, null, '2026-01-01 10:00:00')")
    assert await department.once(config)
    assert (await department.batches())[1:] == [("upsert", ["3"])]
    place = department.folder / "state" / "streets.json"
    kept = json.loads(place.read_text())
    place.write_text(json.dumps(kept | {"snapshot_at": (datetime.now(UTC) - timedelta(hours=25)).isoformat()}))
    assert await department.once(config)
    assert (await department.batches())[2:] == [("snapshot", ["0", "2", "3"])]


@pytest.mark.parametrize("moment", ["before the answer", "after the answer"])
async def test_a_kill_between_any_two_steps_neither_loses_nor_doubles(department: Any, sqlite: Sqlite, moment: str) -> None:
    resource = await department.exchange.publish()
    sqlite.do(f"create table street ({COLUMNS}, at datetime)")
    sqlite.do(*(f"insert into street values ('{n}', 'a', 1, null, '2026-01-01 10:00:00')" for n in range(3)))
    config = department.write(job(resource, sqlite.url, changed="at", columns={"code": "code", "name": "name"}))
    state, copy = department.folder / "state", department.folder / "copy"
    there = department.link.target
    department.link.retarget("http://127.0.0.1:1")
    assert not await department.once(config)  # read, laid down, not sent
    shutil.copytree(state, copy)
    department.link.retarget(there)
    sqlite.do("update street set name = 'b', at = '2026-01-01 11:00:00' where code = '1'")  # what was laid down stays as it is
    if moment == "after the answer":
        assert await department.once(config)
        shutil.rmtree(state)
        copy.rename(state)  # as if the place had not reached the disk
    assert await department.once(config)
    assert await department.batches() == [("upsert", ["0", "1", "2"]), ("upsert", ["1"])]


async def test_a_table_of_postgresql_is_read_with_its_types(department: Any) -> None:
    exchange = department.exchange
    resource = await exchange.publish()
    engine = create_async_engine(exchange.url)

    async def do(*statements: str) -> None:
        async with engine.begin() as tx:
            for statement in statements:
                await tx.execute(text(statement))

    await do(
        "create schema civil",
        f"create table civil.street ({COLUMNS}, weight numeric(8,2), at timestamptz default now(), gone_at timestamptz)",
    )
    await do("insert into civil.street values ('1', '塔山街道', 81234, '2001-05-01', 1.50), ('2', '府山街道', null, null, null)")
    known = {"table": "civil.street", "changed": "at", "deleted": "gone_at"}
    columns = {"code": "code", "name": "name", "people": "people", "since": "since"}
    url = exchange.url.replace("postgresql+asyncpg", "postgresql")
    config = department.write(job(resource, url, **known, columns=columns))
    assert await department.once(config)
    assert await department.batches() == [("upsert", ["1", "2"])]
    assert await department.once(config)
    await do("update civil.street set gone_at = now(), at = now() where code = '2'")
    assert await department.once(config)
    assert (await department.batches())[1:] == [("delete", ["2"])]
    other = department.write(job(resource, url, **known | {"key": ["name"]}, columns=columns))
    assert not await department.once(other)  # a place in another order is no place
    await engine.dispose()


async def test_what_is_wrong_with_a_job_is_explained(department: Any, sqlite: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = await department.exchange.publish()
    sqlite.do(f"create table street ({COLUMNS}, at text)", "insert into street values ('1', 'a', 1, null, null)")

    async def told(config: Path) -> str:
        def look() -> str:
            with Client(department.profile) as client:
                return " ".join(one.wrong for one in check(load(config), client) if one.wrong)

        return await asyncio.to_thread(look)

    assert await told(department.write(job(resource, sqlite.url))) == ""
    assert "has no column nothing; it has code, name" in await told(department.write(job(resource, sqlite.url, changed="nothing")))
    at = await told(department.write(job(resource, sqlite.url, changed="at")))
    assert "1 rows have no value in at or code" in at
    assert "at is no date or time" in at
    assert "no table or view" in await told(department.write(job(resource, sqlite.url, table="nowhere")))
    assert "is not set" in await told(department.write(job(resource, "", url_env="STREETS_DB")))
    monkeypatch.setenv("STREETS_DB", sqlite.url)
    assert await told(department.write(job(resource, "", url_env="STREETS_DB"))) == ""
    foreign = department.write(job(resource, sqlite.url).replace(str(resource.resource_id), "01a205ed-764e-7227-959d-293f858c76f1"))
    assert "write the id of a published resource of your organization" in await told(foreign)


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "no TOML": (lambda found: "[agent", "is not TOML"),
    "an unknown key": (lambda found: found.replace("[agent]", "[agent]\nspeed = 3"), "agent.speed"),
    "no key": (lambda found: found.replace('key = ["code"]', ""), "`key` is missing"),
    "a mark without a moment": (lambda found: found + '\ndeleted = "gone"', "`deleted` needs `changed`"),
    "two sources": (lambda found: found + '\n[job.folder]\npath = "x"', "one source"),
    "two jobs of one name": (lambda found: found + "\n[[job]]" + found.split("[[job]]")[1], "streets stands for two jobs"),
    "no database": (lambda found: found.replace("url = ", "#"), "`url_env`"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_faulty_configuration_names_the_place(tmp_path: Path, what: str) -> None:
    class One:
        resource_id = "01a205ed-764e-7227-959d-293f858c76f1"

    good = '[agent]\nname = "front-1"\n[[job]]\n' + job(One, "sqlite:///x.db")
    change, told = WRONG[what]
    file = tmp_path / "agent.toml"
    file.write_text(good)
    assert load(file).job[0].name == "streets"
    file.write_text(change(good))
    with pytest.raises(ConfigInvalid) as wrong:
        load(file)
    assert told in str(wrong.value)
