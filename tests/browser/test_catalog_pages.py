"""The catalogue's pages in a browser, with a dozen resources in every state: what a data authority finds, how it fits and reads."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.catalog import NAMES, Catalogue, is_sound
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

PAGES = {
    "overview": ("", "数据目录"),
    "resources": ("/resources", "数据资源"),
    "a search without result": ("/resources?q=航天", "数据资源"),
    "organizations": ("/organizations", "机构"),
    "systems": ("/systems", "信息系统"),
    "code sets": ("/code-sets", "代码集"),
    "a code set": ("/code-sets/gb-t-2260.zhejiang?q=3306&code=330621", "浙江省"),
    "sources": ("/sources", "数源"),
    "arbitrations": ("/arbitrations", "数源仲裁"),
    "forms": ("/forms", "表单"),
    "a form": ("/forms/{form}", "申领表"),
    "duties": ("/duties", "时限"),
    "a duty": ("/duties/{duty}", "目录更新"),
    "an arbitration": ("/arbitrations/{case}", "行政区划代码"),
    "lists": ("/lists", "清单"),
    "a list": ("/lists/duty", "责任清单"),
    "reports": ("/reports", "报表"),
    "a report": ("/reports/totals", "分层级分部门总数"),
    "an overlong report": ("/reports/duties", "责任清单归集情况"),
    "not there": ("/resources/nothing", "未找到"),
}


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
            ("数源", "数源"),
            ("仲裁", "数源仲裁"),
            ("表单", "表单"),
            ("时限", "时限"),
            ("清单", "清单"),
            ("报表", "报表"),
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
    url = catalogue.resource(*resources[name]) if name in resources else catalogue.page(PAGES[name][0].format(**catalogue.ids))
    for width, scheme in ((1280, "light"), (375, "dark")):
        async with visitor.visit(url, width=width, scheme=scheme) as visit:
            await expect(visit.page.get_by_role("heading", level=1)).to_contain_text(
                resources[name][0] if name in resources else PAGES[name][1]
            )
            await is_sound(visit.page, f"{name} {width} {scheme}")
            if folder := os.environ.get("DXMESH_SCREENSHOTS"):
                await visit.page.screenshot(path=Path(folder) / f"{name.replace(' ', '-')}-{width}.png", full_page=True)
            assert [said for said in visit.complaints if "status of 404" not in said] == []
