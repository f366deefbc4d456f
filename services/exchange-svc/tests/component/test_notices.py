"""A breaking version that is announced: delivered in both forms until its day, in force without loss or doubles, or called off."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from dxmesh_runtime.db import uuid7
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import DataItem, DataType, ResourceSnapshot, SharingType
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced, ResourceChanged, ResourceReturned, TouchedGrant
from dxmesh_schemas.exchange import (
    BatchKind,
    DispatchOrdered,
    GrantActivated,
    GrantChangeAnnounced,
    GrantChangeCalledOff,
    GrantMoved,
    GrantTerminated,
)
from exchange_svc.catalog import consumers as catalog

ANNOUNCED_AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
EFFECTIVE_AT = datetime(2026, 12, 22, 8, tzinfo=UTC)


def coming_of(first: ResourceSnapshot, **changes: Any) -> ResourceSnapshot:
    """The next version: `since` is gone, `people` is text, `name` is at most four characters."""
    items = (
        first.items[0],
        DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True, length=4),
        DataItem(code="people", name="人数", data_type=DataType.TEXT),
    )
    fields = {"version": first.version + 1, "items": items, "schema_url": "https://mesh.example/2", "published_at": EFFECTIVE_AT}
    return first.model_copy(update=fields | changes)


async def announce(exchange: Any, coming: ResourceSnapshot, *broken: str, breaks_all: bool = False, grants: Any = ()) -> None:
    event = ResourceChangeAnnounced(
        resource_id=coming.resource_id,
        resource=coming,
        effective_at=EFFECTIVE_AT,
        announced_at=ANNOUNCED_AT,
        broken_items=broken or ("since", "people", "name"),
        breaks_all=breaks_all,
        grants=grants,
    )
    await exchange.deliver(event)


async def call_off(exchange: Any, coming: ResourceSnapshot) -> None:
    event = ResourceReturned(
        resource_id=coming.resource_id,
        version=coming.version,
        revision=9,
        provider=coming.provider,
        reason="使用部门异议",
        fault_count=0,
        was_announced=True,
        returned_at=ANNOUNCED_AT,
        returned_by="authority",
    )
    await exchange.deliver(event)


async def come_in_force(exchange: Any, coming: ResourceSnapshot) -> None:
    await exchange.publish(**{name: getattr(coming, name) for name in type(coming).model_fields})


async def said(exchange: Any, *kinds: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kinds)]


async def seen(exchange: Any, grant: Any, *, by: Any = None) -> Any:
    headers = exchange.steward(by or exchange.requester)
    return (await exchange.client.get(f"/v1/grants/{grant['grant_id']}", headers=headers)).json()


async def delivered(exchange: Any) -> dict[str, list[int]]:
    """Return for each view the sequences that were ordered for it, in their order."""
    found: dict[str, list[int]] = {}
    for order in await said(exchange, DispatchOrdered):
        for view in order.views:
            found.setdefault(str(view.view_id), []).append(order.sequence)
    return found


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


@pytest.fixture
async def noticed(exchange: Any) -> Any:
    """A resource with one accepted batch and a grant of it, and its coming version, which is announced."""
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    grant = await exchange.granted(first)
    coming = coming_of(first)
    await announce(exchange, coming)
    return first, coming, grant


async def test_during_a_notice_batches_are_delivered_in_both_forms(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    await exchange.accepted(first.resource_id)
    shown = await seen(exchange, grant)
    both = [grant["view_id"], shown["coming"]["view_id"]]
    assert await delivered(exchange) == {view_id: [1, 2] for view_id in both}, "what came before is there too"
    newest = (await said(exchange, DispatchOrdered))[-1]
    old, new = newest.views
    assert (old.items, old.resource_version, old.into, old.schema_url) == (
        ("code", "name", "people", "since"),
        1,
        (),
        "https://mesh.example/schema.json",
    )
    assert (new.items, new.resource_version, new.key, new.schema_url) == (
        ("code", "name", "people"),
        2,
        ("code",),
        "https://mesh.example/2",
    )
    assert [item.code for item in new.into] == ["name", "people"], "what is as it was needs no look"
    assert new.into == coming.items[1:]
    assert old.topic != new.topic


async def test_a_reader_can_tell_which_topic_is_which_version_and_from_when(exchange: Any, noticed: Any) -> None:
    _, _, grant = noticed
    assert (grant["version"], grant["coming"]) == (1, None)
    shown = await seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["version_since"]) == (grant["topic"], 1, "2026-11-01T00:00:00Z")
    coming = shown["coming"]
    assert (coming["version"], coming["items"]) == (2, ["code", "name", "people"])
    assert (coming["announced_at"], coming["effective_at"]) == ("2026-11-22T08:00:00Z", "2026-12-22T08:00:00Z")
    [told] = await said(exchange, GrantChangeAnnounced)
    assert (str(told.grant_id), told.version, told.view.topic) == (grant["grant_id"], 2, coming["topic"])
    assert (told.announced_at, told.effective_at, told.view.into) == (ANNOUNCED_AT, EFFECTIVE_AT, ())
    listed = (await exchange.client.get("/v1/grants", headers=exchange.steward(exchange.provider))).json()["items"]
    assert [one["coming"] for one in listed] == [coming], "its provider sees it as well"


async def test_on_its_day_grants_move_without_loss_or_doubles(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    both = await seen(exchange, grant)
    late = await exchange.pushed(first.resource_id)
    await come_in_force(exchange, coming)
    await exchange.accept(late["batch_id"])
    await exchange.accepted(first.resource_id, "code,name,people\n1,甲,七\n".encode())
    assert await delivered(exchange) == {both["view_id"]: [1], both["coming"]["view_id"]: [1, 2, 3]}
    orders = await said(exchange, DispatchOrdered)
    assert [[item.code for item in order.views[-1].into] for order in orders[-2:]] == [["name", "people"], []]
    shown = await seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["coming"]) == (both["coming"]["topic"], 2, None)
    assert shown["items"] == ["code", "name", "people"]
    [moved] = await said(exchange, GrantMoved)
    assert (moved.view.topic, moved.former_topic, moved.view.resource_version) == (shown["topic"], grant["topic"], 2)
    equal = await exchange.granted(coming, by=exchange.stranger)
    assert equal["topic"] == shown["topic"], "an equal grant joins the view"


async def test_an_announced_version_that_is_called_off_is_delivered_no_more(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    both = await seen(exchange, grant)
    await call_off(exchange, coming)
    await exchange.accepted(first.resource_id)
    shown = await seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["coming"]) == (grant["topic"], 1, None)
    assert await delivered(exchange) == {grant["view_id"]: [1, 2], both["coming"]["view_id"]: [1]}
    [told] = await said(exchange, GrantChangeCalledOff)
    assert (str(told.grant_id), told.version, told.topic) == (grant["grant_id"], 2, both["coming"]["topic"])
    await announce(exchange, coming_of(first, items=first.items[:2]), "since", "people")
    again = (await seen(exchange, grant))["coming"]
    assert again["topic"] != both["coming"]["topic"], "announced again, it may have another form under the same number"
    assert (await delivered(exchange))[again["view_id"]] == [1, 2]


async def test_a_draft_that_was_never_announced_changes_nothing_here(exchange: Any, noticed: Any) -> None:
    _, coming, grant = noticed
    fields = {"version": 2, "revision": 3, "provider": coming.provider, "reason": "x", "fault_count": 1, "was_announced": False}
    fields |= {"resource_id": coming.resource_id, "returned_at": ANNOUNCED_AT, "returned_by": "x"}
    await exchange.deliver(ResourceReturned(**fields))
    assert (await seen(exchange, grant))["coming"] is not None


async def test_a_withdrawn_resource_gets_no_new_version(exchange: Any, noticed: Any) -> None:
    first, _, grant = noticed
    await exchange.withdraw(first)
    assert (await seen(exchange, grant))["coming"] is None
    assert len(await said(exchange, GrantChangeCalledOff)) == 1
    await announce(exchange, coming_of(first))
    assert (await seen(exchange, grant))["coming"] is None


async def test_a_view_that_is_not_touched_goes_on_as_it_is(exchange: Any) -> None:
    first = await exchange.publish()
    whole, part = await exchange.granted(first), await exchange.granted(first, items=["code"], by=exchange.stranger)
    cut = await exchange.granted(first, items=["code", "since"], by=exchange.stranger)  # what is left of it is the part, and its own
    coming = coming_of(first)
    await announce(exchange, coming)
    assert (await seen(exchange, part, by=exchange.stranger))["coming"] is None
    await come_in_force(exchange, coming)
    after = await seen(exchange, part, by=exchange.stranger)
    assert (after["topic"], after["version"]) == (part["topic"], 2)
    assert {str(event.grant_id) for event in await said(exchange, GrantMoved)} == {whole["grant_id"], cut["grant_id"]}


async def test_a_changed_key_touches_every_view(exchange: Any) -> None:
    first = await exchange.publish()
    grant = await exchange.granted(first, items=["code", "name"])
    coming = coming_of(first, items=first.items, key=("name",))
    await announce(exchange, coming, "nothing", breaks_all=True)
    await exchange.accepted(first.resource_id)
    await exchange.accepted(first.resource_id, b"code\n330602001\n", params={"kind": "delete"})
    assert (await seen(exchange, grant))["coming"]["items"] == ["code", "name"]
    for order in await said(exchange, DispatchOrdered):
        old, new = order.views
        assert (old.key, new.key, [item.code for item in new.into]) == (("code",), ("name",), ["name"])
    assert (await said(exchange, DispatchOrdered))[-1].kind is BatchKind.DELETE


async def test_what_the_catalogue_did_not_know_of_is_touched_as_well(exchange: Any) -> None:
    first = await exchange.publish()
    one, two = await exchange.granted(first, items=["since"]), await exchange.granted(first, items=["code", "people"])
    known = TouchedGrant(grant_id=uuid7(), requester_id=uuid7(), requester_name="丙局", items=("people",))
    await announce(exchange, coming_of(first), "since", grants=[known])
    assert [(await seen(exchange, grant))["coming"]["items"] for grant in (one, two)] == [[], ["code", "people"]]


async def test_a_grant_given_during_a_notice_has_both_versions(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    equal = await exchange.granted(first, by=exchange.stranger)
    assert equal["coming"] == (await seen(exchange, grant))["coming"]
    other = await exchange.granted(first, items=["code", "since"], by=exchange.stranger)
    assert (other["coming"]["items"], other["coming"]["topic"] != equal["coming"]["topic"]) == (["code"], True)
    assert (await delivered(exchange))[other["coming"]["view_id"]] == [1]
    kinds = [type(event) for event in await said(exchange, GrantActivated, GrantChangeAnnounced)]
    assert kinds == [GrantActivated, GrantChangeAnnounced] * 3
    assert (await exchange.granted(first, items=["code"], by=exchange.stranger))["coming"] is None, "what stays is not touched"
    assert len(await said(exchange, GrantChangeAnnounced)) == 3
    await come_in_force(exchange, coming)
    assert len(await said(exchange, GrantMoved)) == 3


async def test_views_that_become_equal_share_the_coming_topic_and_a_conditional_one_keeps_its_own(exchange: Any) -> None:
    first = await exchange.publish(items=(*exchange_items(), limited("secret")))
    one = await exchange.granted(first, items=["code", "name"])
    two = await exchange.granted(first, items=["code", "name", "since"], by=exchange.stranger)
    request = (await exchange.ask(first, items=["code", "secret"])).json()
    decision = {"outcome": "granted", "approved_by": "局长"}
    path = f"/v1/requests/{request['request_id']}/decision"
    own = (await exchange.client.post(path, json=decision, headers=exchange.steward(exchange.provider))).json()
    coming = coming_of(first, items=(first.items[0], first.items[1]))
    await announce(exchange, coming, "people", "since", "secret", "name")
    topics = [(await seen(exchange, one))["coming"]["topic"], (await seen(exchange, two, by=exchange.stranger))["coming"]["topic"]]
    assert len(set(topics)) == 1
    assert (await seen(exchange, own))["coming"]["topic"] not in topics
    await come_in_force(exchange, coming)
    assert [(await seen(exchange, one))["topic"], (await seen(exchange, two, by=exchange.stranger))["topic"]] == topics
    assert (await exchange.granted(coming, items=["code", "name"], by=exchange.stranger))["topic"] == topics[0], "an equal one joins"


def exchange_items() -> tuple[DataItem, ...]:
    kinds = {"code": DataType.TEXT, "name": DataType.TEXT, "people": DataType.INTEGER, "since": DataType.DATE}
    return tuple(DataItem(code=code, name=code, data_type=kind) for code, kind in kinds.items())


def limited(code: str) -> DataItem:
    return DataItem(code=code, name=code, data_type=DataType.TEXT, sharing_type=SharingType.CONDITIONAL)


async def test_when_none_of_the_items_stays_there_is_no_coming_topic(exchange: Any) -> None:
    first = await exchange.publish()
    grant = await exchange.granted(first, items=["since"])
    coming = coming_of(first)
    await announce(exchange, coming)
    shown = (await seen(exchange, grant))["coming"]
    assert (shown["version"], shown["topic"], shown["items"]) == (2, None, [])
    [told] = await said(exchange, GrantChangeAnnounced)
    assert told.view is None
    await come_in_force(exchange, coming)
    await exchange.accepted(first.resource_id, "code,name,people\n1,甲,七\n".encode())
    assert await delivered(exchange) == {}


async def test_a_coming_view_closes_with_the_last_grant_it_is_for(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    path = f"/v1/grants/{grant['grant_id']}/termination"
    ended = (await exchange.client.post(path, json={"reason": "用完"}, headers=exchange.steward(exchange.requester))).json()
    assert ended["coming"] is None
    assert len(await said(exchange, GrantTerminated)) == 1
    await exchange.accepted(first.resource_id)
    assert {tuple(sequences) for sequences in (await delivered(exchange)).values()} == {(1,)}
    await come_in_force(exchange, coming)
    assert await said(exchange, GrantMoved) == []


async def test_a_grant_whose_time_is_over_gets_no_coming_version(exchange: Any) -> None:
    first = await exchange.publish()
    await exchange.accepted(first.resource_id)
    grant = await exchange.granted(first)
    await exchange.expire(grant["grant_id"])
    await announce(exchange, coming_of(first))
    assert await delivered(exchange) == {grant["view_id"]: [1]}
    assert await said(exchange, GrantChangeAnnounced) == []


async def test_an_announcement_that_takes_anothers_place_calls_that_off(exchange: Any, noticed: Any) -> None:
    first, _, grant = noticed
    before = (await seen(exchange, grant))["coming"]
    await announce(exchange, coming_of(first, version=3, items=first.items[:2]), "people", "since")
    await exchange.accepted(first.resource_id)
    [told] = await said(exchange, GrantChangeCalledOff)
    assert (told.version, told.topic) == (2, before["topic"])
    coming = (await seen(exchange, grant))["coming"]
    assert (coming["version"], coming["items"]) == (3, ["code", "name"])
    assert await delivered(exchange) == {grant["view_id"]: [1, 2], before["view_id"]: [1], coming["view_id"]: [1, 2]}
    await come_in_force(exchange, coming_of(first, items=first.items))
    assert (await seen(exchange, grant))["coming"]["topic"] == coming["topic"], "version 2 ends no notice of version 3"


async def test_a_second_notice_starts_from_the_view_of_the_first(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    await come_in_force(exchange, coming)
    moved = await seen(exchange, grant)
    third = coming_of(coming, items=coming.items[:2], schema_url="https://mesh.example/3")
    await announce(exchange, third, "people")
    await exchange.accepted(first.resource_id, "code,name,people\n1,甲,七\n".encode())
    shown = await seen(exchange, grant)
    assert (shown["topic"], shown["coming"]["version"]) == (moved["topic"], 3)
    last = (await said(exchange, DispatchOrdered))[-1]
    assert [(view.resource_version, view.into) for view in last.views] == [(2, ()), (3, ())], "what is only gone needs no look"
    await come_in_force(exchange, third)
    assert (await seen(exchange, grant))["topic"] == shown["coming"]["topic"]
    assert (await delivered(exchange))[shown["coming"]["view_id"]] == [1, 2]


async def test_a_version_that_waits_together_with_the_next_one_still_ends_its_notice(exchange: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    third = coming.model_copy(update={"version": 3, "summary": "新"})
    changes = [ResourceChanged(resource_id=first.resource_id, resource=version) for version in (coming, third)]
    await deliver(exchange.sessions, catalog.HANDLERS, *changes)
    shown = await seen(exchange, grant)
    assert (shown["version"], shown["items"], shown["coming"]) == (3, ["code", "name", "people"], None)
    assert (len(await said(exchange, GrantMoved)), await said(exchange, GrantChangeCalledOff)) == (1, [])


async def test_a_version_in_force_that_was_never_announced_calls_the_announced_one_off(exchange: Any, noticed: Any) -> None:
    first, _, grant = noticed
    await exchange.granted(first, items=["code"], by=exchange.stranger)  # which was not touched, and hears nothing
    await come_in_force(exchange, coming_of(first, version=3, items=first.items))
    shown = await seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["coming"]) == (grant["topic"], 3, None)
    assert (len(await said(exchange, GrantChangeCalledOff)), await said(exchange, GrantMoved)) == (1, [])


async def test_an_announcement_that_is_past_is_left_out(exchange: Any, noticed: Any) -> None:
    _, coming, grant = noticed
    await come_in_force(exchange, coming)
    await announce(exchange, coming)
    assert (await seen(exchange, grant))["coming"] is None


async def test_a_file_of_the_coming_version_is_refused_until_its_day(exchange: Any, noticed: Any) -> None:
    first, coming, _ = noticed
    body = "code,name,people\n1,甲,七\n".encode()
    early = await exchange.push(first.resource_id, body, params={"version": 2})
    assert (early.status_code, slug(early), early.json()["in_force"]) == (409, "version-not-in-force", 1)
    assert "in force from 2026-12-22" in early.json()["detail"]
    assert early.json()["errors"][0]["pointer"] == "query:version"
    unknown = await exchange.push(first.resource_id, body, params={"version": 7})
    assert (unknown.status_code, "make the file by version 1" in unknown.json()["detail"]) == (409, True)
    assert (await exchange.push(first.resource_id, params={"version": 0})).status_code == 422
    batch_id = str(uuid7())
    assert (await exchange.push(first.resource_id, batch_id=batch_id, params={"version": 1})).status_code == 201
    await come_in_force(exchange, coming)
    again = await exchange.push(first.resource_id, batch_id=batch_id, params={"version": 1})
    assert again.status_code == 200, "what was taken is the same push on any day"
    late = await exchange.push(first.resource_id, params={"version": 1})
    assert (late.status_code, "make the file by version 2" in late.json()["detail"]) == (409, True)
    assert (await exchange.push(first.resource_id, body, params={"version": 2})).json()["resource_version"] == 2


async def test_batches_accepted_while_a_version_comes_in_force_are_on_one_topic_or_both_and_never_on_none(
    exchange: Any, noticed: Any
) -> None:
    first, coming, grant = noticed
    both = await seen(exchange, grant)
    made = [await exchange.pushed(first.resource_id) for _ in range(6)]
    await asyncio.gather(
        *(exchange.accept(batch["batch_id"]) for batch in made[:3]),
        come_in_force(exchange, coming),
        *(exchange.accept(batch["batch_id"]) for batch in made[3:]),
    )
    found = await delivered(exchange)
    assert found[both["coming"]["view_id"]] == [1, 2, 3, 4, 5, 6, 7]
    before = found[grant["view_id"]]
    assert before == list(range(1, len(before) + 1)), "the old topic has everything up to the change and nothing after"


async def test_terms_that_change_during_a_notice_hold_in_both_forms(exchange: Any, noticed: Any) -> None:
    first, _, grant = noticed
    former = await seen(exchange, grant)
    body = {"reason": "收窄", "approved_by": "局长", "terms": {"where": [{"item": "code", "op": "eq", "value": "330602001"}]}}
    path = f"/v1/grants/{grant['grant_id']}/terms"
    changed = (await exchange.client.post(path, json=body, headers=exchange.steward(exchange.provider))).json()
    views = {changed["view_id"], changed["coming"]["view_id"]}
    assert not views & {former["view_id"], former["coming"]["view_id"]}
    await exchange.accepted(first.resource_id)
    last = (await said(exchange, DispatchOrdered))[-1]
    assert {str(view.view_id): len(view.where) for view in last.views} == dict.fromkeys(views, 1)
