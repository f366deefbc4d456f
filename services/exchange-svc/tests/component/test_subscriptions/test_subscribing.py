"""Opening subscriptions: who may, to where, and what is refused with what to do about it."""

from typing import Any

from dxmesh_schemas.exchange_subscriptions import SubscriptionEnded, SubscriptionOpened

HOOK = {"mode": "webhook", "url": "https://hooks.invalid/rows"}


async def test_only_the_requester_opens_and_changes_and_provider_and_authority_see(node: Any) -> None:
    exchange = node.exchange
    grant = await exchange.granted(await exchange.publish())
    path = f"/v1/grants/{grant['grant_id']}/subscriptions"
    subscriber = await node.subscriber()
    for who in (exchange.provider, exchange.stranger):
        assert (await node.post(path, {"mode": "webhook", "url": subscriber.url}, by=who)).status_code == 404
    made = await node.hooked(grant, subscriber)
    assert made["secret"].startswith("whsec_")
    [told] = [event for event in await exchange.outbox() if isinstance(event, SubscriptionOpened)]
    assert (told.destination, told.mode) == (subscriber.url, "webhook")
    for who in (exchange.requester, exchange.provider):
        for one in ([*(await node.get(path, by=who)).json()], [(await node.get(made["path"], by=who)).json()]):
            assert [found["subscription_id"] for found in one] == [made["subscription_id"]]
            assert made["secret"] not in str(one)
    assert (await exchange.client.get(made["path"], headers=exchange.authority)).status_code == 200
    assert (await node.get(made["path"], by=exchange.stranger)).status_code == 404
    for verb in ("pause", "resumption", "termination"):
        assert (await node.post(f"{made['path']}/{verb}", {"reason": "x"}, by=exchange.provider)).status_code == 404
    for verb in ("replay", "secret"):
        assert (await node.post(f"{made['path']}/{verb}", {}, by=exchange.provider)).status_code == 404
    assert (await node.get(made["path"] + "/messages", by=exchange.stranger)).status_code == 404
    assert (await node.post(made["path"] + "/termination", {"reason": "不再需要"})).json()["state"] == "ended"
    assert [event.reason for event in await exchange.outbox() if isinstance(event, SubscriptionEnded)] == ["不再需要"]
    assert (await node.post(made["path"] + "/termination", {"reason": "x"})).status_code == 409


PRIVATE = [
    "http://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.1.1/x",
    "https://[::1]/x",
    "https://[fd00::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://[64:ff9b::a00:1]/x",
    "https://[2002:a00:1::]/x",
    "https://0.0.0.0/x",
    "https://100.64.0.1/x",
    "https://167772161/x",
    "https://0xa000001/x",
    "https://[fe80::1]/x",
    "https://224.0.0.1/x",
    "https://[fec0::1]/x",
]


async def test_an_address_of_a_private_network_is_refused(node: Any) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    for url in PRIVATE:
        answer = await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", {"mode": "webhook", "url": url})
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "destination-refused"), url
        assert "ALLOWED_NETWORKS" in answer.json()["detail"]


IMPOSSIBLE = [
    ("ftp://hooks.example/", "web address"),
    ("https://", "web address"),
    ("https://user:secret@hooks.example/", "leave them out"),
    ("https://hooks.example/#part", "fragment"),
    ("https://hooks.example:99999/", "no URL"),
    ("https://[::1/", "no URL"),
    ("https://hooks.invalid/rows", "no address"),
    (f"https://{'a' * 70}.example/", "no address"),
    ("https://a..b/", "no address"),
    ("http://8.8.8.8:9/", "TLS"),
    ("https://exa mple/", ""),
    ("https://x\r\nHost: y/", ""),
    ("https://93.184.216.34/\x01", "no URL"),
    ("https://93.184.216.34/\x00", "no URL"),
    ("https://-ä-.example/", ""),
    ("", ""),
    ("x" * 3000, ""),
    (7, ""),
]


async def test_an_address_that_cannot_be_is_named(node: Any) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    for url, word in IMPOSSIBLE:
        answer = await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", {"mode": "webhook", "url": url})
        assert answer.status_code == 422, (url, answer.text)
        assert word in answer.text, url
        assert "secret@" not in answer.text


async def test_an_address_has_to_say_that_it_wants_the_messages(node: Any, answered: Any) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    for origin in ("", "another.node"):
        subscriber = await node.subscriber(origin=origin)
        answer = await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", {"mode": "webhook", "url": subscriber.url})
        assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (422, "endpoint-unproven")
        assert "330600.dxmesh" in answer.json()["detail"]
        assert subscriber.calls[0].headers["webhook-request-origin"] == "330600.dxmesh"
    named = await node.subscriber(origin="330600.dxmesh")
    await node.hooked(grant, named)
    silent = await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", {"mode": "webhook", "url": "http://127.0.0.1:1/"})
    assert (silent.status_code, silent.json()["errors"][0]["pointer"]) == (422, "/url")


async def test_a_way_that_was_not_granted_and_one_too_many_are_refused(node: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource, terms={"modes": ["pull"]})
    subscriber = await node.subscriber()
    body = {"mode": "webhook", "url": subscriber.url}
    refused = await node.post(f"/v1/grants/{grant['grant_id']}/subscriptions", body)
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (403, "mode-not-granted")
    assert subscriber.calls == [], "nothing is tried for who may not"
    wide = await exchange.granted(resource)
    path = f"/v1/grants/{wide['grant_id']}/subscriptions"
    for _ in range(10):
        assert (await node.post(path, body)).status_code == 201
    assert (await node.post(path, body)).status_code == 429
    await node.post(f"/v1/grants/{wide['grant_id']}/termination", {"reason": "结束"})
    assert (await node.post(path, body)).status_code == 403


async def test_a_replaced_secret_signs_beside_its_successor(node: Any, until: Any, is_proven: Any) -> None:
    exchange = node.exchange
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    subscriber = await node.subscriber()
    made = await node.hooked(grant, subscriber)
    fresh = (await node.post(made["path"] + "/secret")).json()
    assert fresh["secret"] != made["secret"]
    await exchange.accepted(resource.resource_id)
    await node.flow()
    async with node.working():
        await until(lambda: len(subscriber.rows) == 3)
    assert all(is_proven(call, secret) for call in subscriber.taken for secret in (made["secret"], fresh["secret"]))


NEVER = [
    {"offsets": {"0": 5}},
    {"offsets": {"x": 0}},
    {"offsets": {"0": -1}},
    {"since": "2999-01-01T00:00:00Z"},
    {"since": "2026-01-01T00:00:00"},
    {"since": "2026-01-01T00:00:00Z", "offsets": {}},
    {"batch_id": "019a0000-0000-7000-8000-000000000099"},
    {"unknown": 1},
]


async def test_a_replay_from_where_nothing_was_delivered_is_refused(node: Any) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    made = await node.hooked(grant, await node.subscriber())
    for body in NEVER:
        answer = await node.post(made["path"] + "/replay", body)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["errors"]


async def test_states_that_do_not_allow_it_say_so(node: Any) -> None:
    grant = await node.exchange.granted(await node.exchange.publish())
    made = await node.hooked(grant, await node.subscriber())
    assert (await node.post(made["path"] + "/resumption", {"reason": "x"})).status_code == 409
    assert (await node.post(made["path"] + "/pause", {"reason": "x"})).status_code == 201
    assert (await node.post(made["path"] + "/pause", {"reason": "x"})).status_code == 409
    assert (await node.post(made["path"] + "/pause", {})).status_code == 422
    assert (await node.post(made["path"] + "/resumption", {"reason": "x"})).status_code == 201
