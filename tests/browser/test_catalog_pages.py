"""The catalogue's pages in a browser, with a dozen resources in every state: what a data authority finds, how it fits and reads."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from catalog_svc.app import create_app
from catalog_svc.settings import BootstrapSettings, Settings
from dxmesh_local.ports import Ports
from dxmesh_runtime import signing
from dxmesh_runtime.settings import AuthSettings, DashboardSettings, DatabaseSettings, KafkaSettings, ServerSettings, SigningSettings
from tests.browser.conftest import Visitor
from tests.e2e.node import uscc

pytestmark = pytest.mark.browser

NAMES = (
    "婚姻登记信息", "收养登记信息", "社会组织登记信息", "低保对象信息", "养老机构信息", "殡葬服务信息",
    "降水量观测", "气象灾害预警", "空气质量监测站点", "公交线路站点", "不动产登记簿",
    "一份名称特别特别长的数据资源以看页面在很窄的屏幕上怎样换行",
)  # fmt: skip
UNTIL = ("publication",) * 6 + ("approval", "approval", "submission", "submission", "draft", "draft")
ASSESSED = {
    "secrecy_risk": {"outcome": "passed", "assessed_by": "保密办公室"},
    "personal_information": {"outcome": "none", "assessed_by": "共享工作机构"},
}
PAGES = {
    "overview": ("", "数据目录"),
    "resources": ("/resources", "数据资源"),
    "a search without result": ("/resources?q=航天", "数据资源"),
    "organizations": ("/organizations", "机构"),
    "systems": ("/systems", "信息系统"),
    "code sets": ("/code-sets", "代码集"),
    "a code set": ("/code-sets/gb-t-2260.zhejiang?q=3306&code=330621", "浙江省"),
    "not there": ("/resources/nothing", "未找到"),
}


@dataclass
class Catalogue:
    """A catalogue of its own, and its resources by name."""

    url: str
    authority: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    def page(self, path: str) -> str:
        return f"{self.url}/dashboard{path}"

    def resource(self, name: str, query: str = "") -> str:
        return self.page(f"/resources/{self.ids[name]}{query}")


@pytest.fixture(scope="module")
async def catalogue(fresh_database: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Catalogue]:
    """Yield a served catalogue with twelve resources in every state, a second version, a draft over it, a withdrawn one, code sets."""
    key_file = tmp_path_factory.mktemp("keys") / "catalog.pem"
    signing.create_key(key_file)
    port = Ports.free().catalog
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        database=DatabaseSettings(url=await fresh_database("catalog_svc")),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=AuthSettings(issuer=url),
        server=ServerSettings(host="127.0.0.1", port=port, public_url=url),
        signing=SigningSettings(key_file=key_file),
        bootstrap=BootstrapSettings(client_id="node-admin", client_secret="a-secret-of-the-first-client"),
        dashboard=DashboardSettings(loopback_open=True),
    )
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/livez")).status_code == 200:
                        break
                await asyncio.sleep(0.02)
        found = Catalogue(url, await _token(client, "node-admin", "a-secret-of-the-first-client"))
        await _fill(client, found)
        yield found
    server.should_exit = True
    await serving


async def _token(client: httpx.AsyncClient, client_id: str, secret: str) -> dict[str, str]:
    answer = await client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _send(client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], **options: Any) -> Any:
    answer = await client.request(method, path, headers=headers, **options)
    assert answer.is_success, f"{path}: {answer.text}"
    return answer.json()


def _entry(system_id: str, name: str, *more: str) -> dict[str, Any]:
    item = {"data_type": "C", "length": 30}
    codes = {"code_set": {"name": "gb-t-2260.zhejiang"}, "length": 6, "format": "division"}
    return {
        "system_id": system_id,
        "name": name,
        "summary": f"{name}：全市汇总，按月更新",
        "class_path": "3/30/102/01",
        "update_cycle": "MONTHLY",
        "steward": "数据管理员",
        "key": ["record_code"],
        "items": [
            {"code": "record_code", "name": "编号", **item},
            {"code": "division", "name": "行政区划代码", **item, **codes},
            *({"code": code, "name": f"项 {code}", **item} for code in more),
        ],
    }


async def _fill(client: httpx.AsyncClient, catalogue: Catalogue) -> None:
    authority = catalogue.authority
    for name in ("gb-t-2260.zhejiang", "gb-t-4754", "gb-t-2261.1"):
        await _send(client, "POST", f"/v1/shipped-code-sets/{name}/publication", authority)
    params = {"source": "another list"}
    csv = authority | {"Content-Type": "text/csv"}
    await _send(client, "POST", "/v1/code-sets/gb-t-2260.zhejiang/import", csv, params=params, content="code,label\n330103,下城区\n")
    providers = []
    for number, (name, level) in enumerate((("示例市民政局", "city"), ("示例市气象局", "city"), ("示例县自然资源局", "county"))):
        body = {"name": name, "uscc": uscc(20_000_001 + number), "level": level, "division_code": "330600", "kind": "department"}
        made = await _send(client, "POST", "/v1/organizations", authority, json=body)
        path = f"/v1/organizations/{made['organization_id']}/credentials"
        credential = await _send(client, "POST", path, authority, json={"name": "pages", "roles": ["steward", "cdo"]})
        own = await _token(client, credential["client_id"], credential["client_secret"])
        system = await _send(client, "POST", "/v1/systems", own, json={"name": f"{name}业务系统"})
        providers.append((own, system["system_id"]))
    await _send(client, "POST", "/v1/systems", providers[0][0], json={"name": "尚未编目的系统"})
    for index, (name, until) in enumerate(zip(NAMES, UNTIL, strict=True)):
        own, system_id = providers[index % 3]
        made = await _send(client, "POST", "/v1/resources", own, json=_entry(system_id, name, "phone"))
        catalogue.ids[name] = made["resource_id"]
        await _advance(client, catalogue, name, own, until)
    own, system_id = providers[0]
    first = f"/v1/resources/{catalogue.ids[NAMES[0]]}"
    await _send(client, "PUT", first, own, json=_entry(system_id, NAMES[0], "phone", "address"))
    await _advance(client, catalogue, NAMES[0], own, "publication")
    await _send(client, "PUT", first, own, json=_entry(system_id, NAMES[0], "address"))
    await _send(client, "POST", f"{first}/submission", own, json={"reason": "不再收集联系电话"})
    await _send(client, "POST", f"{first}/return", own, json={"reason": "请说明理由"})
    await _send(client, "POST", f"{first}/submission", own, json={"reason": "不再收集联系电话：条例修订"})
    await _send(client, "POST", f"/v1/resources/{catalogue.ids[NAMES[3]]}/withdrawal", own, json={"reason": "职能划转至示例市医疗保障局"})


async def _advance(client: httpx.AsyncClient, catalogue: Catalogue, name: str, own: dict[str, str], until: str) -> None:
    path = f"/v1/resources/{catalogue.ids[name]}"
    ways = {
        "submission": ("submission", own, {}),
        "approval": ("approval", own, ASSESSED),
        "publication": ("publish", catalogue.authority, {}),
    }
    for state, (step, headers, body) in ways.items():
        if until == "draft":
            return
        await _send(client, "POST", f"{path}/{step}", headers, json=body)
        if state == until:
            return


def _statistic(page: Page, english: str) -> Any:
    return page.locator(".stat", has=page.get_by_text(english, exact=True)).locator(".stat-value")


async def test_the_overview_counts_everything_and_names_who_is_waited_for(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("")) as visit:
        for label, number in {"Organizations": "3", "Systems": "4", "Resources": "12", "Items in force": "16", "Waiting": "7"}.items():
            await expect(_statistic(visit.page, label), label).to_have_text(number)
        waits = visit.page.get_by_role("region", name="等待谁").locator("tbody tr")
        assert [(await row.locator("td").all_inner_texts())[1] for row in await waits.all()] == ["2", "3", "2", "0"]
        ledger = visit.page.get_by_role("region", name="一本账").locator("tbody tr")
        await expect(ledger.last).to_contain_text("合计")
        assert [cell.strip() for cell in (await ledger.last.locator("td").all_inner_texts())[1:]] == ["3", "4", "11", "5", "16", "16", "7"]
        assert visit.complaints == []


async def test_from_the_overview_to_what_waits_and_through_its_history(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("")) as visit:
        page = visit.page
        await page.get_by_role("region", name="等待谁").get_by_role("link", name="Submitted").click()
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(3)
        await page.get_by_role("link", name=NAMES[0]).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(NAMES[0])
        draft = page.locator("section.card", has_text="在途草稿")
        await expect(draft).to_contain_text("phone")
        await expect(draft).to_contain_text("删除")
        steps = page.get_by_role("region", name="办理过程").locator("tbody tr")
        done = [(await row.locator("td").all_inner_texts())[1].split()[0] for row in await steps.all()]
        assert done == ["提交", "退回", "提交", "起草", "发布", "部门审核通过", "提交", "起草", "发布", "部门审核通过", "提交", "起草"]
        await expect(steps.nth(1)).to_contain_text("请说明理由")
        await page.get_by_role("link", name="v1 → v2").click()
        await expect(page.locator("section.card", has_text="版本")).to_contain_text(["address"])
        await page.get_by_role("link", name="gb-t-2260.zhejiang").first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("浙江省")
        assert visit.complaints == []


async def test_searching_finds_and_clearing_shows_all_again(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("/resources")) as visit:
        page = visit.page
        await expect(page.locator("tbody tr")).to_have_count(12)
        await page.get_by_role("searchbox").fill("登记")
        await page.get_by_role("searchbox").press("Enter")
        await expect(page.locator("tbody tr")).to_have_count(4)
        await page.get_by_label("状态").select_option("published")
        await page.get_by_role("button", name="搜索").click()
        await expect(page.locator("tbody tr")).to_have_count(3)
        await page.get_by_role("link", name="清除筛选").click()
        await expect(page.locator("tbody tr")).to_have_count(12)
        assert visit.complaints == []


async def test_a_retired_code_is_explained_and_its_successor_is_one_step_away(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("/code-sets/gb-t-2260.zhejiang?q=绍兴县")) as visit:
        page = visit.page
        await page.get_by_role("link", name="330621").click()
        became = page.get_by_role("region", name="变更为").locator("tbody tr")
        await expect(became).to_contain_text("2013-10-18")
        await became.get_by_role("link", name="330603").click()
        await expect(page.get_by_role("region", name="原为")).to_contain_text("绍兴县")
        assert visit.complaints == []


async def test_the_parts_of_the_catalogue_lead_to_each_other_and_mark_where_one_is(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("")) as visit:
        tabs = visit.page.get_by_role("navigation", name="目录")
        for label, title in (
            ("数据资源", "数据资源"),
            ("机构", "机构"),
            ("信息系统", "信息系统"),
            ("代码集", "代码集"),
            ("总览", "数据目录"),
        ):
            await tabs.get_by_role("link", name=label).click()
            await expect(visit.page.get_by_role("heading", level=1)).to_contain_text(title)
            await expect(tabs.locator("[aria-current]")).to_contain_text(label)
        assert visit.complaints == []


@pytest.mark.parametrize("name", [*PAGES, "a resource", "a withdrawn resource"])
async def test_every_page_fits_is_accessible_and_complains_of_nothing(catalogue: Catalogue, visitor: Visitor, name: str) -> None:
    resources = {"a resource": (NAMES[0], "?version=2"), "a withdrawn resource": (NAMES[3], "")}
    url = catalogue.resource(*resources[name]) if name in resources else catalogue.page(PAGES[name][0])
    for width, scheme in ((1280, "light"), (375, "dark")):
        async with visitor.visit(url, width=width, scheme=scheme) as visit:
            await expect(visit.page.get_by_role("heading", level=1)).to_contain_text(
                resources[name][0] if name in resources else PAGES[name][1]
            )
            await _is_sound(visit.page, f"{name} {width} {scheme}")
            if folder := os.environ.get("DXMESH_SCREENSHOTS"):
                await visit.page.screenshot(path=Path(folder) / f"{name.replace(' ', '-')}-{width}.png", full_page=True)
            assert [said for said in visit.complaints if "status of 404" not in said] == []


async def _is_sound(page: Page, name: str) -> None:
    """Check a page for faults of accessibility (axe: serious and critical) and for sideways scrolling."""
    found = (await Axe().run(page)).response["violations"]
    faults = [f"{one['id']}: {node['html'][:200]}" for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]]
    assert faults == [], name
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} scrolls sideways by {wide} px"
