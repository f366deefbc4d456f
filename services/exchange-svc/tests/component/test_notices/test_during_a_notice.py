"""From an announcement to its day: what is delivered, who can tell, and what calls it off."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from dxmesh_runtime.db import uuid7
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog_events import ResourceChanged, ResourceReturned
from dxmesh_schemas.exchange import (
    DispatchOrdered,
    GrantChangeAnnounced,
    GrantChangeCalledOff,
    GrantMoved,
)
from exchange_svc.catalog import consumers as catalog

ANNOUNCED_AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
EFFECTIVE_AT = datetime(2026, 12, 22, 8, tzinfo=UTC)


async def test_during_a_notice_batches_are_delivered_in_both_forms(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    await exchange.accepted(first.resource_id)
    shown = await notices.seen(exchange, grant)
    both = [grant["view_id"], shown["coming"]["view_id"]]
    assert await notices.delivered(exchange) == {view_id: [1, 2] for view_id in both}, "what came before is there too"
    newest = (await notices.said(exchange, DispatchOrdered))[-1]
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


async def test_a_reader_can_tell_which_topic_is_which_version_and_from_when(exchange: Any, notices: Any, noticed: Any) -> None:
    _, _, grant = noticed
    assert (grant["version"], grant["coming"]) == (1, None)
    shown = await notices.seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["version_since"]) == (grant["topic"], 1, "2026-11-01T00:00:00Z")
    coming = shown["coming"]
    assert (coming["version"], coming["items"]) == (2, ["code", "name", "people"])
    assert (coming["announced_at"], coming["effective_at"]) == ("2026-11-22T08:00:00Z", "2026-12-22T08:00:00Z")
    [told] = await notices.said(exchange, GrantChangeAnnounced)
    assert (str(told.grant_id), told.version, told.view.topic) == (grant["grant_id"], 2, coming["topic"])
    assert (told.announced_at, told.effective_at, told.view.into) == (ANNOUNCED_AT, EFFECTIVE_AT, ())
    listed = (await exchange.client.get("/v1/grants", headers=exchange.steward(exchange.provider))).json()["items"]
    assert [one["coming"] for one in listed] == [coming], "its provider sees it as well"


async def test_on_its_day_grants_move_without_loss_or_doubles(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    both = await notices.seen(exchange, grant)
    late = await exchange.pushed(first.resource_id)
    await notices.come_in_force(exchange, coming)
    await exchange.accept(late["batch_id"])
    await exchange.accepted(first.resource_id, "code,name,people\n1,甲,七\n".encode())
    assert await notices.delivered(exchange) == {both["view_id"]: [1], both["coming"]["view_id"]: [1, 2, 3]}
    orders = await notices.said(exchange, DispatchOrdered)
    assert [[item.code for item in order.views[-1].into] for order in orders[-2:]] == [["name", "people"], []]
    shown = await notices.seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["coming"]) == (both["coming"]["topic"], 2, None)
    assert shown["items"] == ["code", "name", "people"]
    [moved] = await notices.said(exchange, GrantMoved)
    assert (moved.view.topic, moved.former_topic, moved.view.resource_version) == (shown["topic"], grant["topic"], 2)
    equal = await exchange.granted(coming, by=exchange.stranger)
    assert equal["topic"] == shown["topic"], "an equal grant joins the view"


async def test_an_announced_version_that_is_called_off_is_delivered_no_more(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    both = await notices.seen(exchange, grant)
    await notices.call_off(exchange, coming)
    await exchange.accepted(first.resource_id)
    shown = await notices.seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["coming"]) == (grant["topic"], 1, None)
    assert await notices.delivered(exchange) == {grant["view_id"]: [1, 2], both["coming"]["view_id"]: [1]}
    [told] = await notices.said(exchange, GrantChangeCalledOff)
    assert (str(told.grant_id), told.version, told.topic) == (grant["grant_id"], 2, both["coming"]["topic"])
    await notices.announce(exchange, notices.coming_of(first, items=first.items[:2]), "since", "people")
    again = (await notices.seen(exchange, grant))["coming"]
    assert again["topic"] != both["coming"]["topic"], "announced again, it may have another form under the same number"
    assert (await notices.delivered(exchange))[again["view_id"]] == [1, 2]


async def test_a_draft_that_was_never_announced_changes_nothing_here(exchange: Any, notices: Any, noticed: Any) -> None:
    _, coming, grant = noticed
    fields = {"version": 2, "revision": 3, "provider": coming.provider, "reason": "x", "fault_count": 1, "was_announced": False}
    fields |= {"resource_id": coming.resource_id, "returned_at": ANNOUNCED_AT, "returned_by": "x"}
    await exchange.deliver(ResourceReturned(**fields))
    assert (await notices.seen(exchange, grant))["coming"] is not None


async def test_a_withdrawn_resource_gets_no_new_version(exchange: Any, notices: Any, noticed: Any) -> None:
    first, _, grant = noticed
    await exchange.withdraw(first)
    assert (await notices.seen(exchange, grant))["coming"] is None
    assert len(await notices.said(exchange, GrantChangeCalledOff)) == 1
    await notices.announce(exchange, notices.coming_of(first))
    assert (await notices.seen(exchange, grant))["coming"] is None


async def test_an_announcement_that_takes_anothers_place_calls_that_off(exchange: Any, notices: Any, noticed: Any) -> None:
    first, _, grant = noticed
    before = (await notices.seen(exchange, grant))["coming"]
    await notices.announce(exchange, notices.coming_of(first, version=3, items=first.items[:2]), "people", "since")
    await exchange.accepted(first.resource_id)
    [told] = await notices.said(exchange, GrantChangeCalledOff)
    assert (told.version, told.topic) == (2, before["topic"])
    coming = (await notices.seen(exchange, grant))["coming"]
    assert (coming["version"], coming["items"]) == (3, ["code", "name"])
    assert await notices.delivered(exchange) == {grant["view_id"]: [1, 2], before["view_id"]: [1], coming["view_id"]: [1, 2]}
    await notices.come_in_force(exchange, notices.coming_of(first, items=first.items))
    assert (await notices.seen(exchange, grant))["coming"]["topic"] == coming["topic"], "version 2 ends no notice of version 3"


async def test_a_second_notice_starts_from_the_view_of_the_first(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    await notices.come_in_force(exchange, coming)
    moved = await notices.seen(exchange, grant)
    third = notices.coming_of(coming, items=coming.items[:2], schema_url="https://mesh.example/3")
    await notices.announce(exchange, third, "people")
    await exchange.accepted(first.resource_id, "code,name,people\n1,甲,七\n".encode())
    shown = await notices.seen(exchange, grant)
    assert (shown["topic"], shown["coming"]["version"]) == (moved["topic"], 3)
    last = (await notices.said(exchange, DispatchOrdered))[-1]
    assert [(view.resource_version, view.into) for view in last.views] == [(2, ()), (3, ())], "what is only gone needs no look"
    await notices.come_in_force(exchange, third)
    assert (await notices.seen(exchange, grant))["topic"] == shown["coming"]["topic"]
    assert (await notices.delivered(exchange))[shown["coming"]["view_id"]] == [1, 2]


async def test_a_version_that_waits_together_with_the_next_one_still_ends_its_notice(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, grant = noticed
    third = coming.model_copy(update={"version": 3, "summary": "新"})
    changes = [ResourceChanged(resource_id=first.resource_id, resource=version) for version in (coming, third)]
    await deliver(exchange.sessions, catalog.HANDLERS, *changes)
    shown = await notices.seen(exchange, grant)
    assert (shown["version"], shown["items"], shown["coming"]) == (3, ["code", "name", "people"], None)
    assert (len(await notices.said(exchange, GrantMoved)), await notices.said(exchange, GrantChangeCalledOff)) == (1, [])


async def test_a_version_in_force_that_was_never_announced_calls_the_announced_one_off(exchange: Any, notices: Any, noticed: Any) -> None:
    first, _, grant = noticed
    await exchange.granted(first, items=["code"], by=exchange.stranger)  # which was not touched, and hears nothing
    await notices.come_in_force(exchange, notices.coming_of(first, version=3, items=first.items))
    shown = await notices.seen(exchange, grant)
    assert (shown["topic"], shown["version"], shown["coming"]) == (grant["topic"], 3, None)
    assert (len(await notices.said(exchange, GrantChangeCalledOff)), await notices.said(exchange, GrantMoved)) == (1, [])


async def test_an_announcement_that_is_past_is_left_out(exchange: Any, notices: Any, noticed: Any) -> None:
    _, coming, grant = noticed
    await notices.come_in_force(exchange, coming)
    await notices.announce(exchange, coming)
    assert (await notices.seen(exchange, grant))["coming"] is None


async def test_a_file_of_the_coming_version_is_refused_until_its_day(exchange: Any, notices: Any, noticed: Any) -> None:
    first, coming, _ = noticed
    body = "code,name,people\n1,甲,七\n".encode()
    early = await exchange.push(first.resource_id, body, params={"version": 2})
    assert (early.status_code, notices.slug(early), early.json()["in_force"]) == (409, "version-not-in-force", 1)
    assert "in force from 2026-12-22" in early.json()["detail"]
    assert early.json()["errors"][0]["pointer"] == "query:version"
    unknown = await exchange.push(first.resource_id, body, params={"version": 7})
    assert (unknown.status_code, "make the file by version 1" in unknown.json()["detail"]) == (409, True)
    assert (await exchange.push(first.resource_id, params={"version": 0})).status_code == 422
    batch_id = str(uuid7())
    assert (await exchange.push(first.resource_id, batch_id=batch_id, params={"version": 1})).status_code == 201
    await notices.come_in_force(exchange, coming)
    again = await exchange.push(first.resource_id, batch_id=batch_id, params={"version": 1})
    assert again.status_code == 200, "what was taken is the same push on any day"
    late = await exchange.push(first.resource_id, params={"version": 1})
    assert (late.status_code, "make the file by version 2" in late.json()["detail"]) == (409, True)
    assert (await exchange.push(first.resource_id, body, params={"version": 2})).json()["resource_version"] == 2


async def test_batches_accepted_while_a_version_comes_in_force_are_on_one_topic_or_both_and_never_on_none(
    exchange: Any, notices: Any, noticed: Any
) -> None:
    first, coming, grant = noticed
    both = await notices.seen(exchange, grant)
    made = [await exchange.pushed(first.resource_id) for _ in range(6)]
    await asyncio.gather(
        *(exchange.accept(batch["batch_id"]) for batch in made[:3]),
        notices.come_in_force(exchange, coming),
        *(exchange.accept(batch["batch_id"]) for batch in made[3:]),
    )
    found = await notices.delivered(exchange)
    assert found[both["coming"]["view_id"]] == [1, 2, 3, 4, 5, 6, 7]
    before = found[grant["view_id"]]
    assert before == list(range(1, len(before) + 1)), "the old topic has everything up to the change and nothing after"
