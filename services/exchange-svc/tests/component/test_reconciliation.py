"""Accounts of providers and requesters held against this node's, cases of differences, and feeds that are late."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import UpdateCycle
from dxmesh_schemas.exchange import DeliveryCompleted
from dxmesh_schemas.exchange_reconciliation import ReconciliationDiffered, ReconciliationSettled
from dxmesh_schemas.quality import Outcome
from exchange_svc.batch.store import Batch
from exchange_svc.delivery import consumers as deliveries

BODIES = (b"code,name\n1,a\n", b"code,name\n2,b\n3,c\n")


def window() -> dict[str, str]:
    now = utc_now()
    return {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


async def said(exchange: Any, kind: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kind)]


async def tell(exchange: Any, path: str, by: Any, span: dict[str, str], batches: list[dict[str, Any]]) -> Any:
    return await exchange.client.post(f"/v1/{path}/reconciliation", json=span | {"batches": batches}, headers=exchange.steward(by))


async def sent(exchange: Any, resource: Any) -> list[dict[str, Any]]:
    batches = [await exchange.accepted(resource.resource_id, body) for body in BODIES]
    return [
        {"batch_id": one["batch_id"], "row_count": one["received_count"], "sha256": hashlib.sha256(body).hexdigest()}
        for one, body in zip(batches, BODIES, strict=True)
    ]


async def test_a_provider_finds_what_it_sent_and_a_difference_opens_a_case_until_it_is_gone(exchange: Any) -> None:
    resource = await exchange.publish()
    mine = await sent(exchange, resource)
    path, span = f"resources/{resource.resource_id}", window()
    shown = await exchange.client.get(f"/v1/{path}/reconciliation", params=span, headers=exchange.steward(exchange.provider))
    assert sorted(shown.json()["batches"], key=str) == sorted(mine, key=str)
    agreed = (await tell(exchange, path, exchange.provider, span, mine)).json()
    assert (agreed["difference_count"], agreed["case_id"], agreed["told"]) == (0, None, agreed["held"])
    assert agreed["held"] == shown.json()["account"]
    lost = {"batch_id": str(uuid7()), "row_count": 9, "sha256": "0" * 64}
    first = (await tell(exchange, path, exchange.provider, span, [mine[0], lost])).json()
    kinds = {one["batch_id"]: one["kind"] for one in first["differences"]}
    assert kinds == {mine[1]["batch_id"]: "not_told", lost["batch_id"]: "not_here"}
    again = (await tell(exchange, path, exchange.provider, span, [mine[0], lost])).json()
    assert again["case_id"] == first["case_id"] is not None
    assert len(await said(exchange, ReconciliationDiffered)) == 1
    changed = (await tell(exchange, path, exchange.provider, span, [mine[0], mine[1] | {"row_count": 7}])).json()
    assert (changed["case_id"], [one["kind"] for one in changed["differences"]]) == (first["case_id"], ["other_count"])
    assert len(await said(exchange, ReconciliationDiffered)) == 2
    assert (await tell(exchange, path, exchange.provider, span, mine)).json()["case_id"] is None
    case = await exchange.client.get(f"/v1/reconciliation-cases/{first['case_id']}", headers=exchange.steward(exchange.provider))
    assert (case.json()["state"], case.json()["difference_count"]) == ("settled", 1)
    [settled] = await said(exchange, ReconciliationSettled)
    assert (str(settled.case_id), settled.organization) == (first["case_id"], exchange.provider)


async def test_a_requester_finds_what_was_delivered_by_its_grant(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    [one, other] = await sent(exchange, resource)
    got = []
    for number, batch in enumerate((one, other), start=1):
        event = DeliveryCompleted(
            resource_id=resource.resource_id,
            batch_id=UUID(batch["batch_id"]),
            sequence=number,
            view_id=UUID(grant["view_id"]),
            topic=grant["topic"],
            ranges=(),
            accepted_count=batch["row_count"],
            delivered_count=batch["row_count"],
            vanished_count=number,  # a reader counts them as records of the batch
            sha256=f"{number}" * 64,
            completed_at=utc_now(),
        )
        await deliver(exchange.sessions, deliveries.HANDLERS, event, consumer="exchange-delivery")
        got.append({"batch_id": batch["batch_id"], "row_count": batch["row_count"] + number, "sha256": f"{number}" * 64})
    [told] = (await exchange.client.get(f"/v1/batches/{other['batch_id']}/deliveries", headers=exchange.steward(exchange.provider))).json()[
        "items"
    ]
    assert told["vanished_count"] == 2
    path, span = f"grants/{grant['grant_id']}", window()
    assert (await tell(exchange, path, exchange.requester, span, got)).json()["difference_count"] == 0
    short = (await tell(exchange, path, exchange.requester, span, got[:1])).json()
    assert [(found["batch_id"], found["kind"]) for found in short["differences"]] == [(other["batch_id"], "not_told")]
    for who, count in ((exchange.requester, 1), (exchange.provider, 1), (exchange.stranger, 0)):
        cases = await exchange.client.get("/v1/reconciliation-cases", params={"state": "open"}, headers=exchange.steward(who))
        assert len(cases.json()["items"]) == count
        seen = await exchange.client.get(f"/v1/reconciliation-cases/{short['case_id']}", headers=exchange.steward(who))
        assert seen.status_code == (200 if count else 404)
    settlement = f"/v1/reconciliation-cases/{short['case_id']}/settlement"
    for who, status in ((exchange.requester, 404), (exchange.stranger, 404), (exchange.provider, 201), (exchange.provider, 409)):
        answer = await exchange.client.post(settlement, json={"explanation": "读取组重置后已补读"}, headers=exchange.steward(who))
        assert answer.status_code == status
    [settled] = await said(exchange, ReconciliationSettled)
    assert (settled.side, str(settled.grant_id), settled.explanation) == ("requester", grant["grant_id"], "读取组重置后已补读")


async def test_a_window_holds_what_came_in_it_and_nothing_before_or_after(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    [one, _] = await sent(exchange, resource)
    event = DeliveryCompleted(
        resource_id=resource.resource_id,
        batch_id=UUID(one["batch_id"]),
        sequence=1,
        view_id=UUID(grant["view_id"]),
        topic=grant["topic"],
        ranges=(),
        accepted_count=1,
        delivered_count=1,
        sha256="1" * 64,
        completed_at=utc_now(),
    )
    await deliver(exchange.sessions, deliveries.HANDLERS, event, consumer="exchange-delivery")
    since = utc_now()
    spans = (
        (since - timedelta(hours=1), since, 2, 1),
        (since - timedelta(hours=2), since - timedelta(hours=1), 0, 0),
        (since, utc_now(), 0, 0),
    )
    for first, last, batches, delivered in spans:
        params = {"since": first.isoformat(), "until": last.isoformat()}
        for path, count in ((f"resources/{resource.resource_id}", batches), (f"grants/{grant['grant_id']}", delivered)):
            shown = await exchange.client.get(f"/v1/{path}/reconciliation", params=params, headers=exchange.authority)
            assert shown.json()["account"]["batch_count"] == count, (path, params)


async def test_two_accounts_of_one_window_at_once_open_one_case(exchange: Any) -> None:
    resource = await exchange.publish()
    await sent(exchange, resource)
    path, span = f"resources/{resource.resource_id}", window()
    answers = await asyncio.gather(*(tell(exchange, path, exchange.provider, span, []) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["case_id"] for answer in answers}) == 1
    assert len(await said(exchange, ReconciliationDiffered)) == 1


async def test_anothers_account_and_a_wrong_window_are_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    [one, _] = await sent(exchange, resource)
    span, wrong = window(), {"since": utc_now().isoformat(), "until": "2020-01-01T00:00:00+08:00"}
    received, got = f"resources/{resource.resource_id}", f"grants/{grant['grant_id']}"
    for path, who, told, batches, status in (
        (received, exchange.requester, span, [], 404),
        (received, exchange.stranger, span, [], 404),
        (got, exchange.provider, span, [], 404),
        (got, exchange.stranger, span, [], 404),
        (received, exchange.provider, wrong, [], 422),
        (received, exchange.provider, span, [one, one], 422),
        (received, exchange.provider, span, [one | {"sha256": "x"}], 422),
        (received, exchange.provider, span, [one | {"row_count": -1}], 422),
        (received, exchange.provider, {"since": "2026-01-01T00:00:00", "until": span["until"]}, [], 422),
        (f"resources/{UUID(int=9)}", exchange.provider, span, [], 404),
    ):
        assert (await tell(exchange, path, who, told, batches)).status_code == status, (path, who.name, told)
    shown = await exchange.client.get(f"/v1/{received}/reconciliation", params=span, headers=exchange.steward(exchange.stranger))
    assert (shown.status_code, slug(shown)) == (404, "resource-not-found")
    assert not await said(exchange, ReconciliationDiffered)


async def test_feeds_behind_their_cycle_are_listed_the_longest_behind_first(exchange: Any) -> None:
    now = utc_now()
    fresh = await exchange.publish(name="新近", published_at=now)
    never = await exchange.publish(name="从未", published_at=now - timedelta(days=40))
    behind = await exchange.publish(name="落后", update_cycle=UpdateCycle.WEEKLY, published_at=now - timedelta(days=90))
    still = await exchange.publish(name="静态", update_cycle=UpdateCycle.STATIC, published_at=now - timedelta(days=90))
    batch = await exchange.accepted(behind.resource_id, BODIES[0])
    async with exchange.sessions.begin() as tx:
        old = update(Batch).where(Batch.batch_id == UUID(batch["batch_id"]))
        await tx.execute(old.values(assessed_at=now - timedelta(days=10)))
    await exchange.accepted(fresh.resource_id, BODIES[0])
    refused = await exchange.pushed(never.resource_id, BODIES[0])
    await exchange.deliver(await exchange.assessment(refused["batch_id"], Outcome.REJECT))
    headers = exchange.steward(exchange.provider)
    first = (await exchange.client.get("/v1/reports/late-feeds", params={"limit": 1}, headers=headers)).json()
    rest = (await exchange.client.get("/v1/reports/late-feeds", params={"cursor": first["next_cursor"]}, headers=headers)).json()
    found = [*first["items"], *rest["items"]]
    assert [(one["name"], one["last_accepted_at"] is None) for one in found] == [("从未", True), ("落后", False)]
    assert [(one["late_days"], one["update_cycle"]) for one in found] == [(39, "DAILY"), (3, "WEEKLY")]
    assert {one["resource_id"] for one in found} == {str(never.resource_id), str(behind.resource_id)} - {str(still.resource_id)}
    others = await exchange.client.get("/v1/reports/late-feeds", headers=exchange.steward(exchange.requester))
    assert others.json()["items"] == []
    assert len((await exchange.client.get("/v1/reports/late-feeds", headers=exchange.authority)).json()["items"]) == 2
