"""What a grant's terms do: rows that are not let out, values that are hidden, ways that are closed, and how a grant goes on and ends."""

from datetime import timedelta
from typing import Any

import pytest

from dxmesh_clocks.policy import regulation
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import DataItem, DataType, SharingType
from dxmesh_schemas.exchange import DispatchOrdered, GrantActivated, RequestGranted, RequestSubmitted
from dxmesh_schemas.exchange_sharing import (
    GrantDisposed,
    GrantExpired,
    GrantResumed,
    GrantSuspended,
    RequestExtended,
    RequestExtensionAsked,
    RequestMaterialsRequested,
    RequestMaterialsSupplied,
    RequestWithdrawn,
)
from exchange_svc.grant import commands as grants
from exchange_svc.grant import store as grant_store

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
FU_SHAN = {"item": "code", "op": "in", "values": ["330602002", "330602003"]}


async def post(exchange: Any, path: str, by: Any, **body: Any) -> Any:
    headers = exchange.authority if by is None else exchange.steward(by)
    return await exchange.client.post(f"/v1/{path}", json=body, headers=headers)


async def said(exchange: Any, kind: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kind)]


async def rows(exchange: Any, grant_id: str) -> Any:
    return await exchange.client.get(f"/v1/grants/{grant_id}/rows", headers=exchange.steward(exchange.requester))


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


