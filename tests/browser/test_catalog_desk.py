"""The catalogue's desk in a browser: from registration to publication by its steward, CDO and authority, on wide and narrow screens."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests import patient
from tests.browser.catalog import Catalogue, is_sound
from tests.browser.conftest import Visitor
from tests.e2e.node import uscc

pytestmark = [pytest.mark.browser, pytest.mark.long]
NARROW, WIDE = 390, 1280
SECRET = "a-secret-of-the-first-client"


async def seen(page: Page, name: str) -> None:
    """Check a page on a narrow and a wide screen, in dark and light; keep what it looks like where that is asked for."""
    folder = os.environ.get("DXMESH_SCREENSHOTS")
    for width, scheme in ((NARROW, "dark"), (WIDE, "light")):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        await is_sound(page, f"{name} {width} {scheme}", by_axe=width == NARROW)
        if folder:
            await page.screenshot(path=Path(folder) / f"desk-{name}-{width}.png", full_page=True)


def tab(page: Page, name: str) -> Locator:
    """Return the link of the navigation to a part of the catalogue."""
    return page.get_by_role("navigation", name="目录").get_by_role("link", name=name)


async def sign_in(page: Page, catalogue: Catalogue, client_id: str, secret: str) -> None:
    await page.goto(catalogue.page("/desk/sign-in"))
    await page.get_by_label("客户端标识").fill(client_id)
    await page.get_by_label("密钥").fill(secret)
    await page.get_by_role("button", name="登录").click()
    await page.wait_for_url(catalogue.page(""))


async def credential(catalogue: Catalogue, organization_id: str, *roles: str) -> tuple[str, str]:
    async with httpx.AsyncClient(base_url=catalogue.url, timeout=patient.SECONDS) as client:
        path = f"/v1/organizations/{organization_id}/credentials"
        answer = await client.post(path, json={"name": "desk", "roles": list(roles)}, headers=catalogue.authority)
        made: dict[str, Any] = answer.json()
        return made["client_id"], made["client_secret"]


async def test_from_registration_to_publication_at_the_desk(catalogue: Catalogue, visitor: Visitor) -> None:
    async with visitor.visit(catalogue.page("/desk/sign-in"), width=WIDE) as visit:
        page = visit.page
        await seen(page, "sign-in")
        await sign_in(page, catalogue, "node-admin", SECRET)
        await tab(page, "机构").click()
        await page.get_by_role("link", name="登记机构").click()
        await page.get_by_label("名称").first.fill("示例市档案馆")
        await page.get_by_label("统一社会信用代码").fill("11330600")
        await page.get_by_label("行政区划代码").fill("330600")
        await page.get_by_role("button", name="登记").click()
        await expect(page.get_by_role("alert")).to_contain_text("GB 32100")
        await expect(page.get_by_label("名称").first).to_have_value("示例市档案馆")
        await seen(page, "organization-refused")
        await page.get_by_label("统一社会信用代码").fill(uscc(20_000_777))
        await page.get_by_role("button", name="登记").click()
        await expect(page.get_by_role("row", name="示例市档案馆")).to_be_visible()
        href = await page.get_by_role("link", name="示例市档案馆").first.get_attribute("href")
        assert href is not None
        organization_id = href.rpartition("/")[2]
        await page.get_by_role("button", name="退出").click()

        steward = await credential(catalogue, organization_id, "steward")
        await sign_in(page, catalogue, *steward)
        await seen(page, "overview-of-a-department")
        await tab(page, "信息系统").click()
        await page.get_by_role("link", name="登记系统").click()
        await page.get_by_label("名称").fill("档案管理系统")
        await seen(page, "system")
        await page.get_by_label("名称").press("Enter")
        await expect(page.get_by_role("row", name="档案管理系统")).to_be_visible()
        await tab(page, "数据资源").click()
        await seen(page, "resources-of-a-department")
        await page.get_by_role("link", name="登记资源").click()
        await _entry(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text("馆藏档案目录信息")
        await page.get_by_text("提交审核").click()
        await seen(page, "draft")
        await page.get_by_role("button", name="提交", exact=False).last.click()
        await expect(page.locator("section.card", has_text="在途草稿")).to_contain_text("首席数据官")
        address = page.url
        await page.get_by_role("button", name="退出").click()

        await sign_in(page, catalogue, *await credential(catalogue, organization_id, "cdo"))
        await page.goto(address)
        await page.get_by_text("退回", exact=False).first.click()
        await page.get_by_label("退回理由").fill("请补充长度")
        await page.get_by_label("字段").select_option("/items/1")
        await page.get_by_label("说明").last.fill("题名缺少长度")
        await seen(page, "return")
        await page.get_by_role("button", name="退回").click()
        await expect(page.locator(".notice")).to_contain_text("题名缺少长度")
        await page.get_by_role("button", name="退出").click()

        await sign_in(page, catalogue, *steward)
        await page.goto(address)
        await page.get_by_role("link", name="修改登记信息").click()
        await expect(page.get_by_role("alert")).to_contain_text("题名缺少长度")
        await seen(page, "entry-returned")
        await page.locator('[name="/items/1/length"]').fill("200")
        await page.get_by_role("button", name="保存草稿").click()
        await page.get_by_text("提交审核").click()
        await page.get_by_role("button", name="提交", exact=False).last.click()
        await expect(page.locator("section.card", has_text="在途草稿")).to_contain_text("首席数据官")
        await page.get_by_role("button", name="退出").click()

        await sign_in(page, catalogue, *await credential(catalogue, organization_id, "cdo"))
        await page.goto(address)
        await page.get_by_text("部门审核通过").first.click()
        await page.get_by_role("button", name="审核通过").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await seen(page, "approval-refused")
        for part, outcome in (("secrecy_risk", "passed"), ("personal_information", "none")):
            await page.locator(f'[name="/{part}/outcome"]').select_option(outcome)
            await page.locator(f'[name="/{part}/assessed_by"]').fill("保密办公室")
        await page.get_by_role("button", name="审核通过").click()
        await expect(page.locator("section.card", has_text="在途草稿")).to_contain_text("数据主管部门")
        await page.get_by_role("button", name="退出").click()

        await sign_in(page, catalogue, "node-admin", SECRET)
        await page.goto(address)
        await page.get_by_text("复核并发布").click()
        await page.get_by_role("button", name="发布").click()
        await expect(page.locator("h1 + p")).to_contain_text("已发布")
        await page.get_by_text("撤回").first.click()
        await seen(page, "published")
        assert [said for said in visit.complaints if "status of 4" not in said] == []


async def _entry(page: Page) -> None:
    """Fill the entry's form by keyboard and mouse, one item more and one less than needed."""
    await page.get_by_label("信息系统").select_option(label="档案管理系统")
    await page.locator('[name="/name"]').fill("馆藏档案目录信息")
    await page.get_by_label("摘要").fill("馆藏档案的目录，按月更新")
    await page.locator('[name="/class_path"]').fill("3/30/102/01")
    await page.get_by_label("数据管理员岗位").fill("保管科数据管理员")
    await page.locator('[name="/items/0/code"]').fill("record_no")
    await page.locator('[name="/items/0/name"]').fill("档号")
    await page.locator('[name="/items/0/in_key"]').check()
    add = page.get_by_role("button", name="增加信息项")
    await add.focus()
    await add.press("Enter")
    await expect(page.locator('[name="/items/1/code"]')).to_be_focused()
    await page.keyboard.type("title")
    await page.keyboard.press("Tab")
    await page.keyboard.type("题名")
    await add.press("Enter")
    await expect(page.get_by_text("3 行 rows")).to_be_visible()
    await page.get_by_role("button", name="删除此项").last.press("Enter")
    await expect(page.get_by_text("2 行 rows")).to_be_visible()
    await page.locator('[name="/items/1/data_type"]').select_option("I")
    await page.locator('[name="/items/1/length"]').fill("100")
    await page.locator('[name="/name"]').press("Enter")
    await expect(page.locator(".fault").first).to_contain_text("applies to text items")
    await expect(page.locator('[name="/items/1/name"]')).to_have_value("题名")
    await seen(page, "entry-refused")
    await page.locator('[name="/items/1/data_type"]').select_option("C")
    await page.locator('[name="/items/1/length"]').fill("")
    await page.locator('[name="/name"]').press("Enter")
