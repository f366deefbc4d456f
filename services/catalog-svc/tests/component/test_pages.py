"""The pages of the data authority: each shows what the catalogue holds, escapes what people wrote, and refuses whom it does not know."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest

PAGES = ("", "/resources", "/organizations", "/systems", "/code-sets")
SCRIPT = "<script>名录</script>"


async def get(node: Any, path: str, status: int = 200, **params: Any) -> str:
    answer = await node.client.get(f"/dashboard{path}", params=params, headers=node.headers(None, "operator"))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    text: str = answer.text
    assert "<script>名录" not in text
    return re.sub("</?mark>", "", text)


async def searchable(node: Any, words: str, count: int) -> None:
    """Wait until the search index has taken in what was just entered."""
    async with asyncio.timeout(20):
        while True:
            answer = await node.client.get("/v1/search", params={"q": words}, headers=node.authority)
            if answer.status_code == 200 and answer.json()["total"] == count:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("page", PAGES)
async def test_an_empty_catalogue_has_every_page(node: Any, page: str) -> None:
    assert "<h1>" in await get(node, page)


@pytest.mark.parametrize("page", [*PAGES, "/resources/x", "/code-sets/x"])
async def test_every_page_is_for_those_who_have_something_to_do_here(strict_node: Any, page: str) -> None:
    for headers in ({}, strict_node.headers(None, "auditor"), strict_node.headers(None, "steward")):
        answer = await strict_node.client.get(f"/dashboard{page}", headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/dashboard/desk/sign-in?next=%2Fdashboard")


async def test_the_overview_says_what_waits_for_whom_and_counts_by_level(node: Any) -> None:
    organization, system = await node.provider()
    county = await node.organization("示例县民政局", level="county", division_code="330624")
    await node.published(organization, system, name=SCRIPT)
    await node.resource(organization, system, name="草稿册")
    await node.put_in_force(await node.resource(organization, system, name="提交册"), until="submission")
    await node.put_in_force(await node.resource(county, await node.system(county), name="审核册"), until="approval")
    page = await get(node, "")
    for waits in ("数据管理员", "首席数据官", "数据主管部门"):
        assert waits in page
    for name in ("草稿册", "提交册", "审核册", "市级", "县级", "合计"):
        assert name in page
    assert page.index("审核册") < page.index("提交册") < page.index("草稿册"), "what waits for the authority comes first"


async def test_resources_are_found_by_words_state_provider_and_system(node: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("示例市气象局")
    await node.published(organization, system, name="婚姻登记")
    await node.resource(organization, system, name="收养登记")
    await node.published(other, await node.system(other, "观测系统"), name="降水量")

    await searchable(node, "登记", 2)

    async def found(**params: Any) -> set[str]:
        page = await get(node, "/resources", **params)
        return {name for name in ("婚姻登记", "收养登记", "降水量") if f">{name}</a>" in page}

    assert await found() == {"婚姻登记", "收养登记", "降水量"}
    assert await found(q="登记") == {"婚姻登记", "收养登记"}
    assert await found(q="气象局") == {"降水量"}
    assert await found(q="登记", state="published") == {"婚姻登记"}
    assert await found(provider=other["organization_id"]) == {"降水量"}
    assert await found(system=system["system_id"], state="draft") == {"收养登记"}
    for nothing in ("%", "_", "没有", "\0"):
        assert (await found(q=nothing)) == (set() if nothing != "\0" else {"婚姻登记", "收养登记", "降水量"})
    assert "没有符合条件" in await get(node, "/resources", q="没有")


async def test_a_resource_shows_its_items_steps_versions_and_what_each_changed(node: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system, items=[good_item("a", name="甲"), good_item("b", name="乙")], key=[])
    entry = {
        "system_id": system["system_id"], "name": "街道名册", "summary": "改过", "class_path": "3/30/102/01", "update_cycle": "DAILY",
        "steward": "区划地名科", "items": [good_item("a", name="甲"), good_item("b", name="乙"), good_item("c", name="丙")],
    }  # fmt: skip
    path = f"/v1/resources/{made['resource_id']}"
    answer = await node.client.put(path, json=entry, headers=node.steward(organization))
    assert answer.status_code == 200, answer.text
    page = await get(node, f"/resources/{made['resource_id']}")
    assert "在途草稿" in page
    assert "新增" in page
    await node.put_in_force(answer.json() | {"provider": organization})
    page = await get(node, f"/resources/{made['resource_id']}", version=2)
    for shown in ("街道名册", "丙", "v1 → v2", "提交", "部门审核通过", "首席数据官", "schema.json", organization["name"], system["name"]):
        assert shown in page
    assert "在途草稿" not in page
    assert "没有这个版本" in await get(node, f"/resources/{made['resource_id']}", version=9)
    withdrawn = await node.client.post(f"{path}/withdrawal", json={"reason": "职能已划转"}, headers=node.steward(organization))
    assert withdrawn.status_code == 200, withdrawn.text
    assert "职能已划转" in await get(node, f"/resources/{made['resource_id']}")


async def test_what_is_not_there_is_said_to_be_not_there(strict_node: Any) -> None:
    for path in (f"/resources/{uuid4()}", "/resources/x", "/resources/%00", "/code-sets/nothing", "/code-sets/%00"):
        assert "Not found" in await get(strict_node, path, 404)


@pytest.mark.parametrize(
    ("path", "params"),
    [("/resources", {"page": 0}), ("/resources", {"page": "x"}), ("/resources", {"state": "lost"}), ("/resources", {"provider": "x"}),
     ("/systems", {"page": 10**12}), ("/organizations", {"q": "长" * 201})],
)  # fmt: skip
async def test_a_question_that_cannot_be_is_refused(strict_node: Any, is_problem: Any, path: str, params: dict[str, Any]) -> None:
    answer = await strict_node.client.get(f"/dashboard{path}", params=params, headers=strict_node.authority)
    is_problem(answer, 422)


async def test_a_page_behind_the_last_is_the_last(node: Any) -> None:
    organization, system = await node.provider()
    for number in range(52):
        await node.resource(organization, system, name=f"名录{number:02d}")
    await searchable(node, "名录", 52)
    first, last = await get(node, "/resources", q="名录"), await get(node, "/resources", page=99, q="名录")
    assert "名录00" in first
    assert "名录51" not in first
    assert "名录51" in last
    assert "page=2" in first
    assert "page=1" in last


async def test_organizations_and_systems_show_what_they_hold(node: Any) -> None:
    organization, system = await node.provider()
    await node.published(organization, system)
    await node.system(organization, "未编目系统")
    assert organization["uscc"] in await get(node, "/organizations", q=organization["uscc"])
    assert organization["name"] not in await get(node, "/organizations", q="没有")
    page = await get(node, "/systems", provider=organization["organization_id"])
    assert "未编目系统" in page
    assert page.count("未编目 <span") == 1


async def test_a_code_set_shows_what_became_of_a_code_and_where_sources_differ(node: Any) -> None:
    await node.client.post("/v1/shipped-code-sets/gb-t-2260.zhejiang/publication", headers=node.authority)
    await node.client.post(
        "/v1/code-sets/gb-t-2260.zhejiang/import",
        params={"source": "another list"}, content="code,label\n330103,下城区\n", headers=node.authority | {"Content-Type": "text/csv"},
    )  # fmt: skip
    assert "gb-t-2260.zhejiang" in await get(node, "/code-sets")
    page = await get(node, "/code-sets/gb-t-2260.zhejiang", code="330621")
    for shown in ("绍兴县", "柯桥区", "2013-10-18", "国函〔2013〕112号", "已停用"):
        assert shown in page
    assert "各来源说法不一" in await get(node, "/code-sets/gb-t-2260.zhejiang", code="330103")
    assert "330621" in await get(node, "/code-sets/gb-t-2260.zhejiang", q="绍兴", on="2000-01-01")
    assert "330603" not in (await get(node, "/code-sets/gb-t-2260.zhejiang", q="柯桥", on="2000-01-01")).split("来源不一致")[0]
    for odd in ({"code": "999999"}, {"code": "\0"}, {"on": "yesterday"}, {"q": "\0"}, {"code": SCRIPT}):
        assert "<h1>" in await get(node, "/code-sets/gb-t-2260.zhejiang", **odd)


async def test_an_operator_of_an_organization_sees_the_drafts_of_that_one_alone(node: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("示例市气象局")
    draft = await node.resource(organization, system, name="草稿册")
    own, foreign = (node.headers(one["organization_id"], "operator") for one in (organization, other))
    for path, is_there in (("", "草稿册"), ("/resources", "草稿册"), ("/systems", "婚姻登记系统")):
        assert is_there in (await node.client.get(f"/dashboard{path}", headers=own)).text
        answer = await node.client.get(f"/dashboard{path}", headers=foreign)
        assert (answer.status_code, is_there in answer.text) == (200, False), path
    for headers, status in ((own, 200), (foreign, 404)):
        assert (await node.client.get(f"/v1/resources/{draft['resource_id']}", headers=headers)).status_code == status
        assert (await node.client.get(f"/dashboard/resources/{draft['resource_id']}", headers=headers)).status_code == status
