"""The pages in a real browser: no accessibility fault in either colour scheme, no script or style refused, no sideways scrolling."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import BrowserContext, async_playwright

from dxmesh_runtime.testing import listening
from dxmesh_schemas.catalog import DataItem, DataType, OrganizationRef, UpdateCycle

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SCREENSHOTS = os.environ.get("DXMESH_SCREENSHOTS")  # a folder to keep what the browser showed
pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

TEXT, INTEGER, NUMBER, DATE = DataType.TEXT, DataType.INTEGER, DataType.NUMBER, DataType.DATE


def _items(*described: tuple[str, str, DataType, str]) -> tuple[DataItem, ...]:
    return tuple(DataItem(code=code, name=name, data_type=kind, description=note) for code, name, kind, note in described)


async def _seed(open_data: Any) -> None:
    """Open what a city opens: several departments, themes and sizes, one dataset refreshed, one retired."""
    departments = {
        name: OrganizationRef(organization_id=open_data.resource().resource_id, uscc=uscc, name=name, division_code="330600")
        for name, uscc in (
            ("市民政局", "11330600MB1573660P"),
            ("市交通运输局", "11330600002577345T"),
            ("市生态环境局", "11330600002577468A"),
        )
    }
    streets = open_data.resource(
        name="全市街道、乡镇名录",
        resource_code="streets",
        summary="全市各区县街道、乡、镇的名称、行政区划代码、户籍人口与设立日期,按国家统计用区划代码逐级编制,每日更新。",
        provider=departments["市民政局"],
        open_theme="机构团体",
    )
    stops = open_data.resource(
        name="公交站点与线路",
        resource_code="bus-stops",
        summary="市区公交站点的位置、途经线路与无障碍设施。",
        provider=departments["市交通运输局"],
        open_theme="道路交通",
        update_cycle=UpdateCycle.WEEKLY,
        items=_items(("code", "站点编号", TEXT, "全市唯一"), ("name", "站点名称", TEXT, ""), ("people", "日均客流", INTEGER, "人次")),
    )
    air = open_data.resource(
        name="环境空气质量小时监测值",
        resource_code="air-quality-hourly",
        summary="各国控、省控监测站的 PM2.5、PM10、二氧化硫、臭氧小时浓度。",
        provider=departments["市生态环境局"],
        open_theme="生态环境",
        update_cycle=UpdateCycle.REALTIME,
        items=_items(
            ("code", "站点编号", TEXT, "国家站点编号"), ("since", "监测日期", DATE, ""), ("area", "PM2.5", NUMBER, "微克每立方米")
        ),
    )
    closed = open_data.resource(name="停用的数据集", resource_code="closed", provider=departments["市民政局"])
    for resource, count in ((closed, 5), (stops, 3_412), (air, 41_352), (streets, 1_200)):
        await open_data.publish(resource)
        await open_data.advance(resource, open_data.streets(count).with_columns(pl.col("area").cast(pl.Float64)))
    await open_data.advance(streets, open_data.streets(1_286).with_columns(pl.col("area").cast(pl.Float64)))
    await open_data.withdraw(closed, reason="并入“全市街道、乡镇名录”")
    for name, ending, times in (
        ("streets", "csv", 7),
        ("streets", "json", 2),
        ("bus-stops", "parquet", 3),
        ("air-quality-hourly", "csv", 12),
    ):
        for _ in range(times):
            assert (await open_data.client.get(f"/datasets/{name}/latest/{name}.{ending}")).status_code == 200
    await open_data.action("datastore_search", resource_id="streets", limit=1)


@pytest.fixture
async def site(open_data: Any) -> AsyncIterator[str]:
    """Yield the address of the service with a city's data, listening on a free port."""
    await _seed(open_data)
    async with listening(open_data.app) as url:
        yield url


async def _look(context: BrowserContext, url: str, name: str) -> list[str]:
    """Open a page; return what is wrong with it."""
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.goto(url)
    if SCREENSHOTS:
        await page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)
    found = (await Axe().run(page)).response["violations"]
    faults = [f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}" for one in found for node in one["nodes"]]
    wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    await page.close()
    return [f"{name} {fault}" for fault in [*faults, *said, *(["scrolls sideways"] if wide else [])]]


async def test_every_page_is_accessible_and_fits_in_light_in_dark_and_on_a_phone(open_data: Any, site: str) -> None:
    token = open_data.tokens.token(None, "operator")
    pages = {
        "portal": "/",
        "portal-en": "/?lang=en",
        "portal-nothing": "/?q=%E8%88%AA%E5%A4%A9",
        "dataset": "/datasets/streets",
        "dataset-en": "/datasets/air-quality-hourly?lang=en",
        "missing": "/datasets/nothing",
        "retired": "/datasets/closed",
        "dashboard": "/dashboard",
        "sign-in": "/dashboard/sign-in",
    }
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
            context = await browser.new_context(
                color_scheme=scheme,  # type: ignore[arg-type]  # a literal of the two
                viewport={"width": width, "height": 900},
                locale="zh-CN",
            )
            await context.add_cookies([{"name": "dxmesh_dashboard", "value": token, "domain": "127.0.0.1", "path": "/dashboard"}])
            for name, path in pages.items():
                faults += await _look(context, site + path, f"{name}-{scheme}-{width}")
            await context.close()
        await browser.close()
    faults = [fault for fault in faults if "status of 404" not in fault and "status of 410" not in fault]
    assert faults == []


async def test_the_operator_page_refreshes_itself(open_data: Any, site: str, tmp_path: Path) -> None:
    token = open_data.tokens.token(None, "operator")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=CHROMIUM, headless=True, args=ARGUMENTS
        )
        await context.add_cookies([{"name": "dxmesh_dashboard", "value": token, "domain": "127.0.0.1", "path": "/dashboard"}])
        page = await context.new_page()
        await page.goto(site + "/dashboard")
        await page.evaluate("document.body.dataset.kept = 'yes'")
        await open_data.opened(open_data.streets(3), name="刚刚开放的数据集", resource_code="fresh")
        await page.get_by_text("刚刚开放的数据集").first.wait_for(timeout=15_000)
        assert await page.evaluate("document.body.dataset.kept") == "yes"
        await context.close()
