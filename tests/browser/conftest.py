"""A mesh with a city's work in it, and a Chromium that tells what a page asked for and complained about."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from dxmesh_local.mesh import Mesh
from tests import patient
from tests.browser.catalog import Catalogue, serve
from tests.e2e.node import Node, csv_of, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
STREETS, PARKS = "街道名录", "公园绿地"
TEXT = {"data_type": "C", "required": True, "length": 30}
STREET_ITEMS: list[dict[str, Any]] = [
    {"code": "code", "name": "代码", **TEXT},
    {"code": "name", "name": "名称", **TEXT},
    {"code": "people", "name": "户籍人口", "data_type": "I", "minimum": 0, "description": "单位：人"},
]
PARK_ITEMS: list[dict[str, Any]] = [{"code": "park", "name": "公园名称", **TEXT}]


@dataclass(frozen=True)
class City:
    """What the mesh was given to do, and what its pages must therefore show."""

    node: Node
    provider: str = "示例市民政局"
    accepted: int = 1_200 + 99 + 8  # streets, streets of a part-quarantined batch, parks
    quarantined: int = 1
    rejected: int = 3
    delivered: int = 1_200 + 99
    streets: int = 1_200 + 99
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def received(self) -> int:
        return self.accepted + self.quarantined + self.rejected


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Yield a mesh in which two resources, four batches (one in part quarantined, one rejected) and a grant have been worked off."""
    files = tmp_path_factory.mktemp("files")
    with tempfile.TemporaryDirectory(prefix="dxmesh-browser-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Mesh(Path(folder) / "home", say=print) as mesh:
            node = Node(mesh)
            yield _worked(City(node), files)
            node.close()


def _street(number: int, people: int = 10_000) -> dict[str, Any]:
    return {"code": f"3306{number:05d}", "name": f"第{number}街道", "people": people + number}


def _worked(city: City, files: Path) -> City:
    node = city.node
    provider, requester = node.department(city.provider), node.department("示例市卫生健康委员会")
    opened = {"sharing_type": "UNCONDITIONAL", "open_type": "UNCONDITIONAL", "update_cycle": "DAILY"}
    streets = node.resource(provider, STREETS, STREET_ITEMS, key=["code"], open_theme="地理空间", **opened)
    parks = node.resource(provider, PARKS, PARK_ITEMS, key=["park"], open_theme="生态环境", **opened)
    push = provider.client.push_and_wait
    push(streets, csv_of((_street(number) for number in range(1, 1_201)), files / "streets.csv"))
    negative = [_street(number) for number in range(1_201, 1_300)] + [_street(1_300, people=-5_000)]
    partly = push(streets, csv_of(negative, files / "partly.csv"), kind="upsert")
    assert (partly.accepted_count, partly.quarantined_count) == (99, 1), partly
    until(lambda: _rows_opened(node, STREETS) == city.streets, 60, "the streets are not opened: the parks must be the newer dataset")
    push(parks, csv_of(({"park": f"公园{number}"} for number in range(8)), files / "parks.csv"))
    bad, _ = provider.client.push(parks, csv_of(({"park": "长" * 40 + str(number)} for number in range(3)), files / "bad.csv"))
    assert provider.client.wait(bad.batch_id).state == "rejected"
    until(lambda: _rows_opened(node, PARKS) == 8, 60, "the parks are not opened")
    node.grant(requester, streets)
    totals = until(lambda: (found := node.ledger())["delivered"] == city.delivered and found, 60, "the rows are not delivered")
    assert totals["received"] == city.received, totals
    profile = node.profile
    urls = {name: getattr(profile, name).rstrip("/") for name in ("catalog", "exchange", "quality", "open_data", "audit")}
    city.urls.update(urls)
    return city


def _rows_opened(node: Node, title: str) -> int:
    found = patient.get(f"{node.profile.open_data.rstrip('/')}/api/3/action/package_search", params={"q": title}).json()["result"][
        "results"
    ]
    return int(next((extra["value"] for one in found for extra in one["extras"] if extra["key"] == "row_count"), 0))


@dataclass
class Visit:
    """A page that was opened, what it asked of other hosts, and what it complained about."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note every request that leaves this machine and every error or warning on the console."""
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname != "127.0.0.1":
            self.elsewhere.append(url)


@dataclass(frozen=True)
class Visitor:
    """Opens pages, each with a profile of its own."""

    browser: Browser

    @asynccontextmanager
    async def visit(self, url: str, *, width: int = 1280, scheme: Any = "light", **options: Any) -> AsyncIterator[Visit]:
        """Open a page; at the end it must have stayed on this machine."""
        viewport: Any = {"width": width, "height": 900}
        options.setdefault("locale", "zh-CN")
        context = await self.browser.new_context(viewport=viewport, color_scheme=scheme, **options)
        context.set_default_timeout(PATIENCE_MS)
        visit = Visit(await context.new_page())
        visit.watch()
        await visit.page.goto(url)
        yield visit
        await context.close()
        assert visit.elsewhere == []


@pytest.fixture(scope="session")
async def visitor() -> AsyncIterator[Visitor]:
    """Yield a headless Chromium of this machine; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield Visitor(browser)
        await browser.close()


@pytest.fixture(scope="module")
async def catalogue(lasting_database: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Catalogue]:
    """Yield a served catalogue with resources in every state, a second version, a draft over it, a withdrawn one, code sets."""
    async with serve(await lasting_database("catalog_svc"), tmp_path_factory.mktemp("keys")) as found:
        yield found
