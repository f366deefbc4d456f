"""Webhooks: what is posted, how it is signed, what becomes of it when the subscriber fails, and what never happens twice unseen."""

import asyncio
from typing import Any

import pytest

from dxmesh_schemas.exchange_subscriptions import SubscriptionPaused
from exchange_svc.webhook.domain import signature

MORE = "code,name,people,since\n330602001,塔山街道,90000,2001-05-01\n".encode()


async def test_rows_are_posted_as_signed_cloudevents_in_their_order(node: Any, until: Any, is_proven: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource, items=["code", "people"])
    subscriber = await node.subscriber()
    made = await node.hooked(grant, subscriber)
    batch = await exchange.accepted(resource.resource_id)
    await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
    await exchange.accepted(resource.resource_id, b"code\n330602002\n", params={"kind": "delete"})
    await node.flow()
    async with node.working():
        await until(lambda: len(subscriber.rows) == 5)
        await until(lambda: _seen_rows(node, made, 5))
    assert {"code": "330602003", "people": 55000} in subscriber.rows
    mine = [row["people"] for row in subscriber.rows if row.get("code") == "330602001"]
    assert mine == [81234, 90000], "order per key"
    assert {"deleted": "330602002"} in subscriber.rows
    assert subscriber.rows.index({"code": "330602002", "people": None}) < subscriber.rows.index({"deleted": "330602002"})
    first = subscriber.taken[0]
    assert first.headers["content-type"].startswith("application/cloudevents-batch+json")
    assert all(is_proven(call, made["secret"]) for call in subscriber.taken)
    assert not is_proven(first, "whsec_" + "A" * 44)
    event = next(event for call in subscriber.taken for event in call.events if event["id"] == f"{batch['batch_id']}/1")
    assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "dxmesh.row.changed.v1", "330602001")
    assert event["source"] == f"/exchange-svc/views/{grant['view_id']}"
    told = await node.seen(made)
    assert "secret" not in told
    assert (told["row_count"], sum(told["place"]["offsets"].values()) >= 5) == (5, True)


async def _seen_rows(node: Any, made: dict[str, Any], count: int) -> bool:
    found = await node.seen(made)
    return bool(found["row_count"] == count)


