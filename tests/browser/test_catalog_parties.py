"""The desk's forms of parties, sources and lists in a browser, on wide and narrow screens: each looked at, filled and refused."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.catalog import NAMES, Catalogue, is_sound
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser
NARROW, WIDE = 500, 1280


async def seen(page: Page, name: str) -> None:
    """Check a page on a narrow and a wide screen; keep what it looks like where that is asked for."""
    folder = os.environ.get("DXMESH_SCREENSHOTS")
    for width in (NARROW, WIDE):
        await page.set_viewport_size({"width": width, "height": 900})
        await is_sound(page, f"{name} {width}", by_axe=width == NARROW)
        if folder:
            await page.screenshot(path=Path(folder) / f"party-{name}-{width}.png", full_page=True)


async def test_offices_sources_cases_and_lists_at_the_desk(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("/desk/sign-in"), width=WIDE) as visit:
        page = visit.page
        await page.get_by_label("客户端标识").fill("node-admin")
        await page.get_by_label("密钥").fill("a-secret-of-the-first-client")
        await page.get_by_role("button", name="登录").click()
        await page.goto(catalogue.page("/organizations"))
        await page.get_by_role("link", name="示例市民政局").first.click()
        await page.locator("summary", has_text="任命").click()
        await page.get_by_label("职务").select_option("cdo")
        await page.get_by_label("任职人").fill("zhang san")
        await page.get_by_role("button", name="任命").click()
        await expect(page.locator(".fault").last).to_contain_text("holds a blank")
        await seen(page, "organization-refused")
        await page.get_by_label("任职人").fill("zhangsan")
        await page.get_by_role("button", name="任命").click()
        await page.get_by_role("link", name="结束任期").click()
        await seen(page, "office-end")
        await page.get_by_label("理由").fill("调任")
        await page.get_by_role("button", name="结束任期").click()
        await expect(page.get_by_role("row", name="zhangsan")).to_contain_text("调任")
        await page.get_by_role("link", name="修改机构").click()
        await seen(page, "organization-entry")
        await page.goto(catalogue.page("/systems"))
        await page.get_by_role("link", name="尚未编目的系统").first.click()
        await page.locator("summary", has_text="投入使用").click()
        await page.get_by_role("button", name="投入使用").click()
        await expect(page.get_by_role("alert")).to_contain_text("尚未编目")
        await seen(page, "system-refused")
        await page.goto(catalogue.page(f"/sources/new?resource={catalogue.ids[NAMES[1]]}&item=division"))
        await page.get_by_role("button", name="申报").click()
        await expect(page.get_by_role("link", name="提请仲裁")).to_be_visible()
        await seen(page, "source-held")
        await page.get_by_role("link", name="查看现数源").click()
        await page.locator("summary", has_text="放弃数源").click()
        await seen(page, "source")
        await page.goto(catalogue.page(f"/arbitrations/{catalogue.ids['case']}"))
        await page.locator("summary", has_text="裁决").click()
        await page.get_by_label("结果").select_option("claimant")
        await seen(page, "case")
        await page.get_by_label("裁决理由").fill("核验更完整")
        await page.get_by_role("button", name="作出裁决").click()
        await expect(page.get_by_role("heading", level=1).locator("+ p")).to_contain_text("已裁决")
        await page.goto(catalogue.page("/lists/negative/new"))
        await page.get_by_role("button", name="保存").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await seen(page, "list-refused")
        await page.goto(catalogue.page("/lists/duty"))
        await seen(page, "list")
        await page.get_by_role("link", name="低保对象").click()
        await page.locator("summary", has_text="办结").click()
        await seen(page, "list-entry")
        await page.goto(catalogue.page(f"/lists/scenario/{catalogue.ids['scenario']}"))
        await page.get_by_role("link", name="填写条款").click()
        await page.get_by_label("数据校核").check()
        await page.get_by_label("部门 Department", exact=True).check()
        await page.get_by_label("自").fill("2026-01-01")
        await page.get_by_label("至").fill("2099-12-31")
        await page.get_by_label("或分类").first.fill("3/30")
        await seen(page, "scenario-terms")
        await page.get_by_role("button", name="保存").click()
        await page.locator("summary", has_text="批准").click()
        await seen(page, "scenario")
        await page.get_by_role("button", name="批准").click()
        await expect(page.get_by_role("region", name="批准").locator("tbody")).to_contain_text("数据主管部门")
        await page.goto(catalogue.page("/lists/duty/import"))
        content = "责任部门统一社会信用代码,名称,期限\nX,高龄津贴,明天\n".encode()
        await page.get_by_label("文件（CSV 或 XLSX）").set_input_files({"name": "清单.csv", "mimeType": "text/csv", "buffer": content})
        await page.get_by_role("button", name="导入").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await seen(page, "list-import")
        assert [said for said in visit.complaints if "status of 4" not in said] == []
