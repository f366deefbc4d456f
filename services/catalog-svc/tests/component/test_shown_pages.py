"""The pages that show sources, cases, forms, duties, lists and reports: as over the API, and to a department no more than its own."""

import re
from typing import Any
from uuid import uuid4

import pytest

from catalog_svc.claim.consumers import HANDLERS
from catalog_svc.report.domain import TITLES
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog_events import ResourcePublished

PAGES = ("/sources", "/arbitrations", "/forms", "/duties", "/lists", "/lists/negative", "/reports")
LAW = {"kind": "law", "title": "中华人民共和国数据安全法", "article": "第三十八条"}
SCRIPT = "<script>名录</script>"


async def get(node: Any, path: str, status: int = 200, headers: dict[str, str] | None = None, **params: Any) -> str:
    answer = await node.client.get(f"/dashboard{path}", params=params or None, headers=headers or node.headers(None, "operator"))
    assert answer.status_code == status, answer.text
    text: str = answer.text
    assert "<script>名录" not in text
    return text


async def department(node: Any, name: str, resource: str, item: str, **changes: Any) -> tuple[Any, Any]:
    organization = await node.organization(name)
    system = await node.system(organization, f"{name}系统")
    items = [{"code": "id_number", "name": item, "data_type": "C", "length": 18, **changes}]
    return organization, await node.published(organization, system, name=resource, items=items, key=[])


async def disputed(node: Any) -> tuple[Any, Any, Any]:
    """Let one department hold a source and another bring it before the authority; return both and the case."""
    police, population = await department(node, "示例市公安局", "人口信息", "公民身份号码")
    civil, marriages = await department(node, "示例市民政局", "婚姻信息", "身份证号")
    for event in await node.events():
        if isinstance(event, ResourcePublished):
            await deliver(node.sessions, HANDLERS, event)
    await node.made("/v1/source-claims", {"resource_id": population["resource_id"], "item": "id_number"}, node.steward(police))
    body = {"resource_id": marriages["resource_id"], "item": "id_number", "statement": f"登记时核验{SCRIPT}"}
    return police, civil, await node.made("/v1/arbitrations", body, node.steward(civil))


@pytest.mark.parametrize("page", PAGES)
async def test_an_empty_catalogue_has_every_page(node: Any, page: str) -> None:
    assert "<h1>" in await get(node, page)
    answer = await node.client.get(f"/dashboard{page}")
    assert answer.status_code == 303


async def test_sources_and_cases_are_shown_with_their_steps_to_those_they_concern(node: Any) -> None:
    police, civil, case = await disputed(node)
    stranger = await node.organization("示例市气象局")
    sources = await get(node, "/sources")
    for shown in ("公民身份号码", "人口信息", "示例市公安局", "330600", "在用"):
        assert shown in sources
    assert "人口信息" in await get(node, "/sources", q="身份")
    assert "人口信息" not in await get(node, "/sources", q="没有")
    assert "人口信息" not in await get(node, "/sources", state="released")
    path = f"/arbitrations/{case['case_id']}"
    for organization in (police, civil):
        assert path in await get(node, "/arbitrations", headers=node.steward(organization))
        page = await get(node, path, headers=node.cdo(organization))
        for shown in ("示例市公安局", "示例市民政局", "婚姻信息", "登记时核验", "待裁决", "提出"):
            assert shown in page, shown
    assert path not in await get(node, "/arbitrations", headers=node.steward(stranger))
    await get(node, path, 404, headers=node.steward(stranger))
    decision = {"outcome": "claimant", "reason": "核验更完整"}
    assert (await node.client.post(f"/v1{path}/decision", json=decision, headers=node.authority)).status_code == 200
    page = await get(node, path)
    for shown in ("核验更完整", "申请方为数源", "裁决"):
        assert shown in page
    assert path in await get(node, "/arbitrations", state="decided")
    assert path not in await get(node, "/arbitrations", state="open")


