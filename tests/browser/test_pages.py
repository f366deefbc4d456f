"""The pages of a working mesh as people meet them in a browser: what they show, what works, what they never do."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests import patient
from tests.browser.conftest import PARKS, STREETS, City, Visitor

pytestmark = [pytest.mark.browser, pytest.mark.long]

DASHBOARDS = {"catalog": "数据目录", "exchange": "数据交换", "quality": "数据质量", "open_data": "开放数据", "audit": "存证与账本"}
PAGES = {
    "portal": ("open_data", "/"),
    "portal in English": ("open_data", "/?lang=en"),
    "portal without a result": ("open_data", "/?q=%E8%88%AA%E5%A4%A9"),
    "a dataset that is not there": ("open_data", "/datasets/nothing"),
    "sign in": ("exchange", "/dashboard/sign-in"),
    **{f"dashboard of {service}": (service, "/dashboard") for service in DASHBOARDS},
    **{f"exchange {part}": ("exchange", f"/dashboard/{part}") for part in ("requests", "channels", "lag")},
    **{f"API of {service}": (service, "/docs") for service in DASHBOARDS},
}
ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}  # a request that came through a proxy is not this machine's own


def _statistic(page: Page, english: str) -> Any:
    """Return the number of a dashboard's card."""
    return page.locator(".stat", has=page.get_by_text(english, exact=True)).locator(".stat-value")


