"""Files become entries of a running catalogue: what is good is entered, what is not is named by row and column."""

import asyncio
import csv
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import fastexcel
import polars as pl
import pytest
import xlsxwriter

from catalog_svc.app import create_app
from catalog_svc.settings import BootstrapSettings, Settings
from dxmesh_client import Client, Profile, catalog_import
from dxmesh_client.errors import ClientError, ProblemAnswer
from dxmesh_local import process
from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres
from dxmesh_runtime import migrate, signing
from dxmesh_runtime.settings import AuthSettings, DatabaseSettings, KafkaSettings, SigningSettings
from dxmesh_runtime.testing import listening

HEADER = [
    "信息资源分类",
    "信息资源名称",
    "信息资源摘要",
    "信息项名称",
    "信息项代码",
    "数据类型",
    "数据长度",
    "共享类型",
    "是否向社会开放",
    "更新周期",
    "数据管理员",
]
ROWS: list[list[str | None]] = [
    ["3/30/102/01", "婚姻登记", "结婚与离婚的登记", "编号", "number", "字符型C", "20", "无条件共享", "否", "每日", "档案科"],
    [None, None, None, "登记日期", "registered_on", "日期型D", "8", None, None, None, None],  # merged cells
    ["3/30/102/01", "救助站名录", "救助站的名称", "名称", None, "字符型", "60.0", "1无条件共享", "否", "每年", "救助科"],
]


@dataclass
class Place:
    """A client of a running catalogue, with a folder."""

    client: Client
    folder: Path

    async def load(self, file: Path, *, until: str = "draft", patience_seconds: float = 60, **defaults: Any) -> catalog_import.Result:
        def work() -> catalog_import.Result:
            entries = catalog_import.read(file, {"system": "民政业务系统", **defaults})
            with Client(self.client.profile, patience_seconds=patience_seconds) as client:
                return catalog_import.send(client, entries, until=until)

        return await asyncio.to_thread(work)

    async def listed(self) -> list[dict[str, Any]]:
        page = await asyncio.to_thread(self.client.page, f"{self.client.profile.catalog}/v1/resources")
        return page.items

    def csv(self, rows: list[list[str | None]], *, encoding: str = "utf-8", header: list[str] = HEADER) -> Path:
        file = self.folder / "catalog.csv"
        with file.open("w", encoding=encoding, newline="") as target:
            csv.writer(target).writerows([header, *rows])
        return file

    def ndjson(self, *documents: Any) -> Path:
        file = self.folder / "catalog.ndjson"
        file.write_text("".join((one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)) + "\n" for one in documents))
        return file


@asynccontextmanager
async def catalogue(database_url: str, folder: Path) -> AsyncIterator[Place]:
    """Run a catalogue with one system and yield a steward's client of it."""
    signing.create_key(folder / "key.pem")
    settings = Settings(
        database=DatabaseSettings(url=database_url),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=AuthSettings(issuer="http://catalog.test"),
        signing=SigningSettings(key_file=folder / "key.pem"),
        bootstrap=BootstrapSettings(client_id="first", client_secret="a-secret-of-the-first-client"),
    )
    async with listening(create_app(settings)) as url:
        profile = Profile(catalog=url, exchange=url, quality=url, open_data=url, audit=url, patience_seconds=20)

        def prepare() -> Client:
            with Client(profile.as_client("first", "a-secret-of-the-first-client")) as authority:
                body = {"name": "绍兴市民政局", "uscc": "11330600MB1573660P", "level": "city", "division_code": "330600"}
                made = authority.call("POST", f"{url}/v1/organizations", json=body).json()
                credential = {"name": "tests", "roles": ["steward", "cdo"]}
                given = authority.call("POST", f"{url}/v1/organizations/{made['organization_id']}/credentials", json=credential).json()
            client = Client(profile.as_client(given["client_id"], given["client_secret"]))
            client.call("POST", f"{url}/v1/systems", json={"name": "民政业务系统"})
            return client

        client = await asyncio.to_thread(prepare)
        yield Place(client, folder)
        client.close()


@pytest.fixture
async def place(fresh_database: Callable[[str], Awaitable[str]], tmp_path: Path) -> AsyncIterator[Place]:
    """Yield a steward's client of a catalogue with one system."""
    async with catalogue(await fresh_database("catalog_svc"), tmp_path) as place:
        yield place