async def test_a_form_shows_what_need_not_be_collected_again(node: Any) -> None:
    _, civil, _ = await disputed(node)
    body = {"name": f"申领表{SCRIPT}", "items": [{"name": "身份证号", "data_type": "C"}, {"name": "鞋码"}]}
    form = await node.made("/v1/forms", body, node.steward(civil))
    assert "申领表" in await get(node, "/forms", headers=node.steward(civil))
    page = await get(node, f"/forms/{form['form_id']}")
    for shown in ("无需采集", "需新采集", "鞋码", "人口信息", "数源"):
        assert shown in page, shown
    stranger = await node.organization("示例市气象局")
    assert "申领表" not in await get(node, "/forms", headers=node.steward(stranger))
    await get(node, f"/forms/{form['form_id']}", 404, headers=node.steward(stranger))


def missed_on(overview: str) -> str:
    """Return how many duties the first page says were missed."""
    found = re.search(r'Duties missed</span></span>\s*<span class="stat-value">(\d+)', overview)
    assert found is not None
    return found[1]


async def test_duties_show_how_their_clocks_stand(node: Any) -> None:
    organization, made = await department(node, "示例市公安局", "人口信息", "公民身份号码")
    steward = node.steward(organization)
    ids = {}
    for basis, day in (("旧条例", "2025-08-04"), ("新条例", "2027-06-01")):
        body = {"resource_id": made["resource_id"], "change": "law", "basis": basis, "reason": f"{basis}修订", "changed_on": day}
        ids[basis] = (await node.made("/v1/duties", body, steward))["duty_id"]
    assert "旧条例修订" in await get(node, "/duties", state="missed", headers=steward)
    assert "新条例修订" not in await get(node, "/duties", state="missed")
    assert "新条例修订" in await get(node, "/duties")
    assert missed_on(await get(node, "", headers=steward)) == "1"
    page = await get(node, f"/duties/{ids['旧条例']}")
    for shown in ("已逾期", "登记", "旧条例", "2025-08-04", "目录更新"):
        assert shown in page, shown
    stranger = node.steward(await node.organization("示例市气象局"))
    assert missed_on(await get(node, "", headers=stranger)) == "0"
    assert "条例修订" not in await get(node, "/duties", headers=stranger)
    await get(node, f"/duties/{ids['旧条例']}", 404, headers=stranger)


async def test_lists_show_their_entries_with_what_they_were_and_come_as_files(node: Any) -> None:
    organization = await node.organization()
    body = {"name": f"低保对象{SCRIPT}", "content": "每月归集", "due_on": "2030-12-31"}
    made = await node.made("/v1/lists/duty", body, node.steward(organization))
    path = f"/lists/duty/{made['entry_id']}"
    changed = await node.client.put(f"/v1{path}", json=body | {"content": "每周归集"}, headers=node.steward(organization))
    assert changed.status_code == 200, changed.text
    assert "责任清单" in await get(node, "/lists")
    assert path in await get(node, "/lists/duty?q=低保&status=pending")
    assert path not in await get(node, "/lists/duty?status=done")
    page = await get(node, path)
    for shown in ("每月归集", "每周归集", "2030-12-31", organization["name"]):
        assert shown in page, shown
    headers = node.headers(None, "operator")
    file = await node.client.get("/dashboard/lists/duty/file", params={"format": "csv"}, headers=headers)
    assert file.status_code == 200
    assert "每周归集" in file.text
    assert (await node.client.get("/dashboard/lists/system/file", headers=headers)).content[:2] == b"PK"
    assert (await node.client.get("/dashboard/lists/duty/file")).status_code == 303


async def test_every_report_is_shown_and_comes_as_csv_and_xlsx(node: Any) -> None:
    organization, _ = await department(node, "示例市公安局", "人口信息", "公民身份号码")
    await node.system(organization, "未编目系统<b>")
    index = await get(node, "/reports")
    for name, title in TITLES.items():
        assert title in index
        assert title in await get(node, f"/reports/{name}")
        for form, begin in (("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK")):
            answer = await node.client.get(f"/dashboard/reports/{name}", params={"format": form}, headers=node.steward(organization))
            assert answer.content.startswith(begin), name
    coverage = await get(node, "/reports/coverage")
    assert "未编目系统&lt;b&gt;" in coverage
    stranger = node.steward(await node.organization("示例市气象局"))
    assert "未编目系统&lt;b&gt;" not in await get(node, "/reports/coverage", headers=stranger)


async def test_what_is_not_there_is_said_to_be_not_there(strict_node: Any) -> None:
    for path in ("/arbitrations", "/forms", "/duties", "/lists/duty"):
        assert "Not found" in await get(strict_node, f"{path}/{uuid4()}", 404)
