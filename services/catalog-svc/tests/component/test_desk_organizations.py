"""Organizations at the desk: their offices filled and ended, their entries changed on what was read."""

from typing import Any

from dxmesh_schemas.catalog_events import OrganizationChanged

LICENCE = {"/licence/title": "供水特许经营许可", "/licence/number": "水许〔2025〕1号"}


def entry(organization: dict[str, Any], **changes: str) -> dict[str, str]:
    """Return an organization's entry as its form sends it."""
    return {f"/{name}": organization[name] for name in ("name", "level", "division_code", "kind")} | changes


async def terms(node: Any, organization: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await node.client.get(f"/v1/organizations/{organization['organization_id']}/officers", headers=node.authority)
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_offices_are_filled_and_ended_with_what_was_kept(node: Any, desk: Any) -> None:
    organization = await node.organization()
    here = f"/organizations/{organization['organization_id']}"
    assert here in await desk.page("/organizations", node.authority)
    assert "Nobody was appointed" in await desk.page(here, node.authority)
    await desk.send(f"{here}/officers", {"/role": "cdo", "/holder": "zhang", "/since": "2026-01-01"}, node.authority)
    await desk.send(f"{here}/officers", {"/role": "steward", "/holder": "li", "/since": "2026-02-01"}, node.cdo(organization))
    cdo, steward = await terms(node, organization)
    text = await desk.page(here, node.cdo(organization))
    assert f"{here}/officers/{steward['officer_id']}/end" in text
    assert f"{here}/officers/{cdo['officer_id']}/end" not in text, "the CDO is the authority's to change"
    assert 'value="cdo"' not in text
    end = f"{here}/officers/{cdo['officer_id']}/end"
    assert "zhang" in await desk.page(end, node.authority)
    assert "Required" in desk.at(await desk.refused(end, {"/until": "2026-05-01"}, node.authority, 422), "/reason")
    text = await desk.refused(end, {"/until": "2025-05-01", "/reason": "调任"}, node.authority, 422)
    assert "is before 2026-01-01" in desk.at(text, "/until")
    assert ">\n调任</textarea>" in text
    await desk.send(end, {"/until": "2026-05-01", "/reason": "调任"}, node.authority)
    assert "调任" in await desk.page(here, node.authority)
    assert [(one["until"], one["reason"]) for one in await terms(node, organization)] == [("2026-05-01", "调任"), (None, None)]
    assert "任期已结束" in await desk.refused(end, {"/reason": "再次"}, node.authority, 409)
    assert sum(isinstance(event, OrganizationChanged) for event in await node.events()) == 3


async def test_an_appointment_that_cannot_be_is_refused_at_its_field(node: Any, desk: Any) -> None:
    organization = await node.organization()
    path = f"/organizations/{organization['organization_id']}/officers"
    await desk.send(path, {"/role": "cdo", "/holder": "zhang"}, node.authority)
    for values, pointer, said, status in (
        ({"/role": "cdo", "/holder": "li"}, "/holder", "one at a time", 409),
        ({"/role": "cdo", "/holder": "zhang"}, "/holder", "holds this office", 409),
        ({"/role": "steward", "/holder": "li wei"}, "/holder", "holds a blank", 422),
        ({"/role": "steward"}, "/holder", "Required", 422),
        ({"/role": "mayor", "/holder": "li"}, "/role", "cdo", 422),
        ({"/role": "steward", "/holder": "li", "/since": "明天"}, "/since", "2026-01-31", 422),
        ({"/role": "steward", "/holder": "li", "/since": "2026-03-02", "/until": "2026-03-01"}, "/until", "is not after", 422),
    ):
        text = await desk.refused(path, values, node.authority, status)
        assert said in desk.at(text, pointer), values
        for kept in values.values():
            assert f'value="{kept}"' in text, kept
    assert len(await terms(node, organization)) == 1


async def test_offices_are_filled_only_by_who_may(node: Any, desk: Any) -> None:
    organization, other = await node.organization(), await node.organization("示例市气象局")
    path = f"/organizations/{organization['organization_id']}/officers"
    await desk.send(path, {"/role": "steward", "/holder": "li"}, node.authority)
    [term] = await terms(node, organization)
    strangers = (node.cdo(other), node.steward(organization), node.headers(None, "operator"))
    for stranger in strangers:
        await desk.refused(path, {"/role": "steward", "/holder": "wang"}, stranger, 403)
        await desk.page(f"{path}/{term['officer_id']}/end", stranger, 403)
        await desk.refused(f"{path}/{term['officer_id']}/end", {"/reason": "x"}, stranger, 403)
        assert f'action="/dashboard{path}"' not in await desk.page(path.removesuffix("/officers"), stranger)
    await desk.refused(path, {"/role": "cdo", "/holder": "wang"}, node.cdo(organization), 403)
    elsewhere = f"/organizations/{other['organization_id']}/officers/{term['officer_id']}/end"
    assert "Not found" in await desk.refused(elsewhere, {"/reason": "x"}, node.authority, 404)
    assert [one["ended_at"] for one in await terms(node, organization)] == [None]


async def test_every_field_of_an_organization_changes_and_what_is_left_blank_is_none(node: Any, desk: Any) -> None:
    above, organization = await node.organization("示例市人民政府"), await node.organization("示例市水务集团")
    here = f"/organizations/{organization['organization_id']}"
    form = await desk.page(f"{here}/entry", node.authority)
    changed = {"/name": "示例县水务集团", "/level": "county", "/division_code": "330603", "/kind": "public_utility"}
    await desk.send(f"{here}/entry", desk.unseen(form) | changed | LICENCE | {"/parent_id": above["organization_id"]}, node.authority)
    now = (await node.client.get(f"/v1{here}", headers=node.authority)).json()
    assert {f"/{name}": now[name] for name in ("name", "level", "division_code", "kind")} == changed
    assert (now["parent_id"], now["licence"]["number"]) == (above["organization_id"], "水许〔2025〕1号")
    page = await desk.page(here, node.authority)
    for shown in ("示例县水务集团", "示例市人民政府", "供水特许经营许可", "公用企事业"):
        assert shown in page, shown
    form = await desk.page(f"{here}/entry", node.authority)
    for shown in ('value="示例县水务集团"', 'value="水许〔2025〕1号"', f'value="{above["organization_id"]}" selected'):
        assert shown in form, shown
    await desk.send(f"{here}/entry", desk.unseen(form) | changed | {"/kind": "department"}, node.authority)
    now = (await node.client.get(f"/v1{here}", headers=node.authority)).json()
    assert (now["kind"], now["parent_id"], now["licence"]) == ("department", None, None)


async def test_a_change_that_cannot_be_is_refused_at_its_field(node: Any, desk: Any) -> None:
    organization = await node.organization()
    path = f"/organizations/{organization['organization_id']}/entry"
    unseen = desk.unseen(await desk.page(path, node.authority))
    for changes, pointer, said in (
        ({"/name": ""}, "/name", "Required"),
        ({"/level": "moon"}, "/level", "nation"),
        ({"/division_code": "33060"}, "/division_code", "half-width digits"),
        ({"/kind": "shop"}, "/kind", "department"),
        ({"/parent_id": organization["organization_id"]}, "/parent_id", "loop"),
        (LICENCE, "/licence", "belongs to public utilities"),
        ({"/kind": "public_utility", "/licence/title": "许可"}, "/licence/number", "Required"),
        ({"/kind": "public_utility", **LICENCE, "/licence/valid_until": "2020-01-01"}, "/licence/valid_until", "ended on"),
    ):
        text = await desk.refused(path, unseen | entry(organization) | changes, node.authority, 422)
        assert said in desk.at(text, pointer), changes
        assert desk.unseen(text) == unseen, "it is still made on what was read"
    for stranger in (node.steward(organization), node.headers(None, "operator")):
        await desk.page(path, stranger, 403)
        await desk.refused(path, unseen | entry(organization, **{"/name": "别的局"}), stranger, 403)
    nowhere = "/organizations/00000000-0000-0000-0000-000000000000"
    for path in (nowhere, f"{nowhere}/entry"):
        await desk.page(path, node.authority, 404)
    assert not [event for event in await node.events() if isinstance(event, OrganizationChanged)]


async def test_a_stale_entry_is_told_what_changed_and_overwrites_only_knowingly(node: Any, desk: Any) -> None:
    organization = await node.organization()
    path = f"/organizations/{organization['organization_id']}/entry"
    unseen = desk.unseen(await desk.page(path, node.authority))
    await desk.send(path, unseen | entry(organization, **{"/name": "别人改的名称"}), node.authority)
    mine = entry(organization, **{"/name": "我写的名称"})
    stale = await desk.refused(path, unseen | mine, node.authority, 412)
    for shown in ("已被修改", 'value="我写的名称"', organization["name"], "别人改的名称"):
        assert shown in stale, shown
    await desk.refused(path, mine, node.authority, 412)
    await desk.refused(path, mine | {"revision": unseen["revision"], "read": "[]"}, node.authority, 412)
    await desk.send(path, mine | desk.unseen(stale), node.authority)
    assert "我写的名称" in await desk.page(path.removesuffix("/entry"), node.authority)