@pytest.mark.parametrize("form", ["csv", "gb18030", "xlsx"])
async def test_a_table_in_the_guides_columns_is_entered_whatever_its_form(place: Place, form: str) -> None:
    if form == "xlsx":
        file = place.folder / "catalog.xlsx"
        titled = [["信息资源目录"] + [None] * (len(HEADER) - 1), HEADER, *ROWS]
        pl.DataFrame(titled, orient="row", schema=[f"c{n}" for n in range(len(HEADER))]).write_excel(file, include_header=False)
    else:
        file = place.csv(ROWS, encoding="utf-8-sig" if form == "csv" else form)
    result = await place.load(file)
    assert result.refusals == []
    assert dict(result.counts) == {"entered": 2}
    listed = {one["name"]: one for one in await place.listed()}
    assert listed["婚姻登记"]["item_count"] == 2
    found = await asyncio.to_thread(
        place.client.call, "GET", f"{place.client.profile.catalog}/v1/resources/{listed['救助站名录']['resource_id']}"
    )
    (item,) = found.json()["items"]
    assert (item["code"], item["data_type"], item["length"]) == ("item_01", "C", 60)
    assert dict((await place.load(file)).counts) == {"unchanged": 2}


async def test_refused_cells_are_named_by_row_and_column_and_the_rest_is_entered(place: Place) -> None:
    rows = [
        *ROWS,
        ["9", "甲", "摘要", "编号", "a", "字符型C", "20", "无条件共享", "否", "每日", None],
        ["3/30/102/01", "乙", "摘要", "编号", "a", "字符型C", "很长", "看情况", "否", "每日", None],
        ["3/30/102/01", "丙", "摘要", "编号", "a", "神秘型Z", "1", "无条件共享", "否", "每日", None],
        ["3/30/102/01", "丁", "摘要", "编号", "a", "字符型C", "1", "无条件共享", "否", "每日", None],
        [None, None, None, "编号", "b", "字符型C", "1", None, None, None, None],
        ["3/30/102/01", "婚姻登记", "第二次", "编号", "a", "字符型C", "20", "无条件共享", "否", "每日", "档案科"],
    ]
    result = await place.load(place.csv(rows))
    assert dict(result.counts) == {"entered": 2, "refused": 5}
    assert [(one.row, one.column) for one in result.refusals] == [
        (5, "信息资源分类"),
        (6, "共享类型"),
        (6, "数据长度"),
        (7, "数据类型"),
        (9, "信息项名称"),
        (10, ""),
    ]
    assert all(one.detail for one in result.refusals)
    report = place.folder / "report.csv"
    catalog_import.write_report(report, result.refusals)
    assert len(list(csv.reader(report.open(encoding="utf-8-sig")))) == 7


async def test_definitions_a_line_each_are_entered_and_bad_lines_named(place: Place) -> None:
    good = {
        "name": "一", "summary": "一", "class_path": "3/30/102/01", "update_cycle": "DAILY",
        "items": [{"code": "a", "name": "编号", "data_type": "C"}],
    }  # fmt: skip
    result = await place.load(place.ndjson(good, "{broken", "[]", "", good | {"name": "二", "items": []}, good | {"name": "三"}))
    assert dict(result.counts) == {"entered": 2, "refused": 3}
    assert [(one.row, one.pointer) for one in result.refusals] == [(2, ""), (3, ""), (5, "/items")]


def many(count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"资源{number}", "summary": "一", "class_path": "3/30/102/01", "update_cycle": "DAILY", "steward": "数据管理岗",
            "items": [{"code": "a", "name": "编号", "data_type": "C"}],
        }
        for number in range(count)
    ]  # fmt: skip


