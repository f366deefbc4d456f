"""A database becomes a draft of a catalogue: from its system catalogue alone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from dxmesh_client import catalog_scan
from dxmesh_client.catalog_scan import Column
from dxmesh_client.errors import ClientError, Unreachable
from dxmesh_schemas.catalog import DataItem

_TABLES = """
CREATE TYPE state AS ENUM ('在营', '注销');
CREATE DOMAIN uscc AS varchar(18);
CREATE TABLE enterprise (
  id uuid PRIMARY KEY, code uscc NOT NULL, name varchar(200), capital numeric(18, 2), people integer, ratio double precision,
  opened_on date, changed_at timestamptz, local_at timestamp, is_valid boolean, note text, place point, state state,
  big numeric, "count" numeric(9, 0), "联系 电话" varchar(20), "Name" char(3), "1st_" int2
);
COMMENT ON TABLE enterprise IS E'企业\\n登记信息';
COMMENT ON COLUMN enterprise.code IS '统一社会信用代码';
COMMENT ON COLUMN enterprise.name IS '企业名称';
COMMENT ON COLUMN enterprise."Name" IS '企业名称';
CREATE SCHEMA archive;
CREATE TABLE archive.enterprise (id integer, year integer, PRIMARY KEY (id, year));
COMMENT ON TABLE archive.enterprise IS '企业登记信息';
CREATE VIEW active AS SELECT id, name FROM enterprise;
CREATE TABLE part (id integer) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9);
INSERT INTO enterprise (id, code, name) SELECT gen_random_uuid(), '91330600MA00000000', '甲公司' FROM generate_series(1, 100);
"""
_DRAFT: dict[str, Any] = {"system": "企业登记系统", "class_path": "3/30/102/01", "update_cycle": "DAILY"}


@pytest.fixture
async def database(fresh_database: Callable[[str], Awaitable[str]]) -> str:
    """Yield the address of a database with tables, for a role that may read none of them."""
    url = (await fresh_database("")).replace("+asyncpg", "")
    admin = await asyncpg.connect(url)
    await admin.execute(_TABLES)
    await admin.execute("DO $$ BEGIN CREATE ROLE looker LOGIN PASSWORD 'looks'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    await admin.close()
    return url


def as_looker(url: str) -> str:
    scheme, rest = url.split("://", 1)
    return f"{scheme}://looker:looks@{rest.rsplit('@', 1)[-1]}"


async def columns_of(url: str, schemas: list[str] | None = None) -> list[Column]:
    return await asyncio.to_thread(catalog_scan.scan, url, schemas)


async def test_tables_become_resources_and_columns_items_with_their_comments_as_names(database: str) -> None:
    definitions, notes = catalog_scan.draft(await columns_of(as_looker(database)), **_DRAFT)
    assert [one["name"] for one in definitions] == ["企业登记信息", "active", "企业 登记信息", "part"]
    enterprise = definitions[2]
    items = {item["code"]: item for item in enterprise["items"]}
    assert enterprise["key"] == ["id"]
    assert definitions[0]["key"] == ["id", "year"]
    assert items["id"] == {"code": "id", "name": "id", "data_type": "C", "length": 36, "required": True}
    assert items["code"] == {"code": "code", "name": "统一社会信用代码", "data_type": "C", "length": 18, "required": True}
    kinds = {code: (item["data_type"], item.get("scale"), item.get("length")) for code, item in items.items()}
    assert kinds["name"] == ("C", None, 200)
    assert kinds["capital"] == ("N", 2, None)
    assert kinds["people"] == kinds["count"] == ("I", None, None)
    assert kinds["ratio"] == ("B", None, None)
    assert kinds["opened_on"] == ("D", None, None)
    assert kinds["changed_at"] == kinds["local_at"] == ("T", None, None)
    assert kinds["is_valid"] == ("L", None, None)
    assert kinds["note"] == ("M", None, None)
    assert kinds["place"] == ("G", None, None)
    assert items["state"]["enumeration"] == ["在营", "注销"]
    assert items["Name_2"]["name"] == "企业名称 (2)"  # item codes and names differ without regard to case
    assert items["c_1st"]["data_type"] == "I"
    for definition in definitions:
        for item in definition["items"]:
            DataItem.model_validate(item)
    said = {(note.table, note.column) for note in notes}
    assert {("active", ""), ("enterprise", "place"), ("enterprise", "big"), ("enterprise", "local_at"), ("enterprise", "id")} <= said


async def test_only_the_schemas_that_were_named_are_drafted(database: str) -> None:
    definitions, _ = catalog_scan.draft(await columns_of(database, ["archive"]), **_DRAFT)
    assert [one["name"] for one in definitions] == ["企业登记信息"]
    assert await columns_of(database, ["nothing"]) == []


async def test_no_row_is_read(database: str) -> None:
    """The role may read no table at all, and the tables were never scanned."""
    connection = await asyncpg.connect(database)
    before = await connection.fetchval("SELECT sum(seq_scan + COALESCE(idx_scan, 0)) FROM pg_stat_user_tables")
    await columns_of(as_looker(database))
    looker = await asyncpg.connect(as_looker(database))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await looker.fetch("SELECT * FROM enterprise")
    await looker.close()
    await columns_of(database)
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    assert await connection.fetchval("SELECT sum(seq_scan + COALESCE(idx_scan, 0)) FROM pg_stat_user_tables") == before
    await connection.close()


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("mysql://root@localhost/x", ClientError, "postgresql://"),
        ("postgresql://nobody@127.0.0.1:1/none", Unreachable, "does not answer"),
        ("postgresql://nobody@127.0.0.1:port/none", ClientError, "cannot be scanned"),
    ],
)
async def test_what_is_no_database_is_named_in_one_line(url: str, kind: type[ClientError], words: str) -> None:
    with pytest.raises(kind, match=words):
        await columns_of(url)


def test_hostile_names_become_codes_and_names_that_the_catalogue_takes() -> None:
    odd = ["___", "数据", "9", "a" * 63, "A" * 63, "x\x00y", "ends_", "Ends"]
    columns = [
        Column("public", "t", "\u200b\u202e\x07", name, "名\u200b称" if at % 2 else None, False, "text", -1, "b", None, False)
        for at, name in enumerate(odd)
    ]
    definitions, _ = catalog_scan.draft(columns, **_DRAFT)
    items = [DataItem.model_validate(item) for item in definitions[0]["items"]]
    codes = [item.code.lower() for item in items]
    assert len(set(codes)) == len(codes)
    assert not any(code.endswith("_") for code in codes)
    assert definitions[0]["name"] == "t"