def _csv(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"))))


def _operations(service_url: str) -> list[str]:
    """Return each operation a service describes, as `GET /path`."""
    paths = patient.get(f"{service_url}/openapi.json").json()["paths"]
    return sorted(f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs)


async def _dataset(page: Page, title: str) -> None:
    """Go from the portal's list to a dataset."""
    await page.get_by_role("heading", name=title).get_by_role("link").click()
    await page.wait_for_url("**/datasets/*")


# --- the portal


async def test_the_portal_lists_every_open_dataset_with_its_size(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["open_data"]) as visit:
        await expect(visit.page.locator("article.dataset")).to_have_count(2)
        streets = visit.page.locator("article.dataset", has_text=STREETS)
        await expect(streets).to_contain_text(f"{city.streets:,} 条")
        await expect(streets).to_contain_text(city.provider)
        assert visit.complaints == []


async def test_searching_the_portal_finds_by_title_and_by_item_and_says_when_there_is_nothing(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["open_data"]) as visit:
        page = visit.page
        for words, found in ((STREETS, [STREETS]), ("户籍人口", [STREETS]), ("公园", [PARKS])):
            await page.get_by_role("searchbox").fill(words)
            await page.get_by_role("searchbox").press("Enter")
            await page.wait_for_url(re.compile(r"\?q="))
            await expect(page.locator("article.dataset h3")).to_have_text(found)
        await page.get_by_role("searchbox").fill("航天<b>")
        await page.get_by_role("button", name="搜索").click()
        await expect(page.get_by_text("没有符合条件的数据集")).to_be_visible()
        await expect(page.locator("article.dataset")).to_have_count(0)
        await page.get_by_role("link", name="清除筛选").click()
        await expect(page.locator("article.dataset")).to_have_count(2)
        assert visit.complaints == []


async def test_a_facet_of_the_portal_narrows_the_list_and_is_marked(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["open_data"]) as visit:
        page = visit.page
        await page.get_by_role("complementary").get_by_role("link", name="生态环境").click()
        await expect(page.locator("article.dataset h3")).to_have_text([PARKS])
        await expect(page.get_by_role("complementary").get_by_role("link", name="生态环境")).to_have_attribute("aria-current", "true")
        await page.get_by_role("complementary").get_by_role("link", name=city.provider).click()
        await expect(page.locator("article.dataset h3")).to_have_text([PARKS])
        await page.get_by_role("complementary").get_by_role("link", name="全部").last.click()
        await expect(page.locator("article.dataset")).to_have_count(2)


async def test_the_portals_list_is_put_in_another_order(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["open_data"] + "/?sort=title") as visit:
        page = visit.page
        for order, first in (("数据量", STREETS), ("最近更新", PARKS), ("数据量", STREETS)):
            await page.get_by_role("navigation", name="排序").get_by_role("link", name=order).click()
            await expect(page.get_by_role("navigation", name="排序").locator("[aria-current]")).to_have_text(order)
            await expect(page.locator("article.dataset h3").first).to_have_text(first)
        assert visit.complaints == []


async def test_a_dataset_shows_its_first_rows_its_versions_and_gives_all_rows_as_csv(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["open_data"]) as visit:
        page = visit.page
        await _dataset(page, STREETS)
        rows = page.locator(".preview tbody tr")
        await expect(rows).to_have_count(10)
        await expect(rows.first.locator("td")).to_have_text(["330600001", "第1街道", "10001"])
        versions = page.get_by_role("region", name="历史版本").locator("tbody tr")
        await expect(versions.first).to_contain_text("当前版本")
        await expect(versions.first).to_contain_text(f"{city.streets:,}")
        async with page.expect_download() as awaited:
            await page.locator(".downloads").get_by_role("link", name="CSV").click()
        download = await awaited.value
        sent = _csv(await download.path())
        assert len(sent) == 1 + city.streets
        assert {row[0] for row in sent[1:]} == {f"3306{number:05d}" for number in range(1, 1_300)}
        assert [row for row in sent[1:] if row[0] == "330601299"] == [["330601299", "第1299街道", "11299"]]
        assert download.suggested_filename.endswith(".csv")
        assert visit.complaints == []


async def test_the_portal_speaks_the_browsers_language_and_switches(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["open_data"], locale="en-GB") as visit:
        await expect(visit.page.get_by_role("heading", level=1)).to_have_text("Open Data Portal")
        await visit.page.get_by_role("link", name="中文").click()
        await expect(visit.page.get_by_role("heading", level=1)).to_have_text("公共数据开放平台")
        await expect(visit.page.locator("html")).to_have_attribute("lang", "zh-CN")
        await _dataset(visit.page, STREETS)
        await expect(visit.page.get_by_role("heading", name="数据预览")).to_be_visible()
        await visit.page.get_by_role("link", name="English").click()
        await expect(visit.page.get_by_role("heading", name="Preview")).to_be_visible()
        assert visit.complaints == []


# --- the dashboards


async def test_each_dashboard_shows_the_numbers_of_what_happened(city: City, visitor: Visitor) -> None:
    expected = {
        "catalog": {"Organizations": "2", "Resources": "2", "Items in force": "4"},
        "exchange": {"Batches accepted": "3", "Batches rejected": "1", "Deliveries in flight": "0", "Grants in force": "1"},
        "quality": {"Rows checked": f"{city.received:,}", "Bad rows": str(city.quarantined + city.rejected), "Batches assessed": "4"},
        "open_data": {"Datasets": "2", "Rows": f"{city.streets + 8:,}"},
        "audit": {"Ledger": "平衡"},
    }
    async with visitor.visit(city.urls["catalog"] + "/dashboard") as visit:
        for service, numbers in expected.items():
            await visit.page.goto(city.urls[service] + "/dashboard")
            for label, number in numbers.items():
                await expect(_statistic(visit.page, label), f"{service}: {label}").to_have_text(number)
        ledger = visit.page.locator("main")
        for counted in (f"accepted {city.accepted:,}", f"rejected {city.rejected}", f"delivered {city.delivered:,}"):
            await expect(ledger).to_contain_text(counted)
        assert visit.complaints == []


async def test_the_exchange_dashboard_lists_the_batches_with_their_outcome(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["exchange"] + "/dashboard") as visit:
        rows = visit.page.locator("tbody tr")
        await expect(rows).to_have_count(4)
        newest, _, partly, _ = [await row.locator("td").all_inner_texts() for row in await rows.all()]
        assert newest[1:8] == [PARKS, "追加 append", "已拒绝 rejected", "3", "0", "0", "3"]
        assert partly[1:8] == [STREETS, "更新 upsert", "已接受 accepted", "100", "99", "1", "0"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", newest[-1])


async def test_the_five_dashboards_lead_to_each_other(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["catalog"] + "/dashboard") as visit:
        links = visit.page.get_by_role("navigation").get_by_role("link")
        for service, title in DASHBOARDS.items():
            await links.get_by_text(service.replace("_", "-") + "-svc", exact=True).click()
            await visit.page.wait_for_url(city.urls[service] + "/dashboard")
            await expect(visit.page.get_by_role("heading", level=1)).to_contain_text(title)
            current = visit.page.locator("nav [aria-current=page]")
            await expect(current).to_have_text(service.replace("_", "-") + "-svc")
        assert visit.complaints == []


async def test_a_dashboard_shows_new_work_without_being_loaded_again(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["catalog"] + "/dashboard") as visit:
        page = visit.page
        await page.evaluate("document.body.dataset.kept = 'yes'")
        before = int(await _statistic(page, "Organizations").inner_text())
        city.node.department("示例市气象局")
        await expect(_statistic(page, "Organizations")).to_have_text(str(before + 1))
        assert await page.evaluate("document.body.dataset.kept") == "yes"
        assert visit.complaints == []


async def test_a_dashboard_asks_whoever_comes_from_elsewhere_to_sign_in(city: City, visitor: Visitor) -> None:
    url = city.urls["exchange"] + "/dashboard"
    profile = city.node.profile
    async with visitor.visit(url, extra_http_headers=ELSEWHERE) as visit:
        page = visit.page
        await expect(page.get_by_role("heading", level=1)).to_contain_text("登录")
        await expect(page.locator("body")).not_to_contain_text("Batches accepted")
        await page.get_by_label("客户端标识").fill(profile.client_id)
        await page.get_by_label("密钥").fill("not the secret")
        await page.get_by_role("button", name="登录").click()
        await expect(page.get_by_role("alert")).to_contain_text("The client id or secret is not right")
        await page.get_by_label("密钥").fill(profile.client_secret)
        await page.get_by_role("button", name="登录").click()
        await page.wait_for_url(url)
        await expect(_statistic(page, "Batches rejected")).to_have_text("1")
        assert "dxmesh_dashboard" not in await page.evaluate("document.cookie")
        await page.get_by_role("button", name="退出").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("登录")
        await page.goto(url)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("登录")


# --- the API pages


@pytest.mark.parametrize("service", DASHBOARDS)
async def test_an_api_page_shows_every_operation(city: City, visitor: Visitor, service: str) -> None:
    operations = _operations(city.urls[service])
    async with visitor.visit(city.urls[service] + "/docs") as visit:
        shown = visit.page.locator(".opblock-summary")
        await expect(shown).to_have_count(len(operations))
        methods = await shown.locator(".opblock-summary-method").all_inner_texts()
        paths = await shown.locator(".opblock-summary-path").evaluate_all("all => all.map(one => one.dataset.path)")
        assert sorted(f"{method} {path}" for method, path in zip(methods, paths, strict=True)) == operations
        assert visit.complaints == []


async def test_an_operation_shows_what_its_body_and_its_problems_are_made_of(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["catalog"] + "/docs") as visit:
        drafting = visit.page.locator(".opblock-put", has=visit.page.locator('[data-path="/v1/code-sets/{name}/draft"]'))
        await drafting.locator(".opblock-summary-control").click()
        await expect(drafting.locator(".opblock-section-request-body")).to_contain_text('"successors"')  # two references down
        await expect(drafting.locator('.response[data-code="409"]')).to_contain_text('"trace_id"')
        assert visit.complaints == []


async def test_an_operation_can_be_tried_from_the_api_page_with_a_token(city: City, visitor: Visitor) -> None:
    async with visitor.visit(city.urls["audit"] + "/docs") as visit:
        page = visit.page
        await page.get_by_role("button", name="Authorize").first.click()
        await page.get_by_label("auth-bearer-value").fill(city.node.authority.token())
        await page.locator(".auth-btn-wrapper .authorize").click()
        await page.locator(".auth-btn-wrapper .btn-done").click()
        ledger = page.locator(".opblock", has=page.locator('[data-path="/v1/ledger"]'))
        await ledger.locator(".opblock-summary-control").click()
        await ledger.get_by_role("button", name="Try it out").click()
        await ledger.get_by_role("button", name="Execute").click()
        await expect(ledger.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
        await expect(ledger.locator(".live-responses-table")).to_contain_text('"received"')
        assert visit.complaints == []


# --- every page


@pytest.mark.parametrize("name", PAGES)
async def test_every_page_fits_is_accessible_and_complains_of_nothing(city: City, visitor: Visitor, name: str) -> None:
    service, path = PAGES[name]
    for width, scheme in ((1280, "light"), (375, "dark")):
        async with visitor.visit(city.urls[service] + path, width=width, scheme=scheme) as visit:
            await _is_sound(visit.page, f"{name} {width} {scheme}")
            assert [said for said in visit.complaints if "status of 404" not in said] == []


async def test_a_dataset_page_fits_is_accessible_and_complains_of_nothing(city: City, visitor: Visitor) -> None:
    for width, scheme in ((1280, "dark"), (375, "light")):
        async with visitor.visit(city.urls["open_data"], width=width, scheme=scheme) as visit:
            await _dataset(visit.page, STREETS)
            await _is_sound(visit.page, f"dataset {width} {scheme}")
            assert visit.complaints == []


async def _is_sound(page: Page, name: str) -> None:
    """Check a page for faults of accessibility (axe: serious and critical) and for sideways scrolling."""
    if page.url.endswith("/docs"):
        await page.locator(".opblock").first.wait_for()
    found = (await Axe().run(page)).response["violations"]
    faults = [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert faults == [], name
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} scrolls sideways by {wide} px"
