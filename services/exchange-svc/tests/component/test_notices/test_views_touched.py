"""Which views an announced version touches, and what becomes of their grants and topics."""

from typing import Any

from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog_events import TouchedGrant
from dxmesh_schemas.exchange import (
    BatchKind,
    DispatchOrdered,
    GrantActivated,
    GrantChangeAnnounced,
    GrantMoved,
    GrantTerminated,
)


async def test_a_view_that_is_not_touched_goes_on_as_it_is(exchange: Any, notices: Any) -> None:
    first = await exchange.publish()
    whole, part = await exchange.granted(first), await exchange.granted(first, items=["code"], by=exchange.stranger)
    cut = await exchange.granted(first, items=["code", "since"], by=exchange.stranger)  # what is left of it is the part, and its own
    coming = notices.coming_of(first)
    await notices.announce(exchange, coming)
    assert (await notices.seen(exchange, part, by=exchange.stranger))["coming"] is None
    await notices.come_in_force(exchange, coming)
    after = await notices.seen(exchange, part, by=exchange.stranger)
    assert (after["topic"], after["version"]) == (part["topic"], 2)
    assert {str(event.grant_id) for event in await notices.said(exchange, GrantMoved)} == {whole["grant_id"], cut["grant_id"]}


async def test_a_changed_key_touches_every_view(exchange: Any, notices: Any) -> None:
    first = await exchange.publish()
    grant = await exchange.granted(first, items=["code", "name"])
    coming = notices.coming_of(first, items=first.items, key=("name",))
    await notices.announce(exchange, coming, "nothing", breaks_all=True)
    await exchange.accepted(first.resource_id)
    await exchange.accepted(first.resource_id, b"code\n330602001\n", params={"kind": "delete"})
    assert (await notices.seen(exchange, grant))["coming"]["items"] == ["code", "name"]
    for order in await notices.said(exchange, DispatchOrdered):
        old, new = order.views
        assert (old.key, new.key, [item.code for item in new.into]) == (("code",), ("name",), ["name"])
    assert (await notices.said(exchange, DispatchOrdered))[-1].kind is BatchKind.DELETE


async def test_what_the_catalogue_did_not_know_of_is_touched_as_well(exchange: Any, notices: Any) -> None:
    first = await exchange.publish()
    one, two = await exchange.granted(first, items=["since"]), await exchange.granted(first, items=["code", "people"])
    known = TouchedGrant(grant_id=uuid7(), requester_id=uuid7(), requester_name="丙局", items=("people",))
    await notices.announce(exchange, notices.coming_of(first), "since", grants=[known])
    assert [(await notices.seen(exchange, grant))["coming"]["items"] for grant in (one, two)] == [[], ["code", "people"]]


