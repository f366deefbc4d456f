"""Lag without a broker that answers: what counts as unread, by what deliveries wrote where; and who is told of whom."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text, update

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.exchange import DeliveryCompleted, DispatchOrdered
from exchange_svc.delivery import consumers as deliveries
from exchange_svc.grant.store import Grant
from exchange_svc.lag import measuring, store
from exchange_svc.lag.domain import MOST_BATCHES, Measured, Span, Standing
from exchange_svc.lag.settings import LagSettings
from exchange_svc.subscription.store import Subscription

Ranges = tuple[tuple[int, int, int], ...]
_MANY = text("""
    INSERT INTO delivery (batch_id, view_id, sequence, resource_id, topic, ranges, accepted_count, delivered_count, sha256, completed_at)
    SELECT gen_random_uuid(), view_id, number, resource_id, topic,
           jsonb_build_array(jsonb_build_array(0, number * 4, number * 4 + 1)), 2, 2, sha256, completed_at
    FROM delivery, generate_series(3, 2000) AS number WHERE sequence = 2
""")


async def delivered(exchange: Any, ranges: Mapping[str, Ranges]) -> None:
    """Let batches be delivered to the views they were ordered to: by batch id, where their rows lie."""
    for event in await exchange.outbox():
        if isinstance(event, DispatchOrdered) and str(event.batch_id) in ranges:
            where = ranges[str(event.batch_id)]
            for view in event.views:
                count = sum(last - first + 1 for _, first, last in where)
                done = DeliveryCompleted(
                    resource_id=event.resource_id,
                    batch_id=event.batch_id,
                    sequence=event.sequence,
                    view_id=view.view_id,
                    topic=view.topic,
                    ranges=where,
                    accepted_count=count,
                    delivered_count=count,
                    sha256="0" * 64,
                    completed_at=utc_now(),
                )
                await deliver(exchange.sessions, deliveries.HANDLERS, done)


async def subscribed(exchange: Any, grant: dict[str, Any], place: dict[str, Any], **changes: Any) -> UUID:
    """Let a grant have a webhook that is at a place, as its worker would have left it."""
    now = utc_now()
    fields: dict[str, Any] = {
        "subscription_id": uuid7(),
        "grant_id": UUID(grant["grant_id"]),
        "mode": "webhook",
        "state": "active",
        "settings": {},
        "sealed": b"",
        "place": place,
        "epoch": 1,
        "row_count": 0,
        "failure_count": 0,
        "created_at": now,
        "changed_at": now,
    }
    async with exchange.sessions.begin() as tx:
        await tx.execute(insert(Subscription).values(fields | changes))
    found: UUID = fields["subscription_id"]
    return found


async def shown(exchange: Any, grant: dict[str, Any], *, by: Any = None) -> list[dict[str, Any]]:
    headers = exchange.steward(by or exchange.requester)
    answer = await exchange.client.get(f"/v1/grants/{grant['grant_id']}/lag", headers=headers)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["groups_told"] is False, "no broker answers here"
    found: list[dict[str, Any]] = page["items"][0]["subscribers"]
    return found


async def measured(exchange: Any, groups: Any = None, *, later: timedelta = timedelta()) -> list[Measured]:
    now = utc_now() + later
    async with exchange.sessions() as tx:
        held = await store.list_held(tx, limit=100, now=now)
        found = await measuring.measure(tx, held, groups or {}, LagSettings(), now=now)
    return [one for some in found.values() for one in some]


def counts(found: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(one["standing"], one["unread_batch_count"], one["unread_row_count"]) for one in found]


async def two_batches(exchange: Any) -> dict[str, Any]:
    """Return a grant with two batches on its topic: rows at 0-1 and 4-5 of partition 0, at 0 and 3 of partition 1."""
    resource = await exchange.publish()
    grant: dict[str, Any] = await exchange.granted(resource)
    first = await exchange.accepted(resource.resource_id)
    second = await exchange.accepted(resource.resource_id)
    await delivered(exchange, {first["batch_id"]: ((0, 0, 1), (1, 0, 0)), second["batch_id"]: ((0, 4, 5), (1, 3, 3))})
    return grant


async def test_markers_between_transactions_are_not_unread_and_a_partition_left_behind_is(exchange: Any) -> None:
    grant = await two_batches(exchange)
    topic = grant["topic"]
    for offsets, expected in (
        ({"0": 6, "1": 4}, ("current", 0, 0)),  # each partition's last row was had; a marker is behind it
        ({"0": 7, "1": 5}, ("current", 0, 0)),
        ({"0": 2, "1": 1}, ("reading", 1, 3)),  # a marker is next, then the second batch
        ({"0": 5, "1": 4}, ("reading", 1, 1)),
        ({"0": 6, "1": 0}, ("reading", 2, 2)),
        ({}, ("reading", 2, 6)),
    ):
        name = str(await subscribed(exchange, grant, {"topic": topic, "offsets": offsets}))
        assert [found for one in await shown(exchange, grant) if one["name"] == name for found in counts([one])] == [expected], offsets


async def test_a_batch_that_is_accepted_and_not_on_the_topic_is_lag_of_everyone(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    await subscribed(exchange, grant, {"topic": "", "offsets": {}})
    batch = await exchange.accepted(resource.resource_id)
    assert counts(await shown(exchange, grant)) == [("reading", 1, 3)]
    await delivered(exchange, {batch["batch_id"]: ()})
    assert counts(await shown(exchange, grant)) == [("current", 0, 0)], "a batch of which nothing leaves is nothing to read"


async def test_a_subscriber_that_waits_too_long_is_behind_unless_its_grant_is_suspended(exchange: Any) -> None:
    grant = await two_batches(exchange)
    await subscribed(exchange, grant, {"topic": "", "offsets": {}})
    assert [one.standing for one in await measured(exchange)] == [Standing.READING]
    assert [one.standing for one in await measured(exchange, later=timedelta(minutes=16))] == [Standing.BEHIND]
    headers = exchange.steward(exchange.provider)
    answer = await exchange.client.post(f"/v1/grants/{grant['grant_id']}/suspension", json={"reason": "核查"}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert [one.standing for one in await measured(exchange, later=timedelta(minutes=16))] == [Standing.SUSPENDED]


async def test_a_consumer_group_is_told_of_by_the_topics_of_its_own_grants_only(exchange: Any) -> None:
    grant = await two_batches(exchange)
    ours, theirs = (f"org.{one.organization_id}.g" for one in (exchange.requester, exchange.stranger))
    groups = {ours: {grant["topic"]: {0: 2, 1: 1}, "dxmesh.other": {0: 1}}, theirs: {grant["topic"]: {0: 6, 1: 4}}}
    [found] = await measured(exchange, groups)
    assert (found.subscriber.mode, found.subscriber.name, found.unread.row_count) == ("topic", ours, 3)
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(Grant).values(terms={"modes": ["pull"]}))
    assert await measured(exchange, groups) == [], "what it read once is none of its grant's ways now"


async def test_a_group_on_a_topic_its_grant_left_has_all_of_the_new_one_to_read(exchange: Any) -> None:
    resource = await exchange.publish()
    before = await exchange.granted(resource, items=["code", "name"])
    batch = await exchange.accepted(resource.resource_id)
    group = f"org.{exchange.requester.organization_id}.g"
    answer = await exchange.client.post(
        f"/v1/grants/{before['grant_id']}/termination", json={"reason": "改为另一项"}, headers=exchange.steward(exchange.requester)
    )
    assert answer.status_code == 201, answer.text
    await exchange.granted(resource, items=["code", "people"])
    await delivered(exchange, {batch["batch_id"]: ((0, 0, 2),)})
    [found] = await measured(exchange, {group: {before["topic"]: {0: 3}}})
    assert (found.standing, found.unread.batch_count, found.unread.row_count) == (Standing.READING, 1, 3)


async def test_rows_pulled_to_the_last_page_are_had_and_not_before(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    first = await exchange.accepted(resource.resource_id)
    await exchange.fold()
    path, headers = f"/v1/grants/{grant['grant_id']}/rows", exchange.steward(exchange.requester)
    page = (await exchange.client.get(path, params={"limit": 2}, headers=headers)).json()
    assert await shown(exchange, grant) == [], "a reading that is not complete is none"
    second = await exchange.accepted(resource.resource_id)
    await exchange.fold()
    await delivered(exchange, {first["batch_id"]: ((0, 0, 2),), second["batch_id"]: ((0, 4, 6),)})
    await exchange.client.get(path, params={"limit": 2, "cursor": page["next_cursor"]}, headers=headers)
    [found] = await shown(exchange, grant)
    assert counts([found]) == [("reading", 1, 3)], "the pages were of the version without the second batch"
    assert (found["mode"], found["name"], found["limit_seconds"]) == ("pull", "", 86_400)
    await exchange.client.get(path, headers=headers)
    assert counts(await shown(exchange, grant)) == [("current", 0, 0)]


async def test_lag_is_told_to_both_sides_and_the_authority_and_nobody_else(exchange: Any) -> None:
    grant = await two_batches(exchange)
    await subscribed(exchange, grant, {"topic": "", "offsets": {}})
    for headers in (exchange.steward(exchange.requester), exchange.steward(exchange.provider), exchange.authority):
        for path in ("/v1/lag", f"/v1/grants/{grant['grant_id']}/lag"):
            items = (await exchange.client.get(path, headers=headers)).json()["items"]
            assert [len(item["subscribers"]) for item in items] == [1]
    stranger = exchange.steward(exchange.stranger)
    assert (await exchange.client.get("/v1/lag", headers=stranger)).json()["items"] == []
    foreign = await exchange.client.get(f"/v1/grants/{grant['grant_id']}/lag", headers=stranger)
    unknown = await exchange.client.get(f"/v1/grants/{uuid7()}/lag", headers=stranger)
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.json()["type"] == unknown.json()["type"]


async def test_lag_is_paged_and_found_by_how_it_stands(exchange: Any) -> None:
    grants = [await two_batches(exchange) for _ in range(3)]
    for grant in grants:
        await subscribed(exchange, grant, {"topic": grant["topic"], "offsets": {"0": 6, "1": 4}})
    await subscribed(exchange, grants[0], {"topic": "", "offsets": {}})
    headers, seen, cursor = exchange.authority, [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await exchange.client.get("/v1/lag", params=params, headers=headers)).json()
        seen += [item["grant_id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [grant["grant_id"] for grant in reversed(grants)]
    [only] = (await exchange.client.get("/v1/lag", params={"standing": "reading"}, headers=headers)).json()["items"]
    assert (only["grant_id"], counts(only["subscribers"])) == (grants[0]["grant_id"], [("reading", 2, 6)])
    wrong = await exchange.client.get("/v1/lag", params={"cursor": "x"}, headers=headers)
    assert wrong.status_code == 422


async def test_a_thousand_subscribers_are_one_question_and_one_far_behind_is_not_counted_to_the_end(exchange: Any) -> None:
    grant = await two_batches(exchange)
    view_id = UUID(grant["topic"].rpartition(".")[2])
    async with exchange.sessions.begin() as tx:
        held = await store.list_held(tx, limit=1, now=utc_now())
        spans = [(Span(view_id, offsets={0: 6, 1: 4}), held[0].grant.resource_id)] * 1_000
        found = await store.unread(tx, spans)
        assert {one.batch_count for pair in found for one in pair} == {0}
        await tx.execute(_MANY)
        await tx.execute(text("UPDATE view_end SET ends = ends || :ends"), {"ends": json.dumps({"0": 8001})})
        [(there, _)] = await store.unread(tx, spans[:1])
    assert (there.batch_count, there.row_count, there.is_least) == (MOST_BATCHES, 2 * MOST_BATCHES, True)