async def test_only_rows_of_the_filter_leave_and_hidden_values_do_not(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    masks = [{"item": "name", "mask": "keep", "prefix": 1, "suffix": 2}, {"item": "since", "mask": "date", "to": "year"}]
    grant = await exchange.granted(resource, terms={"where": [FU_SHAN], "masks": masks})
    assert (grant["state"], grant["terms"]["where"]) == ("active", [FU_SHAN])
    found = (await rows(exchange, grant["grant_id"])).json()["items"]
    assert found == [
        {"code": "330602002", "name": "府*街道", "people": None, "since": None},
        {"code": "330602003", "name": "北*街道", "people": 55000, "since": "1999-01-01"},
    ]
    [order] = await said(exchange, DispatchOrdered)
    assert [one.item for one in order.views[0].where] == ["code"]
    assert [one.item for one in order.views[0].masks] == ["name", "since"]
    [activated] = await said(exchange, GrantActivated)
    assert (activated.purpose, activated.provider, activated.terms.where[0].item) == ("核对居住街道", exchange.provider, "code")
    assert (activated.provider_level, activated.requester_level, activated.requester.division_code) == ("city", "city", "330600")


async def test_a_table_that_has_not_the_filters_item_yet_shows_nothing_and_a_masked_item_it_lacks_is_empty(exchange: Any) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    await exchange.fold()
    closed = DataItem(code="closed", name="撤销日期", data_type=DataType.DATE)
    resource = await exchange.publish(resource_id=first.resource_id, version=2, items=(*first.items, closed))
    masked = await exchange.granted(resource, terms={"masks": [{"item": "closed", "mask": "date", "to": "year"}]})
    assert [row["closed"] for row in (await rows(exchange, masked["grant_id"])).json()["items"]] == [None, None, None]
    since = {"item": "closed", "op": "period", "first": "2020-01-01"}
    filtered = await exchange.granted(resource, terms={"where": [since]})
    behind = await rows(exchange, filtered["grant_id"])
    assert (behind.status_code, slug(behind)) == (503, "table-behind")
    await exchange.accepted(resource.resource_id, "code,name,closed\n330602009,迪荡街道,2021-07-01\n".encode())
    await exchange.fold()
    assert [row["code"] for row in (await rows(exchange, filtered["grant_id"])).json()["items"]] == ["330602009"]
    assert (await rows(exchange, masked["grant_id"])).json()["items"][-1]["closed"] == "2021-01-01"


@pytest.mark.parametrize(
    ("code", "kind", "condition"),
    [
        ("people", DataType.TEXT, {"op": "prefix", "values": ["8"]}),
        ("name", DataType.DATE, {"op": "period", "first": "2020-01-01"}),
        ("name", DataType.INTEGER, {"op": "gt", "value": 1}),
    ],
)
async def test_a_table_whose_column_has_another_type_than_the_filter_asks_for_is_behind(
    exchange: Any, code: str, kind: DataType, condition: dict[str, Any]
) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    await exchange.fold()
    items = tuple(DataItem(code=code, name=item.name, data_type=kind) if item.code == code else item for item in first.items)
    resource = await exchange.publish(resource_id=first.resource_id, version=2, items=items)
    terms = {"where": [{"item": code, **condition}], "modes": ["pull", "verify"]}
    grant = await exchange.granted(resource, terms=terms)
    at, headers = f"/v1/grants/{grant['grant_id']}", exchange.steward(exchange.requester)
    about_one = {"questions": [{"conditions": [{"item": "code", "op": "eq", "value": "330602001"}]}]}
    for answer in (
        await rows(exchange, grant["grant_id"]),
        await exchange.client.post(f"{at}/verification", json=about_one, headers=headers),
        await exchange.client.post(f"{at}/count", json=about_one, headers=headers),
    ):
        assert (answer.status_code, slug(answer)) == (503, "table-behind"), answer.text


@pytest.mark.parametrize(
    ("kind", "mask"),
    [
        (DataType.TEXT, {"mask": "keep", "prefix": 1}),
        (DataType.TEXT, {"mask": "pseudonym"}),
        (DataType.TEXT, {"mask": "replace", "value": "x"}),
        (DataType.DATE, {"mask": "date", "to": "year"}),
    ],
)
async def test_a_mask_hides_values_that_are_not_of_its_type_yet(exchange: Any, kind: DataType, mask: dict[str, Any]) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    await exchange.fold()
    other = DataItem(code="people", name="人数", data_type=kind)
    resource = await exchange.publish(resource_id=first.resource_id, version=2, items=(*first.items[:2], other, *first.items[3:]))
    grant = await exchange.granted(resource, terms={"masks": [{"item": "people", **mask}]})
    answer = await rows(exchange, grant["grant_id"])
    assert answer.status_code == 200, answer.text
    shown = [row["people"] for row in answer.json()["items"]]
    assert not {81234, 55000, "81234", "55000"} & set(shown)


async def test_equal_filters_share_a_topic_and_pseudonyms_are_a_grants_own(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    one = await exchange.granted(resource, terms={"where": [FU_SHAN]})
    other = await exchange.granted(resource, by=exchange.stranger, terms={"where": [FU_SHAN]})
    assert one["topic"] == other["topic"] != (await exchange.granted(resource))["topic"]
    token = {"masks": [{"item": "code", "mask": "pseudonym"}]}
    first, second = [await exchange.granted(resource, terms=token) for _ in range(2)]
    assert first["topic"] != second["topic"]
    shown = [[row["code"] for row in (await rows(exchange, one["grant_id"])).json()["items"]] for one in (first, second, first)]
    assert shown[0] == shown[2]
    assert not {*shown[0]} & {*shown[1], "330602001", "330602002", "330602003"}
    assert len({*shown[0]}) == 3


async def test_a_provider_grants_less_than_was_asked_for_and_hides_what_is_of_a_high_level(exchange: Any) -> None:
    base = await exchange.publish(**CONDITIONAL)
    items = (base.items[0], base.items[1].model_copy(update={"data_level": 3}), *base.items[2:])
    resource = await exchange.publish(**CONDITIONAL, resource_id=base.resource_id, version=2, items=items)
    request = (await exchange.ask(resource, items=["code", "name", "since"], terms={"modes": ["pull", "topic"]})).json()
    path, answer = f"requests/{request['request_id']}/decision", {"outcome": "granted", "approved_by": "局长"}
    plain = await post(exchange, path, exchange.provider, **answer)
    assert (plain.status_code, slug(plain), [e["pointer"] for e in plain.json()["errors"]]) == (422, "terms-invalid", ["/masks"])
    beyond = await post(exchange, path, exchange.provider, **answer, items=["code", "people"])
    assert (beyond.status_code, [e["pointer"] for e in beyond.json()["errors"]]) == (422, ["/items"])
    less = {"items": ["code", "name"], "terms": {"modes": ["pull"], "masks": [{"item": "name", "mask": "drop"}]}}
    granted = await post(exchange, path, exchange.provider, **answer, **less)
    assert (granted.status_code, granted.json()["items"]) == (201, ["code", "name"]), granted.text
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    found = await rows(exchange, granted.json()["grant_id"])
    assert found.json()["items"][0] == {"code": "330602001", "name": None}


async def test_a_way_that_is_not_granted_is_closed(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource, terms={"modes": ["topic"]})
    answer = await rows(exchange, grant["grant_id"])
    assert (answer.status_code, slug(answer)) == (403, "mode-not-granted")


@pytest.mark.parametrize(("since", "count"), [("all", 2), ("none", 0), ("2000-01-01", 2), ("2999-01-01", 0)])
async def test_a_grant_has_the_earlier_batches_it_asks_for(exchange: Any, since: str, count: int) -> None:
    resource = await exchange.publish()
    for body in (b"code,name\n1,a\n", b"code,name\n2,b\n"):
        await exchange.accepted(resource.resource_id, body)
    await exchange.granted(resource, terms={"backfill": {"since": since}})
    assert len(await said(exchange, DispatchOrdered)) == count
    await exchange.accepted(resource.resource_id, b"code,name\n3,c\n")
    assert len(await said(exchange, DispatchOrdered)) == count + 1


async def test_a_draft_is_its_requesters_alone_until_its_head_approved_and_it_is_handed_in(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    drafted = (await exchange.ask(resource, approved_by=None)).json()
    path = f"requests/{drafted['request_id']}"
    assert (drafted["state"], drafted["submitted_at"]) == ("draft", None)
    for by in (exchange.steward(exchange.provider), exchange.authority):
        assert (await exchange.client.get(f"/v1/{path}", headers=by)).status_code == 404
        assert (await exchange.client.get("/v1/requests", headers=by)).json()["items"] == []
    early = await post(exchange, f"{path}/submission", exchange.requester)
    assert (early.status_code, slug(early)) == (409, "request-state")
    assert (await post(exchange, f"{path}/approval", exchange.provider, approved_by="局长")).status_code == 404
    approved = await post(exchange, f"{path}/approval", exchange.requester, approved_by="民政局局长")
    assert (approved.json()["state"], approved.json()["approved_by"]) == ("approved", "民政局局长")
    assert not await said(exchange, RequestSubmitted)
    handed_in = await post(exchange, f"{path}/submission", exchange.requester)
    assert (handed_in.status_code, handed_in.json()["state"]) == (201, "under_review")
    [submitted] = await said(exchange, RequestSubmitted)
    assert (submitted.approved_by, submitted.terms.modes[0]) == ("民政局局长", "topic")
    assert (await exchange.client.get(f"/v1/{path}", headers=exchange.steward(exchange.provider))).status_code == 200


async def test_material_is_asked_for_once_and_supplied(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    path = f"requests/{(await exchange.ask(resource)).json()['request_id']}"
    assert (await post(exchange, f"{path}/supply", exchange.requester, supplied="x")).status_code == 409
    assert (await post(exchange, f"{path}/materials", exchange.requester, missing=["x"])).status_code == 403
    assert (await post(exchange, f"{path}/materials", exchange.provider, missing=[])).status_code == 422
    asked = await post(exchange, f"{path}/materials", exchange.provider, missing=["负责人签批件", "用途说明"])
    assert (asked.status_code, asked.json()["state"], asked.json()["missing"]) == (201, "materials_requested", ["负责人签批件", "用途说明"])
    decision = {"outcome": "granted", "approved_by": "局长"}
    assert (await post(exchange, f"{path}/decision", exchange.provider, **decision)).status_code == 409
    supplied = await post(exchange, f"{path}/supply", exchange.requester, supplied="已补签批件和说明")
    assert (supplied.json()["state"], supplied.json()["supplied"]) == ("under_review", "已补签批件和说明")
    again = await post(exchange, f"{path}/materials", exchange.provider, missing=["再来一件"])
    assert (again.status_code, slug(again)) == (409, "materials-asked")
    assert (await post(exchange, f"{path}/decision", exchange.provider, **decision)).json()["state"] == "granted"
    assert len(await said(exchange, RequestMaterialsRequested)) == len(await said(exchange, RequestMaterialsSupplied)) == 1


async def test_more_time_is_the_authoritys_to_give_and_given_once(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    path = f"requests/{(await exchange.ask(resource)).json()['request_id']}/extension"
    nothing = await post(exchange, f"{path}/decision", None, consents=True, approved_by="数据局局长")
    assert (nothing.status_code, slug(nothing)) == (409, "extension-answered")
    assert (await post(exchange, path, exchange.provider, days=11, reason="x")).status_code == 422
    asked = await post(exchange, path, exchange.provider, days=5, reason="需会商公安机关")
    assert (asked.status_code, asked.json()["state"]) == (201, "under_review")
    assert (await post(exchange, f"{path}/decision", exchange.provider, consents=True, approved_by="x")).status_code == 403
    given = await post(exchange, f"{path}/decision", None, consents=True, approved_by="数据局局长")
    assert (given.json()["state"], given.json()["extension"]["consented_by"]) == ("extended", "数据局局长")
    assert (await post(exchange, path, exchange.provider, days=5, reason="x")).status_code == 409
    [extended] = await said(exchange, RequestExtended)
    assert (extended.days, extended.requester, len(await said(exchange, RequestExtensionAsked))) == (5, exchange.requester, 1)


async def test_a_request_is_taken_back_while_it_is_not_answered(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    path = f"requests/{(await exchange.ask(resource)).json()['request_id']}"
    assert (await post(exchange, f"{path}/withdrawal", exchange.provider, reason="x")).status_code == 403
    assert (await post(exchange, f"{path}/withdrawal", exchange.requester, reason="业务取消")).json()["state"] == "withdrawn"
    answer = await post(exchange, f"{path}/decision", exchange.provider, outcome="granted", approved_by="局长")
    assert (answer.status_code, slug(answer)) == (409, "request-answered")
    assert len(await said(exchange, RequestWithdrawn)) == 1
    assert not await said(exchange, RequestGranted)


async def test_a_suspended_grant_reads_nothing_and_misses_nothing(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant_id = (await exchange.granted(resource))["grant_id"]
    path = f"grants/{grant_id}"
    assert (await post(exchange, f"{path}/suspension", exchange.requester, reason="x")).status_code == 404
    yesterday = (day_of(utc_now()) - timedelta(days=2)).isoformat()
    assert (await post(exchange, f"{path}/suspension", exchange.provider, reason="x", remedy_until=yesterday)).status_code == 422
    tomorrow = (day_of(utc_now()) + timedelta(days=1)).isoformat()
    suspended = await post(exchange, f"{path}/suspension", None, reason="调用超出用途", remedy_until=tomorrow)
    assert (suspended.status_code, suspended.json()["state"], suspended.json()["remedy_until"]) == (201, "suspended", tomorrow)
    refused = await rows(exchange, grant_id)
    assert (refused.status_code, slug(refused)) == (403, "grant-suspended")
    assert "调用超出用途" in refused.json()["detail"]
    assert (await post(exchange, f"{path}/suspension", exchange.provider, reason="x")).status_code == 409
    before = len(await said(exchange, DispatchOrdered))
    await exchange.accepted(resource.resource_id, b"code,name\n4,d\n")
    assert len(await said(exchange, DispatchOrdered)) == before + 1
    resumed = await post(exchange, f"{path}/resumption", exchange.provider, reason="已整改")
    assert (resumed.json()["state"], (await rows(exchange, grant_id)).status_code) == ("active", 200)
    assert (await post(exchange, f"{path}/resumption", exchange.provider, reason="x")).status_code == 409
    assert len(await said(exchange, GrantSuspended)) == len(await said(exchange, GrantResumed)) == 1


async def test_an_expired_grant_is_told_once_its_view_closes_and_its_data_is_disposed_of(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant_id = (await exchange.granted(resource))["grant_id"]
    filed = {"what": "本单位数据库中的副本", "how": "删除并覆写", "disposed_on": day_of(utc_now()).isoformat(), "done_by": "信息中心"}
    early = await post(exchange, f"grants/{grant_id}/disposal", exchange.requester, **filed)
    assert (early.status_code, slug(early)) == (409, "grant-not-active")
    await exchange.expire(grant_id)
    for count in (1, 0):
        async with exchange.sessions.begin() as tx:
            assert await grants.expire_due(tx, regulation(), now=utc_now()) == count
    assert len(await said(exchange, GrantExpired)) == 1
    async with exchange.sessions() as tx:
        assert not await grant_store.list_open_rows(tx, resource.resource_id)
    before = len(await said(exchange, DispatchOrdered))
    await exchange.accepted(resource.resource_id, b"code,name\n4,d\n")
    assert len(await said(exchange, DispatchOrdered)) == before
    to_come = (day_of(utc_now()) + timedelta(days=2)).isoformat()
    assert (await post(exchange, f"grants/{grant_id}/disposal", exchange.requester, **filed | {"disposed_on": to_come})).status_code == 422
    assert (await post(exchange, f"grants/{grant_id}/disposal", exchange.provider, **filed)).status_code == 404
    disposed = await post(exchange, f"grants/{grant_id}/disposal", exchange.requester, **filed)
    assert (disposed.json()["state"], disposed.json()["disposal"]) == ("disposed", filed)
    assert (await post(exchange, f"grants/{grant_id}/disposal", exchange.requester, **filed)).status_code == 409
    assert len(await said(exchange, GrantDisposed)) == 1


async def test_a_grant_given_before_the_first_batch_is_delivering_until_it_comes(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    assert grant["state"] == "delivering"
    await exchange.accepted(resource.resource_id)
    found = await exchange.client.get(f"/v1/grants/{grant['grant_id']}", headers=exchange.steward(exchange.requester))
    assert found.json()["state"] == "active"