async def test_a_grant_given_during_a_notice_has_both_versions(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    equal = await exchange.granted(first, by=exchange.stranger)
    assert equal["coming"] == (await notices.seen(exchange, grant))["coming"]
    other = await exchange.granted(first, items=["code", "since"], by=exchange.stranger)
    assert (other["coming"]["items"], other["coming"]["topic"] != equal["coming"]["topic"]) == (["code"], True)
    assert (await notices.delivered(exchange))[other["coming"]["view_id"]] == [1]
    kinds = [type(event) for event in await notices.said(exchange, GrantActivated, GrantChangeAnnounced)]
    assert kinds == [GrantActivated, GrantChangeAnnounced] * 3
    assert (await exchange.granted(first, items=["code"], by=exchange.stranger))["coming"] is None, "what stays is not touched"
    assert len(await notices.said(exchange, GrantChangeAnnounced)) == 3
    await notices.come_in_force(exchange, coming)
    assert len(await notices.said(exchange, GrantMoved)) == 3


async def test_views_that_become_equal_share_the_coming_topic_and_a_conditional_one_keeps_its_own(exchange: Any, notices: Any) -> None:
    first = await exchange.publish(items=(*notices.exchange_items(), notices.limited("secret")))
    one = await exchange.granted(first, items=["code", "name"])
    two = await exchange.granted(first, items=["code", "name", "since"], by=exchange.stranger)
    request = (await exchange.ask(first, items=["code", "secret"])).json()
    decision = {"outcome": "granted", "approved_by": "局长"}
    path = f"/v1/requests/{request['request_id']}/decision"
    own = (await exchange.client.post(path, json=decision, headers=exchange.steward(exchange.provider))).json()
    coming = notices.coming_of(first, items=(first.items[0], first.items[1]))
    await notices.announce(exchange, coming, "people", "since", "secret", "name")
    topics = [
        (await notices.seen(exchange, one))["coming"]["topic"],
        (await notices.seen(exchange, two, by=exchange.stranger))["coming"]["topic"],
    ]
    assert len(set(topics)) == 1
    assert (await notices.seen(exchange, own))["coming"]["topic"] not in topics
    await notices.come_in_force(exchange, coming)
    assert [(await notices.seen(exchange, one))["topic"], (await notices.seen(exchange, two, by=exchange.stranger))["topic"]] == topics
    assert (await exchange.granted(coming, items=["code", "name"], by=exchange.stranger))["topic"] == topics[0], "an equal one joins"


async def test_when_none_of_the_items_stays_there_is_no_coming_topic(exchange: Any, notices: Any) -> None:
    first = await exchange.publish()
    grant = await exchange.granted(first, items=["since"])
    coming = notices.coming_of(first)
    await notices.announce(exchange, coming)
    shown = (await notices.seen(exchange, grant))["coming"]
    assert (shown["version"], shown["topic"], shown["items"]) == (2, None, [])
    [told] = await notices.said(exchange, GrantChangeAnnounced)
    assert told.view is None
    await notices.come_in_force(exchange, coming)
    await exchange.accepted(first.resource_id, "code,name,people\n1,甲,七\n".encode())
    assert await notices.delivered(exchange) == {}


async def test_a_coming_view_closes_with_the_last_grant_it_is_for(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    path = f"/v1/grants/{grant['grant_id']}/termination"
    ended = (await exchange.client.post(path, json={"reason": "用完"}, headers=exchange.steward(exchange.requester))).json()
    assert ended["coming"] is None
    assert len(await notices.said(exchange, GrantTerminated)) == 1
    await exchange.accepted(first.resource_id)
    assert {tuple(sequences) for sequences in (await notices.delivered(exchange)).values()} == {(1,)}
    await notices.come_in_force(exchange, coming)
    assert await notices.said(exchange, GrantMoved) == []


async def test_a_grant_whose_time_is_over_gets_no_coming_version(exchange: Any, notices: Any) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    grant = await exchange.granted(first)
    await exchange.expire(grant["grant_id"])
    await notices.announce(exchange, notices.coming_of(first))
    assert await notices.delivered(exchange) == {grant["view_id"]: [1]}
    assert await notices.said(exchange, GrantChangeAnnounced) == []


async def test_terms_that_change_during_a_notice_hold_in_both_forms(exchange: Any, notices: Any, noticed: Any) -> None:
    first, _, grant = noticed
    former = await notices.seen(exchange, grant)
    body = {"reason": "收窄", "approved_by": "局长", "terms": {"where": [{"item": "code", "op": "eq", "value": "330602001"}]}}
    path = f"/v1/grants/{grant['grant_id']}/terms"
    changed = (await exchange.client.post(path, json=body, headers=exchange.steward(exchange.provider))).json()
    views = {changed["view_id"], changed["coming"]["view_id"]}
    assert not views & {former["view_id"], former["coming"]["view_id"]}
    await exchange.accepted(first.resource_id)
    last = (await notices.said(exchange, DispatchOrdered))[-1]
    assert {str(view.view_id): len(view.where) for view in last.views} == dict.fromkeys(views, 1)