async def test_hundreds_go_in_portions_and_a_break_is_gone_on_from(place: Place) -> None:
    documents = many(catalog_import.PORTION + 30)
    assert dict((await place.load(place.ndjson(*documents[:50]))).counts) == {"entered": 50}
    whole = await place.load(place.ndjson(*documents), until="submitted")
    assert dict(whole.counts) == {"advanced": 50, "entered": catalog_import.PORTION - 20}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "甲,乙\n1,2\n".encode(), "信息资源名称"),
        ("a.csv", b"\xff\xfe\xfd\xfc\x81", "neither UTF-8 nor GB 18030"),
        ("a.csv", ("信息资源名称,信息项名称,奇怪的列\n").encode(), "奇怪的列"),
        ("a.csv", ("信息资源名称,信息项名称,信息项名称\n").encode(), "twice"),
        ("a.csv", b"", "信息资源名称"),
        ("a.xlsx", b"no workbook", "not an XLSX workbook"),
        ("a.doc", b"", "ending"),
    ],
)
def test_files_that_are_no_catalogue_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClientError, match=words):
        catalog_import.read(tmp_path / name, {})


def test_one_cell_far_from_the_table_is_refused_before_the_workbook_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "far.xlsx"
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        sheet.write(1_048_575, 16_383, "x")
    monkeypatch.setattr(fastexcel, "read_excel", lambda _: pytest.fail("it is read: this would end the process"))
    with pytest.raises(ClientError, match=r"far\.xlsx: .*cells as far as XFD1048576"):
        catalog_import.read(file, {})


class OwnServer:
    """A PostgreSQL that a test may end, with a look at what it holds."""

    def __init__(self, folder: Path) -> None:
        self.server = Postgres(folder, Ports.free().postgres)

    async def start(self) -> None:
        self.server.prepare()
        self.server.launch()  # by the thread that ends last: the server ends with it
        async with asyncio.timeout(60):
            while not await self.server.answers():
                await asyncio.sleep(0.02)

    def stop_at_once(self) -> None:
        """End it without a checkpoint or a word to its clients, as a crash does; nothing else of this process runs meanwhile."""
        assert self.server.process is not None
        process.stop(self.server.process, signal.SIGQUIT, seconds=30)

    async def value(self, query: str) -> Any:
        connection = await asyncpg.connect(self.server.url("catalog").replace("+asyncpg", ""))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def entered(self, at_least: int) -> int:
        """Wait until so many resources are there; return how many."""
        async with asyncio.timeout(60):
            while (found := await self.value("SELECT count(*) FROM resource")) < at_least:
                await asyncio.sleep(0)
        return int(found)


WHOLE = """
SELECT count(*) FROM resource WHERE draft_state = 'submitted'
AND '{drafted,submitted}' = ARRAY(SELECT step FROM resource_step WHERE resource_step.resource_id = resource.resource_id ORDER BY revision)
AND '{dxmesh.catalog.resource.submitted.v1}' = ARRAY(SELECT event_type FROM outbox WHERE outbox.key = resource.resource_id::text)
"""


async def test_a_database_that_is_restarted_in_the_middle_leaves_whole_resources_and_the_import_goes_on(
    server_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_import, "PORTION", 80)
    own = OwnServer(server_folder / "postgres-of-import")
    await own.start()
    try:
        await own.server.create(["catalog"])
        await migrate.upgrade(own.server.url("catalog"), "catalog_svc")
        async with catalogue(own.server.url("catalog"), tmp_path) as place:
            total = 2 * catalog_import.PORTION
            file = place.ndjson(*many(total))

            hasty = asyncio.create_task(place.load(file, until="submitted", patience_seconds=0))
            await own.entered(20)
            own.stop_at_once()
            with pytest.raises(ProblemAnswer, match="503"):
                await hasty
            await own.start()
            before = await own.entered(20)
            assert before < catalog_import.PORTION, "it was ended within the first portion"
            assert await own.value(WHOLE) == before, "each resource is there with its steps and its event, or not at all"

            patient = asyncio.create_task(place.load(file, until="submitted"))
            await own.entered(before + 20)
            own.stop_at_once()
            await own.start()
            result = await patient
            assert (sum(result.counts.values()), result.refusals) == (total, [])
            assert result.counts["unchanged"] >= before, "what was there is left as it is"
            assert result.counts["entered"] + result.counts["unchanged"] == total
            assert await own.value(WHOLE) == await own.entered(total) == total
            assert await own.value("SELECT count(DISTINCT resource_code) FROM resource") == total
            assert dict((await place.load(file, until="submitted")).counts) == {"unchanged": total}
    finally:
        own.stop_at_once()
