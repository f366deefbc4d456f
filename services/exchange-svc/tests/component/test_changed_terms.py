"""Terms that change: by the provider, who narrows a grant in force, and by a new version of the resource; and the schema of what leaves."""

import asyncio
from typing import Any

import jsonschema
import pytest
from sqlalchemy import select

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.catalog import DataType, SharingType
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced
from dxmesh_schemas.exchange import DispatchOrdered
from dxmesh_schemas.exchange_sharing import GrantTermsChanged
from exchange_svc.grant.store import View

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
ONE = {"item": "code", "op": "eq", "value": "330602001"}
TWO = {"item": "code", "op": "eq", "value": "330602002"}
SIGNED = {"reason": "按最小够用收窄", "approved_by": "局长"}


async def change(exchange: Any, grant_id: str, by: Any = None, **body: Any) -> Any:
    headers = exchange.steward(by or exchange.provider)
    return await exchange.client.post(f"/v1/grants/{grant_id}/terms", json=SIGNED | body, headers=headers)


async def codes(exchange: Any, grant_id: str) -> list[str]:
    answer = await exchange.client.get(f"/v1/grants/{grant_id}/rows", headers=exchange.steward(exchange.requester))
    assert answer.status_code == 200, answer.text
    return [row["code"] for row in answer.json()["items"]]


async def said(exchange: Any, kind: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kind)]


async def open_views(exchange: Any, resource: Any) -> set[str]:
    async with exchange.sessions() as tx:
        query = select(View.view_id).where(View.resource_id == resource.resource_id, View.closed_at.is_(None))
        return {str(view_id) for view_id in await tx.scalars(query)}


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


async def decided(exchange: Any, resource: Any, **asked: Any) -> dict[str, Any]:
    """Return a grant that the provider gave."""
    request = (await exchange.ask(resource, **asked)).json()
    path, body = f"/v1/requests/{request['request_id']}/decision", {"outcome": "granted", "approved_by": "局长"}
    answer = await exchange.client.post(path, json=body, headers=exchange.steward(exchange.provider))
    who = exchange.steward(exchange.requester)
    return (await exchange.client.get(f"/v1/grants/{answer.json()['grant_id']}", headers=who)).json()


@pytest.mark.parametrize("sharing", [{}, CONDITIONAL], ids=["shared view", "a view of its own"])
async def test_other_terms_are_another_view_with_what_came_before_and_the_former_closes(exchange: Any, sharing: dict) -> None:
    resource = await exchange.publish(**sharing)
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant = await decided(exchange, resource) if sharing else await exchange.granted(resource)
    assert len(await codes(exchange, grant["grant_id"])) == 3
    answer = await change(exchange, grant["grant_id"], terms={"where": [ONE]}, items=["code", "name"])
    assert (answer.status_code, answer.json()["items"], answer.json()["terms"]["where"]) == (201, ["code", "name"], [ONE]), answer.text
    assert answer.json()["topic"] != grant["topic"]
    assert await open_views(exchange, resource) == {answer.json()["view_id"]}
    assert await codes(exchange, grant["grant_id"]) == ["330602001"]
    [told] = await said(exchange, GrantTermsChanged)
    assert (told.former_topic, told.view.topic, told.changed_by) == (grant["topic"], answer.json()["topic"], "局长")
    orders = await said(exchange, DispatchOrdered)
    assert [order.views[0].topic for order in orders] == [grant["topic"], answer.json()["topic"]]
    await exchange.accepted(resource.resource_id, b"code,name\n4,d\n")
    [last] = (await said(exchange, DispatchOrdered))[2:]
    assert [view.topic for view in last.views] == [answer.json()["topic"]]