def test_the_signature_is_that_of_the_specification() -> None:
    """The vector of the Standard Webhooks reference implementations."""
    body = b'{"test": 2432232314}'
    made = signature(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_messages_are_bounded_and_every_one_is_kept_with_its_attempts(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    made = await node.hooked(grant, subscriber)
    rows = "".join(f"{n},街道,1,2001-01-01\n" for n in range(25))
    await exchange.accepted(resource.resource_id, f"code,name,people,since\n{rows}".encode())
    await node.flow()
    async with node.working(batch_rows=10):
        await until(lambda: _seen_rows(node, made, 25))
    assert max(len(call.events) for call in subscriber.taken) <= 10
    assert sorted(int(row["code"]) for row in subscriber.rows) == list(range(25))
    page = (await node.get(made["path"] + "/messages?limit=2")).json()
    assert len(page["items"]) == 2
    rest = (await node.get(made["path"] + f"/messages?cursor={page['next_cursor']}")).json()
    messages = page["items"] + rest["items"]
    assert [one["webhook_id"] for one in reversed(messages)] == [call.webhook_id for call in subscriber.taken]
    assert all([a["status"] for a in one["attempts"]] == [204] for one in messages)


@pytest.mark.parametrize("kind", ["error", "redirect", "hangs", "endless", "trickles", "closes"])
async def test_a_failing_subscriber_gets_the_same_message_again_and_then_the_next(node: Any, until: Any, answered: Any, kind: str) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    elsewhere = await node.subscriber()
    subscriber = await node.subscriber()

    async def answer(call: Any) -> bytes:
        if len(subscriber.taken) > 2:
            subscriber.endless = False
            return answered(204)
        match kind:
            case "error":
                return answered(500)
            case "redirect":
                return answered(307, Location=elsewhere.url)
            case "hangs":
                await asyncio.sleep(30)
            case "endless":
                subscriber.endless = True
                return b"HTTP/1.1 500 Told\r\nContent-Length: 100000000\r\n\r\n"
            case "trickles":
                subscriber.endless = True
                return b"HTTP/1.1 2"
        return b""

    subscriber.answer = answer
    made = await node.hooked(grant, subscriber)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working(answer_seconds=1.0 if kind in ("hangs", "endless", "trickles") else 10.0):
        await until(lambda: _seen_rows(node, made, 3))
    assert len({call.webhook_id for call in subscriber.taken[:3]}) == 1
    assert len({call.body for call in subscriber.taken[:3]}) == 1
    assert elsewhere.taken == [], "a redirect is never followed"
    found = await node.seen(made)
    assert (found["failing_since"], found["failure_count"]) == (None, 0)
    [oldest] = (await node.get(made["path"] + "/messages")).json()["items"][-1:]
    assert [one["status"] == 204 for one in oldest["attempts"]] == [False, False, True]


async def test_a_slow_subscriber_holds_no_other_up(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    slow, quick = await node.subscriber(), await node.subscriber()
    stuck = asyncio.Event()

    async def hang(call: Any) -> bytes:
        stuck.set()
        await asyncio.sleep(30)
        return b""

    slow.answer = hang
    await node.hooked(grant, slow)
    await node.hooked(grant, quick)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working(answer_seconds=20):
        await until(lambda: len(quick.rows) == 3)
        await asyncio.wait_for(stuck.wait(), 10)


async def test_retry_after_is_honoured(node: Any, until: Any, answered: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()

    async def busy(call: Any) -> bytes:
        return answered(503, Retry_After="3000")

    subscriber.answer = busy
    made = await node.hooked(grant, subscriber)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working(most_retry_seconds=3600):
        found = await until(lambda: _failing(node, made))
    assert found["next_attempt_at"] > found["failing_since"][:11]
    assert len(subscriber.taken) == 1
    assert "503" in found["failure"]


async def _failing(node: Any, made: dict[str, Any]) -> Any:
    found = await node.seen(made)
    return found if found["failing_since"] else None


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (410, 1)])
async def test_a_dead_subscriber_is_paused_told_of_and_goes_on_where_it_stood(
    node: Any, until: Any, answered: Any, status: int, attempts: int
) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    state = {"status": status}

    async def answer(call: Any) -> bytes:
        return answered(state["status"])

    subscriber.answer = answer
    made = await node.hooked(grant, subscriber)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working(dead_after_attempts=3):
        await until(lambda: _is(node, made, "dead"))
        assert len(subscriber.taken) == attempts
        [told] = [event for event in await exchange.outbox() if isinstance(event, SubscriptionPaused)]
        assert (told.by, str(status) in told.reason, told.requester.organization_id) == ("node", True, exchange.requester.organization_id)
        again = await node.post(made["path"] + "/resumption", {"reason": "修好了"})
        assert again.status_code == 201, again.text
        await until(lambda: _is(node, made, "dead"))
        state["status"] = 204
        await node.post(made["path"] + "/resumption", {"reason": "修好了"})
        await until(lambda: _seen_rows(node, made, 3))
    assert len({call.webhook_id for call in subscriber.taken[: attempts + 1]}) == 1


async def _is(node: Any, made: dict[str, Any], state: str) -> bool:
    return bool((await node.seen(made))["state"] == state)


async def test_a_replay_brings_rows_again_by_new_messages_and_the_same_events(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    made = await node.hooked(grant, subscriber)
    await exchange.accepted(resource.resource_id)
    later = await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
    await node.flow()
    async with node.working():
        await until(lambda: _seen_rows(node, made, 4))
        before = {event["id"] for call in subscriber.taken for event in call.events}
        ids = {call.webhook_id for call in subscriber.taken}
        assert (await node.post(made["path"] + "/replay", {"batch_id": later["batch_id"]})).status_code == 201
        await until(lambda: _seen_rows(node, made, 5))
        assert subscriber.rows[4:] == [{"code": "330602001", "name": "塔山街道", "people": 90000, "since": "2001-05-01"}]
        offsets = (await node.seen(made))["place"]["offsets"]
        assert (await node.post(made["path"] + "/replay", {"offsets": dict.fromkeys(offsets, 0)})).status_code == 201
        await until(lambda: _seen_rows(node, made, 9))
        assert (await node.post(made["path"] + "/replay", {"since": "2020-01-01T00:00:00Z"})).status_code == 201
        await until(lambda: _seen_rows(node, made, 13))
        assert (await node.post(made["path"] + "/replay", {})).status_code == 201
        await until(lambda: _seen_rows(node, made, 17))
    assert {event["id"] for call in subscriber.taken for event in call.events} == before, "a receiver can tell what it has had"
    assert ids.isdisjoint({call.webhook_id for call in subscriber.taken[len(ids) :]})


async def test_killed_after_the_effect_the_same_message_comes_again(node: Any, until: Any, answered: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    killed = asyncio.Event()

    async def answer(call: Any) -> bytes:
        if not killed.is_set():
            process.kill()  # the rows are here, and whoever sent them will never know
            await process.wait()
            killed.set()
        return answered(204)

    subscriber.answer = answer
    made = await node.hooked(grant, subscriber)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.process() as process:
        await asyncio.wait_for(killed.wait(), 60)
    assert (await node.seen(made))["row_count"] == 0
    async with node.working():
        await until(lambda: _seen_rows(node, made, 3))
    first, second, *_ = subscriber.taken
    assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
    assert len({call.webhook_id for call in subscriber.taken}) == len(subscriber.taken) - 1


async def test_two_workers_share_the_subscriptions_and_none_is_served_twice(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscribers = [await node.subscriber() for _ in range(4)]
    for one in subscribers:
        await node.hooked(grant, one)
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working(), node.working():
        await until(lambda: all(len(one.rows) == 3 for one in subscribers))
    assert all(len({call.webhook_id for call in one.taken}) == len(one.taken) for one in subscribers)


async def test_what_is_suspended_paused_or_over_gets_nothing_and_misses_nothing(node: Any, until: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    made = await node.hooked(grant, subscriber)
    path = f"/v1/grants/{grant['grant_id']}"
    await exchange.accepted(resource.resource_id)
    assert (await node.post(path + "/suspension", {"reason": "核查用途"}, by=exchange.provider)).status_code == 201
    await node.flow()
    other = await exchange.granted(resource)
    witness = await node.subscriber()
    await node.hooked(other, witness)
    async with node.working():
        await until(lambda: len(witness.rows) == 3)
        assert subscriber.taken == []
        assert (await node.seen(made))["held_by"] == "the grant is suspended"
        await node.post(path + "/resumption", {"reason": "已整改"}, by=exchange.provider)
        await until(lambda: _seen_rows(node, made, 3))
        await node.post(made["path"] + "/pause", {"reason": "维护"})
        await exchange.accepted(resource.resource_id, MORE, params={"kind": "upsert"})
        await node.flow()
        await until(lambda: len(witness.rows) == 4)
        assert len(subscriber.rows) == 3
        await node.post(made["path"] + "/resumption", {"reason": "完成"})
        await until(lambda: _seen_rows(node, made, 4))
        await node.post(path + "/termination", {"reason": "课题结束"})
        await until(lambda: _is(node, made, "ended"))
    assert (await node.post(made["path"] + "/replay", {})).status_code == 409
