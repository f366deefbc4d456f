"""Sharing requests: who may ask for what, who answers, and what a grant opens."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.catalog import DataItem, DataType, SharingType
from dxmesh_schemas.exchange import (
    BatchAccepted,
    DispatchOrdered,
    GrantActivated,
    GrantTerminated,
    RequestGranted,
    RequestRefused,
    RequestSubmitted,
)

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


async def said(exchange: Any, *kinds: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kinds)]


async def decide(exchange: Any, request_id: str, by: Any, outcome: str = "granted", **more: Any) -> Any:
    body = {"outcome": outcome, "approved_by": "局长"} | more
    return await exchange.client.post(f"/v1/requests/{request_id}/decision", json=body, headers=exchange.steward(by))


async def test_a_standing_consent_grants_at_once_and_names_its_approver(exchange: Any) -> None:
    resource = await exchange.publish()
    answer = await exchange.ask(resource)
    request = answer.json()
    assert (answer.status_code, request["state"], request["decided_by"]) == (201, "granted", "信息中心主任")
    assert request["items"] == ["code", "name", "people", "since"]
    assert request["requester"]["organization_id"] == str(exchange.requester.organization_id)
    events = await said(exchange, RequestSubmitted, RequestGranted, GrantActivated)
    assert [type(event) for event in events] == [RequestSubmitted, RequestGranted, GrantActivated]
    activated = events[2]
    assert (str(activated.grant_id), activated.view.items, activated.view.key) == (
        request["grant_id"],
        ("code", "name", "people", "since"),
        ("code",),
    )
    assert activated.view.topic == f"dxmesh.view.{activated.view.view_id}"


async def test_without_a_standing_consent_the_provider_decides(exchange: Any) -> None:
    resource = await exchange.publish(standing_consent=None)
    assert (await exchange.ask(resource)).json()["state"] == "under_review"


async def test_a_conditional_request_waits_and_the_requester_sees_the_answer(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request = (await exchange.ask(resource, items=["name", "code"])).json()
    assert (request["state"], request["grant_id"], request["items"]) == ("under_review", None, ["code", "name"])
    waiting = await exchange.client.get("/v1/requests", params={"state": "under_review"}, headers=exchange.steward(exchange.provider))
    assert [row["request_id"] for row in waiting.json()["items"]] == [request["request_id"]]
    answer = await decide(exchange, request["request_id"], exchange.provider, reason="符合条件")
    assert (answer.status_code, answer.json()["state"]) == (201, "granted")
    seen = await exchange.client.get(f"/v1/requests/{request['request_id']}", headers=exchange.steward(exchange.requester))
    assert (seen.json()["reason"], seen.json()["decided_by"]) == ("符合条件", "局长")
    grant = await exchange.client.get(f"/v1/grants/{seen.json()['grant_id']}", headers=exchange.steward(exchange.requester))
    assert (grant.json()["state"], grant.json()["items"]) == ("delivering", ["code", "name"])


async def test_a_refusal_needs_a_reason_and_the_requester_reads_it(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request_id = (await exchange.ask(resource)).json()["request_id"]
    silent = await decide(exchange, request_id, exchange.provider, "refused")
    blank = await decide(exchange, request_id, exchange.provider, "refused", reason="  ")
    assert (silent.status_code, slug(silent), blank.status_code) == (422, "reason-missing", 422)
    refused = await decide(exchange, request_id, exchange.provider, "refused", reason="用途不符")
    assert (refused.status_code, refused.json()["state"]) == (201, "refused")
    seen = await exchange.client.get(f"/v1/requests/{request_id}", headers=exchange.steward(exchange.requester))
    assert (seen.json()["reason"], seen.json()["grant_id"]) == ("用途不符", None)
    assert [event.reason for event in await said(exchange, RequestRefused)] == ["用途不符"]
    assert await said(exchange, GrantActivated) == []


async def test_deciding_twice_is_a_conflict(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request_id = (await exchange.ask(resource)).json()["request_id"]
    assert (await decide(exchange, request_id, exchange.provider)).status_code == 201
    again = await decide(exchange, request_id, exchange.provider, "refused", reason="later thought")
    assert (again.status_code, slug(again)) == (409, "request-answered")


async def test_of_two_decisions_at_once_one_holds(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request_id = (await exchange.ask(resource)).json()["request_id"]
    answers = await asyncio.gather(
        decide(exchange, request_id, exchange.provider),
        decide(exchange, request_id, exchange.provider, "refused", reason="no"),
        decide(exchange, request_id, exchange.provider),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len(await said(exchange, RequestGranted, RequestRefused)) == 1
    assert len(await said(exchange, GrantActivated)) == len(await said(exchange, RequestGranted))


async def test_only_the_provider_decides(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request_id = (await exchange.ask(resource)).json()["request_id"]
    own = await decide(exchange, request_id, exchange.requester)
    foreign = await decide(exchange, request_id, exchange.stranger)
    nowhere = await decide(exchange, str(uuid7()), exchange.stranger)
    assert (own.status_code, foreign.status_code, nowhere.status_code) == (403, 404, 404)
    read = await exchange.client.get(f"/v1/requests/{request_id}", headers=exchange.steward(exchange.stranger))
    assert (read.status_code, slug(read)) == (404, "request-not-found")
    role = await exchange.client.post(
        f"/v1/requests/{request_id}/decision",
        json={"outcome": "granted", "approved_by": "x"},
        headers=exchange.tokens.issue(exchange.provider.organization_id, "operator"),
    )
    assert role.status_code == 403


@pytest.mark.parametrize(
    ("changes", "status", "name"),
    [
        ({"items": ["nothing"]}, 422, "items-unknown"),
        ({"items": []}, 422, "items-unknown"),
        ({"items": ["not a code"]}, 422, "invalid"),
        ({"use_until": "2020-01-01T00:00:00+08:00"}, 422, "use-until-past"),
        ({"use_until": "2030-01-01T00:00:00"}, 422, "invalid"),
        ({"legal_basis": "   "}, 422, "invalid"),
        ({"approved_by": ""}, 422, "invalid"),
        ({"terms": {"where": [{"item": "people", "op": "gt", "value": "many"}]}}, 422, "terms-invalid"),
        ({"terms": {"where": [{"item": "people", "op": "like", "value": "1"}]}}, 422, "invalid"),
        ({"terms": {"modes": []}}, 422, "invalid"),
        ({"items": ["name"], "terms": {"where": [{"item": "code", "op": "prefix", "values": ["33"]}]}}, 422, "terms-invalid"),
        ({"terms": {"masks": [{"item": "people", "mask": "keep", "prefix": 1}]}}, 422, "terms-invalid"),
        ({"approved_by": "x\u0000y"}, 422, "invalid"),
        ({"purpose": "\ud800"}, 422, "invalid"),
        ({"extra": 1}, 422, "invalid"),
        ({"resource_id": "7"}, 422, "invalid"),
        ({"resource_id": str(UUID(int=99))}, 404, "resource-not-found"),
    ],
)
async def test_a_request_that_is_wrong_is_refused_by_name(exchange: Any, changes: dict[str, Any], status: int, name: str) -> None:
    resource = await exchange.publish()
    answer = await exchange.ask(resource, **changes)
    assert (answer.status_code, slug(answer)) == (status, name), answer.text
    assert await said(exchange, RequestSubmitted) == []


async def test_what_is_ones_own_withdrawn_or_not_shared_is_not_granted(exchange: Any) -> None:
    resource = await exchange.publish()
    own = await exchange.ask(resource, by=exchange.provider)
    kept = await exchange.ask(await exchange.publish(sharing_type=SharingType.NOT_SHARED, sharing_condition="统计法第九条"))
    await exchange.withdraw(resource)
    gone = await exchange.ask(resource)
    assert (own.status_code, slug(own)) == (422, "own-resource")
    assert (kept.status_code, slug(kept), kept.json()["basis"]) == (403, "not-shared", "统计法第九条")
    assert (gone.status_code, slug(gone)) == (409, "resource-withdrawn")


async def test_an_organization_the_catalogue_does_not_know_is_told_so(exchange: Any) -> None:
    resource = await exchange.publish()
    unknown = exchange.stranger.model_copy(update={"organization_id": uuid7()})
    answer = await exchange.ask(resource, by=unknown)
    assert (answer.status_code, slug(answer)) == (409, "organization-unknown")


async def test_items_that_are_not_shared_are_left_out_and_conditional_ones_need_the_provider(exchange: Any) -> None:
    items = (
        DataItem(code="a", name="a", data_type=DataType.TEXT),
        DataItem(code="b", name="b", data_type=DataType.TEXT, sharing_type=SharingType.CONDITIONAL),
        DataItem(code="c", name="c", data_type=DataType.TEXT, sharing_type=SharingType.NOT_SHARED),
    )
    resource = await exchange.publish(items=items, key=("a",))
    whole = (await exchange.ask(resource)).json()
    assert (whole["items"], whole["state"], whole["sharing_type"]) == (["a", "b"], "under_review", "CONDITIONAL")
    assert (await exchange.ask(resource, items=["a"])).json()["state"] == "granted"
    assert (await exchange.ask(resource, items=["a", "c"])).status_code == 403


async def test_equal_unconditional_grants_share_a_topic_and_conditional_ones_do_not(exchange: Any) -> None:
    free, limited = await exchange.publish(), await exchange.publish(**CONDITIONAL)
    one, two = await exchange.granted(free), await exchange.granted(free, by=exchange.stranger)
    part = await exchange.granted(free, items=["code"])
    assert one["topic"] == two["topic"] != part["topic"]
    topics = set()
    for who in (exchange.requester, exchange.stranger):
        request_id = (await exchange.ask(limited, by=who)).json()["request_id"]
        grant_id = (await decide(exchange, request_id, exchange.provider)).json()["grant_id"]
        grant = await exchange.client.get(f"/v1/grants/{grant_id}", headers=exchange.steward(who))
        topics.add(grant.json()["topic"])
    assert len(topics) == 2


async def test_a_new_view_gets_every_earlier_batch_in_order_and_a_shared_one_nothing_twice(exchange: Any) -> None:
    resource = await exchange.publish()
    made = [await exchange.accepted(resource.resource_id) for _ in range(3)]
    grant = await exchange.granted(resource)
    made.append(await exchange.accepted(resource.resource_id))
    await exchange.granted(resource, by=exchange.stranger)
    orders = await said(exchange, DispatchOrdered)
    assert [(order.sequence, str(order.batch_id)) for order in orders] == [(n + 1, batch["batch_id"]) for n, batch in enumerate(made)]
    assert {tuple(str(view.view_id) for view in order.views) for order in orders} == {(grant["view_id"],)}
    accepted = await said(exchange, BatchAccepted)
    assert [len(event.view_ids) for event in accepted] == [0, 0, 0, 1]


async def test_batches_accepted_while_a_view_opens_are_dispatched_once_and_in_order(exchange: Any) -> None:
    resource = await exchange.publish()
    made = [await exchange.pushed(resource.resource_id) for _ in range(6)]
    await asyncio.gather(
        *(exchange.accept(batch["batch_id"]) for batch in made[:4]),
        exchange.ask(resource),
        exchange.ask(resource, items=["code"], by=exchange.stranger),
        *(exchange.accept(batch["batch_id"]) for batch in made[4:]),
    )
    per_view: dict[UUID, list[int]] = {}
    for order in await said(exchange, DispatchOrdered):
        for view in order.views:
            per_view.setdefault(view.view_id, []).append(order.sequence)
    assert list(per_view.values()) == [[1, 2, 3, 4, 5, 6]] * 2


async def test_a_view_goes_on_with_the_items_a_new_version_still_has(exchange: Any) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    fewer = (first.items[0], first.items[1], DataItem(code="area", name="面积", data_type=DataType.INTEGER))
    await exchange.publish(resource_id=first.resource_id, version=2, items=fewer, schema_url="https://mesh.example/2")
    grant = await exchange.granted(first, items=["name", "area"])
    await exchange.accepted(first.resource_id, b"code,name,area\n1,a,5\n")
    orders = await said(exchange, DispatchOrdered)
    assert [(view.items, view.resource_version, view.key) for order in orders for view in order.views] == [
        (("name",), 1, ()),
        (("name", "area"), 2, ()),
    ], "a batch is delivered with the columns it has; a key that was not granted does not leave"
    assert grant["items"] == ["name", "area"]


async def test_a_grant_that_is_ended_gets_no_more_and_the_next_one_starts_anew(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    url = f"/v1/grants/{grant['grant_id']}/termination"
    foreign = await exchange.client.post(url, json={"reason": "x"}, headers=exchange.steward(exchange.stranger))
    silent = await exchange.client.post(url, json={"reason": ""}, headers=exchange.steward(exchange.requester))
    ended = await exchange.client.post(url, json={"reason": "用完"}, headers=exchange.steward(exchange.provider))
    again = await exchange.client.post(url, json={"reason": "用完"}, headers=exchange.steward(exchange.requester))
    assert [answer.status_code for answer in (foreign, silent, ended, again)] == [404, 422, 201, 409]
    assert (ended.json()["state"], ended.json()["termination_reason"]) == ("terminated", "用完")
    assert [event.reason for event in await said(exchange, GrantTerminated)] == ["用完"]
    await exchange.accepted(resource.resource_id)
    assert len(await said(exchange, DispatchOrdered)) == 1
    renewed = await exchange.granted(resource)
    assert renewed["topic"] != grant["topic"]
    orders = [order for order in await said(exchange, DispatchOrdered) if str(order.views[0].view_id) == renewed["view_id"]]
    assert [order.sequence for order in orders] == [1, 2]


async def test_a_view_whose_last_grant_has_expired_gets_no_more(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource, use_until=(utc_now() + timedelta(days=1)).isoformat())
    await exchange.accepted(resource.resource_id)
    await exchange.expire(grant["grant_id"])
    await exchange.accepted(resource.resource_id)
    assert [order.sequence for order in await said(exchange, DispatchOrdered)] == [1]
    seen = await exchange.client.get(f"/v1/grants/{grant['grant_id']}", headers=exchange.steward(exchange.requester))
    assert seen.json()["state"] == "expired"


async def test_grants_and_requests_are_listed_to_both_sides_only(exchange: Any) -> None:
    resource = await exchange.publish()
    grants = [(await exchange.granted(resource))["grant_id"] for _ in range(3)]
    for who in (exchange.requester, exchange.provider):
        seen, cursor = [], None
        while True:
            params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await exchange.client.get("/v1/grants", params=params, headers=exchange.steward(who))).json()
            seen, cursor = seen + [row["grant_id"] for row in page["items"]], page["next_cursor"]
            if cursor is None:
                break
        assert seen == grants[::-1]
        requests = await exchange.client.get("/v1/requests", headers=exchange.steward(who))
        assert len(requests.json()["items"]) == 3
    for path in ("/v1/grants", "/v1/requests"):
        assert (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).json()["items"] == []
        assert len((await exchange.client.get(path, headers=exchange.authority)).json()["items"]) == 3
        assert (await exchange.client.get(path, headers=exchange.tokens.issue(None, "auditor"))).status_code == 403
    foreign = await exchange.client.get(f"/v1/grants/{grants[0]}", headers=exchange.steward(exchange.stranger))
    assert (foreign.status_code, slug(foreign)) == (404, "grant-not-found")
