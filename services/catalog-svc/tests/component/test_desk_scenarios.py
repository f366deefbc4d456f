"""Scenarios at the desk: terms are shown by name, approved by whom it takes, taken back, and kept by a form that does not show them."""

from typing import Any

import pytest

TERMS: dict[str, Any] = {
    "purposes": ["ADMINISTRATIVE_BASIS"],
    "requesters": {"kinds": ["department"], "levels": ["city"]},
    "data": [{"class_prefix": "3/30"}],
    "valid_from": "2026-01-01",
    "valid_until": "2099-12-31",
    "terms": {"modes": ["pull"]},
}


@pytest.fixture
async def provided(node: Any) -> tuple[Any, Any, dict[str, Any], str]:
    """Enter a scenario about a department's resource; return provider, asking department, the resource and the entry's address."""
    organization, system = await node.provider()
    asking = await node.organization("另一局")
    resource = await node.published(organization, system)
    data = [{"resource_id": resource["resource_id"], "items": [resource["items"][0]["code"]]}, *TERMS["data"]]
    named = TERMS["requesters"] | {"organization_ids": [asking["organization_id"]]}
    body = {"name": "老年人优待证", "due_on": "2099-12-31", "scenario": TERMS | {"data": data, "requesters": named}}
    made = await node.made("/v1/lists/scenario", body, node.steward(asking))
    return organization, asking, resource, f"/lists/scenario/{made['entry_id']}"


async def read(node: Any, address: str) -> dict[str, Any]:
    found: dict[str, Any] = (await node.client.get(f"/v1{address}", headers=node.authority)).json()
    return found


async def test_terms_are_shown_by_name_and_approved_by_the_authority_and_the_provider(node: Any, desk: Any, provided: Any) -> None:
    organization, _, resource, address = provided
    text = await desk.page(address, node.authority)
    item = resource["items"][0]["code"]
    for shown in ("另一局、部门 Department、市级 City", "行政依据", "2026-01-01 – 2099-12-31", resource["name"], item, "3/30", "pull"):
        assert shown in text, shown
    assert "尚无批准" in text
    for headers in (node.authority, node.cdo(organization)):
        unseen = desk.unseen(await desk.page(address, headers))
        await desk.send(f"{address}/approval", unseen, headers)
        text = await desk.page(address, headers)
        assert f"{address}/approval" not in text, "what was approved is not to be approved again"
        assert f"{address}/revocation" in text
    assert [one["role"] for one in (await read(node, address))["approvals"]] == ["authority", "provider"]
    assert organization["name"] in text
    await desk.send(f"{address}/revocation", desk.unseen(text), node.cdo(organization))
    assert [one["role"] for one in (await read(node, address))["approvals"]] == ["authority"]
    stale = await desk.refused(f"{address}/revocation", {"revision": "1"}, node.authority, 412)
    assert "已被修改" in stale


async def test_who_may_not_approve_is_not_asked_to_and_is_refused(node: Any, desk: Any, provided: Any) -> None:
    _, asking, _, address = provided
    for headers in (node.steward(asking), node.headers(None, "operator")):
        assert f"{address}/approval" not in await desk.page(address, headers)
        await desk.refused(f"{address}/approval", {"revision": "1"}, headers, 403)
    nobody_s = await desk.refused(f"{address}/approval", {"revision": "1"}, node.cdo(asking), 403)
    assert "provides none of them" in nobody_s
    absent = "/lists/scenario/00000000-0000-0000-0000-000000000000/approval"
    await desk.refused(absent, {"revision": "1"}, node.authority, 404)
    assert (await read(node, address))["approvals"] == []


async def test_a_scenario_without_terms_says_so_and_is_not_approved(node: Any, desk: Any) -> None:
    asking = await node.organization("另一局")
    made = await node.made("/v1/lists/scenario", {"name": "高龄补贴", "due_on": "2099-12-31"}, node.steward(asking))
    address = f"/lists/scenario/{made['entry_id']}"
    text = await desk.page(address, node.authority)
    assert "尚未写明条款" in text
    assert f"{address}/approval" not in text
    refused = await desk.refused(f"{address}/approval", {"revision": "1"}, node.authority, 409)
    assert "its owner writes" in refused


async def test_the_form_of_an_entry_keeps_the_terms_and_items_it_does_not_show(node: Any, desk: Any, provided: Any) -> None:
    _, asking, _, address = provided
    steward = node.steward(asking)
    await desk.send(f"{address}/approval", desk.unseen(await desk.page(address, node.authority)), node.authority)
    before = await read(node, address)
    fields = {"/name": "老年人优待证", "/status": "in_progress", "/due_on": "2099-06-30", "/content": before["content"]}
    await desk.send(f"{address}/entry", desk.unseen(await desk.page(f"{address}/entry", steward)) | fields, steward)
    after = await read(node, address)
    assert (after["status"], after["due_on"]) == ("in_progress", "2099-06-30")
    assert after["scenario"] == before["scenario"]
    assert after["approvals"] == before["approvals"]


async def test_terms_are_written_in_a_form_with_each_fault_at_its_field(node: Any, desk: Any, provided: Any) -> None:
    _, asking, resource, address = provided
    steward, path = node.steward(asking), f"{address}/terms"
    await desk.send(f"{address}/approval", desk.unseen(await desk.page(address, node.authority)), node.authority)
    before = await read(node, address)
    form = await desk.page(path, steward)
    item = resource["items"][0]["code"]
    for shown in (f'value="{resource["resource_code"]}"', f'value="{item}"', 'value="3/30"', 'value="ADMINISTRATIVE_BASIS" checked'):
        assert shown in form, shown
    fields = {
        "/scenario/purposes/-": "WORK_REFERENCE",
        "/scenario/requesters/levels/-": "county",
        "/scenario/requesters/organization_ids/1": asking["organization_id"],
        "/scenario/valid_from": "2026-01-01",
        "/scenario/valid_until": "2098-12-31",
        "/scenario/data/2/resource_id": resource["resource_code"],
    }
    wrong = fields | {"/scenario/valid_until": "2025-01-01", "/scenario/data/2/resource_id": "no-such-code"}
    text = await desk.refused(path, desk.unseen(form) | wrong, steward, 422)
    assert "before valid_from" in desk.at(text, "/scenario/valid_until")
    assert "no data resource in force" in desk.at(text, "/scenario/data/0/resource_id"), "rows left blank are closed up"
    assert 'value="no-such-code"' in text
    assert (await read(node, address))["version"] == before["version"]
    await desk.send(path, desk.unseen(text) | fields, steward)
    after = await read(node, address)
    terms = after["scenario"]
    assert (terms["purposes"], terms["valid_until"]) == (["WORK_REFERENCE"], "2098-12-31")
    assert terms["requesters"] == {"organization_ids": [asking["organization_id"]], "kinds": [], "levels": ["county"]}
    assert terms["data"] == [{"resource_id": resource["resource_id"], "items": [], "class_prefix": None}]
    assert terms["terms"] == before["scenario"]["terms"], "what the form does not show stays"
    assert (after["approvals"], after["name"]) == ([], before["name"]), "other terms are approved anew"
    await desk.refused(path, {"revision": "1"} | fields, steward, 412)
    for stranger in (node.steward(await node.organization("示例市气象局")), node.headers(None, "operator")):
        await desk.page(path, stranger, 403)
        await desk.refused(path, desk.unseen(form) | fields, stranger, 403)
    await desk.page("/lists/scenario/00000000-0000-0000-0000-000000000000/terms", steward, 404)
