"""The portal's pages and the operator page: what they show, in both languages, and that nothing sent to them breaks out."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from dxmesh_schemas.catalog import OpenType, OrganizationRef

NAME = "307001-000123"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


async def test_an_empty_portal_says_so(open_data: Any) -> None:
    answer = await open_data.client.get("/")
    assert answer.status_code == 200
    assert "尚无开放的数据集" in answer.text


async def test_the_front_page_lists_datasets_newest_first_with_the_numbers(open_data: Any) -> None:
    await open_data.opened(open_data.streets(1_500), name="第一个", resource_code="first")
    await open_data.opened(open_data.streets(500), name="第二个", resource_code="second")
    page = (await open_data.client.get("/")).text
    assert page.index("第二个") < page.index("第一个")
    assert re.search(r"<dt>数据集</dt><dd>2</dd>", page)
    assert re.search(r"<dt>API 接口</dt><dd>2</dd>", page)
    assert re.search(r"<dt>数据项</dt><dd>14</dd>", page)
    assert re.search(r"<dt>开放数据（条）</dt><dd>2,000</dd>", page)
    assert "第二个" in (await open_data.client.get("/datasets")).text
    numbers = (await open_data.client.get("/v1/statistics")).json()
    assert numbers == {"datasets": 2, "apis": 2, "items": 14, "rows": 2000, "downloads": 0, "queries": 0}


async def test_words_are_searched_in_titles_summaries_publishers_and_items(open_data: Any) -> None:
    await open_data.opened(name="街道名录", summary="", resource_code="streets")
    await open_data.opened(name="公交站点", summary="站牌与线路", resource_code="stops", items=open_data.items[:1])
    for words, found in (
        ("街道", ["街道名录"]),
        ("线路", ["公交站点"]),
        ("设立日期", ["街道名录"]),
        ("STOPS", ["公交站点"]),
        ("街道 民政局", ["街道名录"]),
    ):
        page = (await open_data.client.get("/", params={"q": words})).text
        assert re.findall(r'<h3><a href="[^"]*">([^<]*)</a>', page) == found, words


@pytest.mark.parametrize("q", ["%", "_", "\\", "%%%", "a_b", "*", "'; DROP TABLE dataset; --", "\0", "x" * 200, "🦀", "% _ \\ % _"])
async def test_signs_of_the_pattern_language_are_ordinary_letters(open_data: Any, q: str) -> None:
    await open_data.opened()
    answer = await open_data.client.get("/", params={"q": q})
    assert answer.status_code == 200
    if q not in ("\0",):
        assert "没有符合条件的数据集" in answer.text


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=-1", "sort=colour", "q=" + "x" * 201, "page=99999999999999999999999"])
async def test_wrong_parameters_of_the_list_are_named(open_data: Any, query: str) -> None:
    answer = await open_data.client.get(f"/?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"query:{query.partition('=')[0]}"


async def test_facets_narrow_the_list_and_say_how_many(open_data: Any) -> None:
    traffic = OrganizationRef(
        organization_id=open_data.resource().resource_id, uscc="12330600MB0000002X", name="交通局", division_code="330600"
    )
    await open_data.opened(name="街道名录", resource_code="streets")
    await open_data.opened(name="公交站点", resource_code="stops", provider=traffic, open_theme="交通出行")
    page = (await open_data.client.get("/", params={"publisher": "12330600mb0000002x"})).text
    assert re.findall(r'<h3><a href="[^"]*">([^<]*)</a>', page) == ["公交站点"]
    assert re.search(r'aria-current="true"><span>交通局</span><span class="count">1</span>', page)
    page = (await open_data.client.get("/", params={"theme": "交通出行", "publisher": "11330600mb1573660p"})).text
    assert "没有符合条件的数据集" in page


async def test_a_long_list_is_paged(open_data: Any) -> None:
    for number in range(23):
        await open_data.opened(open_data.streets(1), resource_code=f"set-{number:02}", name=f"数据集 {number:02}")
    first = (await open_data.client.get("/", params={"sort": "title"})).text
    second = (await open_data.client.get("/", params={"sort": "title", "page": 2})).text
    titles = [re.findall(r'<h3><a href="[^"]*">([^<]*)</a>', page) for page in (first, second)]
    assert [len(found) for found in titles] == [20, 3]
    assert titles[0] + titles[1] == sorted(titles[0] + titles[1])
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
    assert (await open_data.client.get("/", params={"page": 9})).status_code == 200


async def test_a_datasets_page_shows_items_preview_files_and_versions(open_data: Any) -> None:
    resource = await open_data.opened()
    await open_data.advance(resource, open_data.streets(30))
    page = (await open_data.client.get(f"/datasets/{NAME}")).text
    for shown in (
        "全市街道名录",
        "市民政局",
        "机构团体",
        "每日",
        "设立日期",
        "330600009",
        f"/datasets/{NAME}/v2/{NAME}.parquet",
        "v1",
        "datastore_search",
    ):
        assert shown in page, shown
    for hidden in ("联系电话", "phone", "1390000", "内部"):
        assert hidden not in page, hidden
    etag = (await open_data.client.head(f"/datasets/{NAME}/v2/{NAME}.csv")).headers["etag"].strip('"')
    assert etag in page


async def test_pages_come_in_english_when_asked_or_preferred(open_data: Any) -> None:
    await open_data.opened()
    for answer in (
        await open_data.client.get("/?lang=en"),
        await open_data.client.get("/", headers={"Accept-Language": "en-GB,en;q=0.8"}),
    ):
        assert '<html lang="en">' in answer.text
        assert "Recently updated" in answer.text
    page = (await open_data.client.get(f"/datasets/{NAME}?lang=en")).text
    assert "Last update" in page
    assert '<html lang="zh-CN">' in (await open_data.client.get(f"/datasets/{NAME}?lang=zh", headers={"Accept-Language": "en"})).text


async def test_nothing_a_department_writes_breaks_out_of_a_page(open_data: Any) -> None:
    items = (open_data.items[0].model_copy(update={"name": EVIL, "description": EVIL}), *open_data.items[1:])
    rows = open_data.streets(3).with_columns(name=__import__("polars").lit(EVIL))
    provider = OrganizationRef(
        organization_id=open_data.resource().resource_id, uscc="11330600MB1573660P", name=EVIL, division_code="330600"
    )
    await open_data.opened(rows, name=EVIL, summary=EVIL, open_theme=EVIL, items=items, provider=provider)
    operator = open_data.tokens.issue(None, "operator")
    for url in ("/", f"/?q={EVIL}&theme={EVIL}&publisher={EVIL}", f"/datasets/{NAME}", "/dashboard"):
        page = await open_data.client.get(url, headers=operator)
        assert page.status_code == 200, url
        assert "<script>alert" not in page.text, url
        assert "<img src=x" not in page.text, url
        assert "script-src 'self'" in page.headers["content-security-policy"]
    page = (await open_data.client.get(f"/datasets/{NAME}")).text
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    assert json.loads(found.group(1))["name"] == EVIL


@pytest.mark.parametrize("name", ["nothing", "%00", "..etc", "%3Cscript%3E", "A" * 300, "名称"])
async def test_an_unknown_dataset_is_a_page_with_404(open_data: Any, name: str) -> None:
    answer = await open_data.client.get(f"/datasets/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "没有找到这个数据集" in answer.text


async def test_a_retired_dataset_leaves_the_list_and_its_page_is_gone(open_data: Any) -> None:
    resource = await open_data.opened()
    await open_data.publish(resource.model_copy(update={"version": 2, "open_type": OpenType.CLOSED}))
    assert "全市街道名录" not in (await open_data.client.get("/")).text
    answer = await open_data.client.get(f"/datasets/{NAME}")
    assert answer.status_code == 410
    assert "已停止开放" in answer.text
    assert "330600009" not in answer.text
    assert (await open_data.client.get("/v1/statistics")).json()["datasets"] == 0


async def test_the_operator_page_needs_an_operator_and_shows_the_numbers(open_data: Any) -> None:
    resource = await open_data.opened()
    await open_data.client.get(f"/datasets/{NAME}/v1/{NAME}.csv")
    await open_data.advance(resource, open_data.streets(30))
    refused = await open_data.client.get("/dashboard")
    assert refused.status_code == 303
    assert refused.headers["location"].startswith("/dashboard/sign-in?next=")
    assert (await open_data.client.get("/dashboard", headers=open_data.tokens.issue(None, "auditor"))).status_code == 303
    page = await open_data.client.get("/dashboard", headers=open_data.tokens.issue(None, "operator"))
    assert page.status_code == 200
    assert "全市街道名录" in page.text
    assert "v2" in page.text
    assert datetime.now(UTC).strftime("%Y-%m") in page.text
