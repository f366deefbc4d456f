from typing import Any

from catalog_svc.app import create_app
from dxmesh_runtime.settings import DashboardSettings
from dxmesh_runtime.testing import serving


async def test_the_page_shows_the_catalogue_as_it_is(node: Any, good_item: Any) -> None:
    organization, system = await node.provider()
    await node.published(organization, system, name="<b>名录</b>")
    await node.resource(organization, system, name="草稿册", items=[good_item("a")], key=[])
    page = await node.client.get("/dashboard", headers=node.authority)
    assert page.status_code == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    assert "&lt;b&gt;名录&lt;/b&gt;" in page.text
    assert "<b>名录</b>" not in page.text
    assert "草稿册" in page.text
    assert organization["name"] in page.text


async def test_an_empty_catalogue_has_a_page_too(node: Any) -> None:
    page = await node.client.get("/dashboard", headers=node.headers(None, "operator"))
    assert page.status_code == 200, page.text


async def test_the_page_is_for_operators(node: Any) -> None:
    for headers in ({}, node.headers(None, "auditor")):
        answer = await node.client.get("/dashboard", headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/dashboard/desk/sign-in")


async def test_this_machine_may_look_when_it_is_allowed(node: Any) -> None:
    settings = node.settings.model_copy(update={"dashboard": DashboardSettings(loopback_open=True)})
    async with serving(create_app(settings)) as client:
        assert (await client.get("/dashboard", headers={"Host": "127.0.0.1"})).status_code == 200


async def test_the_bare_address_leads_to_the_dashboard(node: Any) -> None:
    answer = await node.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/dashboard")