async def test_a_change_joins_the_equal_view_and_leaves_other_readers_theirs(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    mine, other = await exchange.granted(resource), await exchange.granted(resource, by=exchange.stranger)
    short = await exchange.granted(resource, by=exchange.stranger, items=["code", "name"])
    before = len(await said(exchange, DispatchOrdered))
    moved = (await change(exchange, mine["grant_id"], items=["code", "name"])).json()
    assert (moved["view_id"], moved["topic"]) == (short["view_id"], short["topic"])
    assert await open_views(exchange, resource) == {short["view_id"], other["view_id"]}
    assert len(await said(exchange, DispatchOrdered)) == before
    back = (await change(exchange, mine["grant_id"])).json()
    assert (back["view_id"], back["terms"]["where"]) == (other["view_id"], [])


async def test_rows_are_taken_back_on_a_topic_that_nobody_else_reads(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    mine, narrow = await exchange.granted(resource), await exchange.granted(resource, by=exchange.stranger, terms={"where": [ONE]})
    moved = (await change(exchange, mine["grant_id"], terms={"where": [ONE]})).json()
    assert moved["view_id"] not in (mine["view_id"], narrow["view_id"]), "others would be told of keys that they never had"
    [order] = [one for one in await said(exchange, DispatchOrdered) if str(one.views[0].view_id) == moved["view_id"]]
    assert order.views[0].former_where == ()
    await exchange.accepted(resource.resource_id, b"code,name\n4,d\n")
    last = (await said(exchange, DispatchOrdered))[-1]
    assert [view.former_where for view in last.views] == [None, None], "only what was there before is taken back"
    wider = (await change(exchange, mine["grant_id"])).json()
    assert wider["terms"]["where"] == []
    [order] = [one for one in await said(exchange, DispatchOrdered) if str(one.views[0].view_id) == wider["view_id"]][:1]
    assert order.views[0].former_where is None, "what was taken back comes again"


async def coming(exchange: Any, grant: Any) -> dict[str, Any]:
    answer = await exchange.client.get(f"/v1/grants/{grant['grant_id']}", headers=exchange.steward(exchange.requester))
    found: dict[str, Any] = answer.json()["coming"]
    return found


@pytest.mark.parametrize(
    ("items", "told"), [(["code", "name", "people"], ["name"]), (["code", "people"], None)], ids=["as before", "without the item of it"]
)
async def test_rows_are_taken_back_on_the_topic_of_a_coming_version_too(exchange: Any, items: Any, told: Any) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    grant = await exchange.granted(first)
    other = {"item": "name", "op": "ne", "value": "府山街道"}
    assert (await change(exchange, grant["grant_id"], terms={"where": [other]})).status_code == 201
    people = first.items[2].model_copy(update={"data_type": DataType.TEXT})
    second = first.model_copy(update={"version": 2, "items": (*first.items[:2], people), "published_at": utc_now()})
    announced = {"effective_at": utc_now(), "announced_at": utc_now(), "broken_items": ("people", "since"), "breaks_all": False}
    await exchange.deliver(ResourceChangeAnnounced(resource_id=first.resource_id, resource=second, grants=(), **announced))
    had = await coming(exchange, grant)
    assert (await change(exchange, grant["grant_id"], items=items, terms={"where": [ONE]})).status_code == 201
    has = await coming(exchange, grant)
    assert has["topic"] != had["topic"]
    [order] = [one for one in await said(exchange, DispatchOrdered) if one.views[0].topic == has["topic"]]
    former = order.views[0].former_where
    assert (former and [condition.item for condition in former]) == told, "whether a row was there is told by items that are granted still"
    assert [item.code for item in order.views[0].into] == ["people"]
    await exchange.accepted(first.resource_id)
    assert {view.former_where for view in (await said(exchange, DispatchOrdered))[-1].views} == {None}, "of what was there before alone"


async def test_terms_that_let_out_the_same_rows_keep_the_view(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    changed = (await change(exchange, grant["grant_id"], terms={"modes": ["topic"], "calls_per_minute": 5})).json()
    assert (changed["view_id"], changed["terms"]["modes"], changed["terms"]["calls_per_minute"]) == (grant["view_id"], ["topic"], 5)
    [told] = await said(exchange, GrantTermsChanged)
    assert told.former_topic == told.view.topic


async def test_no_earlier_batch_comes_again_where_none_is_asked_for(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    refused = await change(exchange, grant["grant_id"], terms={"where": [ONE]}, backfill={"since": "none"})
    assert pointers(refused) == ["/backfill"], "what is taken back could not be told"
    assert (await change(exchange, grant["grant_id"], items=["code"], backfill={"since": "none"})).status_code == 201
    assert len(await said(exchange, DispatchOrdered)) == 1


async def test_a_change_gives_nothing_that_was_not_granted(exchange: Any) -> None:
    resource = await exchange.publish()
    until = "2031-01-01T00:00:00+08:00"
    asked = {"items": ["code", "name"], "terms": {"modes": ["pull"], "where": [ONE]}, "use_until": until}
    grant_id = (await exchange.granted(resource, **asked))["grant_id"]
    assert pointers(await change(exchange, grant_id, items=["code", "people"])) == ["/items"]
    assert pointers(await change(exchange, grant_id, terms={"modes": ["topic"]})) == ["/terms/modes"]
    assert pointers(await change(exchange, grant_id, use_until="2032-01-01T00:00:00+08:00")) == ["/use_until"]
    assert pointers(await change(exchange, grant_id, use_until="2020-01-01T00:00:00+08:00")) == ["/use_until"]
    assert pointers(await change(exchange, grant_id, items=["name"], terms={"where": [TWO]})) == ["/where/0/item", "/where/1/item"]
    assert pointers(await change(exchange, grant_id, terms={"masks": [{"item": "people", "mask": "drop"}]})) == ["/masks/0/item"]
    both = (await change(exchange, grant_id, terms={"where": [TWO]})).json()
    assert (both["terms"]["where"], both["use_until"]) == ([ONE, TWO], "2030-12-31T16:00:00Z")
    assert len(await said(exchange, GrantTermsChanged)) == 1


async def test_an_item_that_is_left_out_takes_the_mask_that_was_asked_for_along(exchange: Any) -> None:
    terms = {"modes": ["pull"], "masks": [{"item": "name", "mask": "keep", "prefix": 1}]}
    grant_id = (await exchange.granted(await exchange.publish(), items=["code", "name"], terms=terms))["grant_id"]
    left = (await change(exchange, grant_id, items=["code"])).json()
    assert (left["items"], left["terms"]["masks"]) == (["code"], [])


async def test_only_the_provider_changes_the_terms_of_a_grant_in_force(exchange: Any) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]
    for by, status in ((exchange.requester, 404), (exchange.stranger, 404)):
        assert (await change(exchange, grant_id, by)).status_code == status
    assert (await change(exchange, str(uuid7()))).status_code == 404
    unsigned = await exchange.client.post(f"/v1/grants/{grant_id}/terms", json={"reason": "x"}, headers=exchange.steward(exchange.provider))
    assert unsigned.status_code == 422
    await exchange.expire(grant_id)
    over = await change(exchange, grant_id)
    assert (over.status_code, over.json()["type"].rsplit("/", 1)[1]) == (409, "grant-not-active")


async def test_a_high_level_leaves_masked_or_with_a_reason(exchange: Any) -> None:
    base = await exchange.publish()
    grant_id = (await exchange.granted(base))["grant_id"]
    items = (base.items[0], base.items[1].model_copy(update={"data_level": 3}), *base.items[2:])
    await exchange.publish(resource_id=base.resource_id, version=2, items=items)
    assert pointers(await change(exchange, grant_id)) == ["/masks"]
    assert (await change(exchange, grant_id, unmasked={"name": "核对身份所必需"})).status_code == 201


async def test_two_changes_at_once_are_one_behind_the_other(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    await exchange.accepted(resource.resource_id)
    grant = await decided(exchange, resource)
    answers = await asyncio.gather(*(change(exchange, grant["grant_id"], terms={"where": [one]}) for one in (ONE, TWO)))
    assert [answer.status_code for answer in answers] == [201, 201]
    now = (await exchange.client.get(f"/v1/grants/{grant['grant_id']}", headers=exchange.steward(exchange.requester))).json()
    events = await said(exchange, GrantTermsChanged)
    assert await open_views(exchange, resource) == {now["view_id"]}
    assert [str(events[-1].view.view_id), events[0].view.topic] == [now["view_id"], events[1].former_topic]
    assert [one.model_dump(mode="json") for one in events[-1].terms.where] == now["terms"]["where"]


async def test_two_answers_to_a_request_at_once_are_one_answer(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    request = (await exchange.ask(resource)).json()
    path, who = f"/v1/requests/{request['request_id']}/decision", exchange.steward(exchange.provider)
    bodies = [{"outcome": outcome, "approved_by": "局长", "reason": "已核"} for outcome in ("granted", "refused")]
    answers = await asyncio.gather(*(exchange.client.post(path, json=body, headers=who) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_new_version_closes_what_its_filter_or_mask_cannot_tell_any_more(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    masks = [{"item": "since", "mask": "date", "to": "year"}]
    blurred = await exchange.granted(resource, terms={"masks": masks})
    chosen = await exchange.granted(resource, terms={"where": [{"item": "people", "op": "ge", "value": 1}]})
    retyped = tuple(
        item.model_copy(update={"data_type": DataType.TEXT}) if item.code in ("since", "people") else item for item in resource.items
    )
    await exchange.publish(resource_id=resource.resource_id, version=2, items=retyped)
    await exchange.accepted(resource.resource_id, b"code,name,people,since\n4,d,9,1999\n", params={"kind": "snapshot"})
    last = (await said(exchange, DispatchOrdered))[-1]
    assert [[one.mask for one in view.masks] for view in last.views] == [["drop"]]
    await exchange.fold()
    who = exchange.steward(exchange.requester)
    shown = await exchange.client.get(f"/v1/grants/{blurred['grant_id']}/rows", headers=who)
    assert shown.json()["items"] == [{"code": "4", "name": "d", "people": "9", "since": None}]
    assert await codes(exchange, chosen["grant_id"]) == []


async def test_the_schema_of_a_masked_view_is_of_what_leaves(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    masks = [
        {"item": "code", "mask": "pseudonym"},
        {"item": "name", "mask": "keep", "prefix": 1, "suffix": 0},
        {"item": "people", "mask": "number", "width": 10_000},
        {"item": "since", "mask": "drop"},
    ]
    grant = await exchange.granted(resource, terms={"masks": masks})
    [order] = await said(exchange, DispatchOrdered)
    url = order.views[0].schema_url
    assert url.endswith(f"/v1/views/{grant['view_id']}/schema.json?version=1")
    answer = await exchange.client.get(url.partition("127.0.0.1:8000")[2])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
    schema = answer.json()
    assert (schema["$id"], schema["properties"]["since"]["type"]) == (url, "null")
    jsonschema.Draft202012Validator.check_schema(schema)
    found = await exchange.client.get(f"/v1/grants/{grant['grant_id']}/rows", headers=exchange.steward(exchange.requester))
    validator = jsonschema.Draft202012Validator(schema)
    for row in found.json()["items"]:
        validator.validate(row)
    assert not validator.is_valid(found.json()["items"][0] | {"code": "330602001"})
    plain = await exchange.granted(resource)
    assert (await said(exchange, DispatchOrdered))[-1].views[0].schema_url == resource.schema_url
    assert (await exchange.client.get(f"/v1/views/{plain['view_id']}/schema.json")).json()["$id"] == resource.schema_url
    for path in (f"/v1/views/{uuid7()}/schema.json", f"/v1/views/{plain['view_id']}/schema.json?version=7"):
        assert (await exchange.client.get(path)).status_code == 404
