"""Disputes about refused and unanswered requests: each step with who, when and why, from negotiation to a government's decision."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from dxmesh_clocks.working_days import add, begin_of, day_of
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import Level, OrganizationKind, SharingType
from dxmesh_schemas.catalog_events import OrganizationRegistered
from dxmesh_schemas.exchange import GrantActivated, RequestGranted, RequestRefused
from dxmesh_schemas.exchange_deadlines import DeadlineEscalated, DeadlineMissed
from dxmesh_schemas.exchange_disputes import DisputeDecided, DisputeEvent, DisputeOpened, DisputeTakenFurther, DisputeWithdrawn
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.store import Clock
from exchange_svc.dispute.store import Dispute

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
REFUSED = {"outcome": "refused", "approved_by": "主任", "reason": "用途不符"}
UPHELD = {"outcome": "upheld", "reason": "超出职责", "decided_by": "绍兴市数据局"}
GRANTED = {"outcome": "granted", "reason": "符合目录所列共享条件", "decided_by": "绍兴市数据局"}


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


async def post(exchange: Any, path: str, by: Any, **body: Any) -> Any:
    headers = exchange.authority if by is None else exchange.steward(by)
    return await exchange.client.post(f"/v1/{path}", json=body, headers=headers)


async def seen(exchange: Any, path: str, by: Any = None) -> Any:
    headers = exchange.authority if by is None else exchange.steward(by)
    return (await exchange.client.get(f"/v1/{path}", headers=headers)).json()


async def said(exchange: Any, *kinds: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kinds)]


async def refused(exchange: Any, **changes: Any) -> str:
    """Return a request that its provider refused."""
    request_id: str = (await exchange.ask(await exchange.publish(**CONDITIONAL), **changes)).json()["request_id"]
    assert (await post(exchange, f"requests/{request_id}/decision", exchange.provider, **REFUSED)).status_code == 201
    return request_id


async def disputed(exchange: Any, **changes: Any) -> dict[str, Any]:
    """Return an open dispute about a refused request."""
    request_id = await refused(exchange, **changes)
    answer = await post(exchange, f"requests/{request_id}/dispute", changes.get("by", exchange.requester), reason="拒绝理由不成立")
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def let_pass(exchange: Any, request_id: str) -> None:
    """Let the last day of everything that is owed for a request have been two days ago."""
    missed_at = utc_now() - timedelta(days=2)
    async with exchange.sessions.begin() as tx:
        passed = update(Clock).where(Clock.request_id == UUID(request_id), Clock.met_at.is_(None), Clock.stopped_at.is_(None))
        day = day_of(missed_at)
        await tx.execute(
            passed.values(started_on=add(day, -11), due_on=day, approaching_at=missed_at, missed_at=missed_at, next_at=missed_at, until=day)
        )


async def test_a_refusal_goes_from_negotiation_by_the_authority_to_the_government_which_grants(exchange: Any) -> None:
    opened = await disputed(exchange)
    path, request_id = f"disputes/{opened['dispute_id']}", opened["request_id"]
    assert (opened["rung"], opened["state"], opened["division_code"], opened["standing"]) == ("negotiation", "open", "3306", "running")
    assert opened["due_on"] == str(add(day_of(utc_now()), 10))
    assert (await seen(exchange, f"requests/{request_id}"))["state"] == "disputed"
    upheld = await post(exchange, f"{path}/decision", exchange.provider, **UPHELD | {"decided_by": "卫健委主任"})
    assert (upheld.status_code, upheld.json()["state"], upheld.json()["further_until"]) == (201, "decided", opened["due_on"])
    assert (await seen(exchange, f"requests/{request_id}"))["state"] == "refused"
    further = await post(exchange, f"{path}/further", exchange.requester, reason="协商未达成一致")
    assert (further.json()["rung"], further.json()["state"], further.json()["further_until"]) == ("authority", "open", None)
    assert (await post(exchange, f"{path}/decision", None, **UPHELD)).json()["state"] == "decided"
    assert (await post(exchange, f"{path}/further", exchange.requester, reason="不服协调意见")).json()["rung"] == "government"
    unnamed = await post(exchange, f"{path}/decision", None, **GRANTED)
    assert (unnamed.status_code, slug(unnamed), unnamed.json()["errors"][0]["pointer"]) == (422, "dispute-decision-invalid", "/document")
    decision = GRANTED | {"decided_by": "绍兴市人民政府", "document": "绍政函〔2026〕12号"}
    settled = (await post(exchange, f"{path}/decision", None, **decision)).json()
    assert (settled["state"], settled["outcome"]) == ("settled", "granted")
    assert [(step["rung"], step["step"], step["outcome"]) for step in settled["steps"]] == [
        ("negotiation", "opened", None),
        ("negotiation", "decided", "upheld"),
        ("authority", "taken_further", None),
        ("authority", "decided", "upheld"),
        ("government", "taken_further", None),
        ("government", "decided", "granted"),
    ]
    assert settled["steps"][-1]["document"] == "绍政函〔2026〕12号"
    request = await seen(exchange, f"requests/{request_id}", exchange.requester)
    assert (request["state"], request["decided_by"]) == ("granted", "绍兴市人民政府")
    assert (await seen(exchange, f"grants/{request['grant_id']}", exchange.requester))["state"] == "delivering"
    kinds = [type(event) for event in await said(exchange, DisputeEvent)]
    assert kinds == [DisputeOpened, DisputeDecided, DisputeTakenFurther, DisputeDecided, DisputeTakenFurther, DisputeDecided]
    [granted] = await said(exchange, RequestGranted)
    assert granted.decided_by == "绍兴市人民政府"
    assert len(await said(exchange, GrantActivated)) == len(await said(exchange, RequestRefused)) == 1
    assert [clock["rule"] for clock in (await seen(exchange, "clocks?owed=true"))["items"]] == ["delivery"]


async def test_what_the_government_upholds_is_settled(exchange: Any) -> None:
    opened = await disputed(exchange)
    path = f"disputes/{opened['dispute_id']}"
    await post(exchange, f"{path}/decision", exchange.provider, **UPHELD)
    await post(exchange, f"{path}/further", exchange.requester, reason="x")
    await post(exchange, f"{path}/decision", None, **UPHELD)
    await post(exchange, f"{path}/further", exchange.requester, reason="x")
    settled = (await post(exchange, f"{path}/decision", None, **UPHELD, document="绍政函1号")).json()
    assert (settled["state"], settled["further_until"]) == ("settled", None)
    assert slug(await post(exchange, f"{path}/further", exchange.requester, reason="x")) == "dispute-over"
    assert slug(await post(exchange, f"requests/{opened['request_id']}/dispute", exchange.requester, reason="x")) == "dispute-known"
    request = await seen(exchange, f"requests/{opened['request_id']}")
    assert (request["state"], request["decided_by"], request["reason"]) == ("refused", "主任", "用途不符"), "as the provider refused it"


async def test_the_provider_gives_in_and_grants_less_than_was_asked_for(exchange: Any) -> None:
    opened = await disputed(exchange)
    path = f"disputes/{opened['dispute_id']}/decision"
    beyond = await post(exchange, path, exchange.provider, **GRANTED, items=["other"])
    assert beyond.status_code == 422
    assert (await seen(exchange, f"disputes/{opened['dispute_id']}"))["state"] == "open"
    settled = await post(exchange, path, exchange.provider, **GRANTED, items=["code", "name"])
    assert (settled.status_code, settled.json()["state"]) == (201, "settled"), settled.text
    request = await seen(exchange, f"requests/{opened['request_id']}")
    assert (request["state"], request["items"]) == ("granted", ["code", "name"])


async def test_sides_of_different_places_come_before_the_authority_above_both(exchange: Any) -> None:
    other = exchange.stranger.model_copy(update={"organization_id": UUID(int=77), "division_code": "330681", "name": "诸暨市水利局"})
    await exchange.deliver(OrganizationRegistered(**other.model_dump(), level=Level.COUNTY, kind=OrganizationKind.DEPARTMENT))
    opened = await disputed(exchange, by=other)
    path = f"disputes/{opened['dispute_id']}"
    await post(exchange, f"{path}/decision", exchange.provider, **UPHELD)
    further = (await post(exchange, f"{path}/further", other, reason="跨层级")).json()
    assert (further["rung"], further["division_code"]) == ("upper_authority", "3306")
    assert (await post(exchange, f"{path}/decision", None, **UPHELD)).status_code == 422
    assert (await post(exchange, f"{path}/decision", None, **UPHELD, document="绍数〔2026〕3号")).status_code == 201


async def test_a_request_without_an_answer_is_disputed_when_its_day_has_passed(exchange: Any) -> None:
    request_id = (await exchange.ask(await exchange.publish(**CONDITIONAL))).json()["request_id"]
    early = await post(exchange, f"requests/{request_id}/dispute", exchange.requester, reason="无答复")
    assert (early.status_code, slug(early)) == (409, "dispute-early")
    await let_pass(exchange, request_id)
    opened = await post(exchange, f"requests/{request_id}/dispute", exchange.requester, reason="无答复")
    assert opened.status_code == 201, opened.text
    path = f"disputes/{opened.json()['dispute_id']}"
    plain = await post(exchange, f"requests/{request_id}/decision", exchange.provider, **REFUSED)
    assert (plain.status_code, slug(plain)) == (409, "request-state"), "the provider answers the dispute"
    assert slug(await post(exchange, f"{path}/further", exchange.requester, reason="x")) == "dispute-early"
    await let_pass(exchange, request_id)
    further = await post(exchange, f"{path}/further", exchange.requester, reason="协商期内无答复")
    assert (further.status_code, further.json()["rung"]) == (201, "authority")
    async with exchange.sessions.begin() as tx:
        await clocks.tell_due(tx, now=utc_now())
    missed = {event.rule: event.responsible for event in await said(exchange, DeadlineMissed)}
    assert missed == {"request_conditional": "provider", "dispute_negotiation": "provider"}, "taken further, it stays missed"
    await post(exchange, f"{path}/decision", None, **UPHELD)
    request = await seen(exchange, f"requests/{request_id}")
    assert (request["state"], request["decided_by"], request["standing"]) == ("refused", "绍兴市数据局", "missed")
    assert len(await said(exchange, RequestRefused)) == 1


async def test_a_decision_the_authority_owes_is_told_as_missed_and_goes_to_no_officer(exchange: Any) -> None:
    opened = await disputed(exchange)
    path = f"disputes/{opened['dispute_id']}"
    await post(exchange, f"{path}/decision", exchange.provider, **UPHELD)
    further = (await post(exchange, f"{path}/further", exchange.requester, reason="x")).json()
    async with exchange.sessions.begin() as tx:
        late = begin_of(add(day_of(utc_now()), 30))
        while await clocks.tell_due(tx, now=late):
            pass
    [missed] = [event for event in await said(exchange, DeadlineMissed) if event.rule == "dispute_decision"]
    assert (missed.responsible, str(missed.due_on), str(missed.dispute_id)) == ("authority", further["due_on"], opened["dispute_id"])
    assert [event for event in await said(exchange, DeadlineEscalated) if event.rule == "dispute_decision"] == []
    assert (await seen(exchange, "clocks?owed=true", exchange.provider))["items"] == []


async def test_a_dispute_is_opened_once_by_the_requester_and_seen_by_its_sides_and_the_authority(exchange: Any) -> None:
    open_request = (await exchange.ask(await exchange.publish(**CONDITIONAL))).json()["request_id"]
    request_id = await refused(exchange)
    path = f"requests/{request_id}/dispute"
    assert (await post(exchange, path, exchange.stranger, reason="x")).status_code == 404
    assert slug(await post(exchange, path, exchange.provider, reason="x")) == "not-the-requester"
    assert (await post(exchange, path, exchange.requester, reason=" ")).status_code == 422
    assert slug(await post(exchange, f"requests/{open_request}/dispute", exchange.requester, reason="x")) == "dispute-early"
    at_once = await asyncio.gather(*(post(exchange, path, exchange.requester, reason="x") for _ in range(3)))
    assert sorted(answer.status_code for answer in at_once) == [201, 409, 409]
    [opened] = [answer.json() for answer in at_once if answer.status_code == 201]
    assert len(await said(exchange, DisputeOpened)) == 1
    one = f"/v1/disputes/{opened['dispute_id']}"
    for who in (exchange.steward(exchange.requester), exchange.steward(exchange.provider), exchange.authority):
        assert (await exchange.client.get(one, headers=who)).status_code == 200
        listed = await exchange.client.get("/v1/disputes", params={"state": "open"}, headers=who)
        assert [item["dispute_id"] for item in listed.json()["items"]] == [opened["dispute_id"]]
    foreign = await exchange.client.get(one, headers=exchange.steward(exchange.stranger))
    assert (foreign.status_code, slug(foreign)) == (404, "dispute-not-found")
    assert (await seen(exchange, "disputes", exchange.stranger))["items"] == []
    for step in ("further", "decision", "withdrawal"):
        body = GRANTED if step == "decision" else {"reason": "x"}
        assert (await post(exchange, f"disputes/{opened['dispute_id']}/{step}", exchange.stranger, **body)).status_code == 404


async def test_each_answers_in_its_turn_and_of_decisions_at_once_one_holds(exchange: Any) -> None:
    opened = await disputed(exchange)
    path = f"disputes/{opened['dispute_id']}"
    authority = await post(exchange, f"{path}/decision", None, **GRANTED)
    own = await post(exchange, f"{path}/decision", exchange.requester, **GRANTED)
    assert {(authority.status_code, slug(authority)), (own.status_code, slug(own))} == {(403, "not-your-turn")}
    await post(exchange, f"{path}/decision", exchange.provider, **UPHELD)
    assert slug(await post(exchange, f"{path}/decision", exchange.provider, **GRANTED)) == "dispute-over"
    await post(exchange, f"{path}/further", exchange.requester, reason="x")
    assert slug(await post(exchange, f"{path}/decision", exchange.provider, **GRANTED)) == "not-your-turn"
    answers = await asyncio.gather(*(post(exchange, f"{path}/decision", None, **body) for body in (GRANTED, UPHELD, GRANTED)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len(await said(exchange, DisputeDecided)) == 2
    assert len(await said(exchange, GrantActivated)) == len(await said(exchange, RequestGranted)) <= 1


async def test_a_decision_is_not_taken_further_for_ever(exchange: Any) -> None:
    opened = await disputed(exchange)
    path = f"disputes/{opened['dispute_id']}"
    await post(exchange, f"{path}/decision", exchange.provider, **UPHELD)
    async with exchange.sessions.begin() as tx:
        await tx.execute(update(Dispute).values(further_until=day_of(utc_now()) - timedelta(days=2)))
    late = await post(exchange, f"{path}/further", exchange.requester, reason="x")
    assert (late.status_code, slug(late)) == (409, "dispute-late")


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_dispute_that_is_withdrawn_leaves_the_request_as_it_was(exchange: Any, is_answered: bool) -> None:
    if is_answered:
        opened = await disputed(exchange)
    else:
        request_id = (await exchange.ask(await exchange.publish(**CONDITIONAL))).json()["request_id"]
        await let_pass(exchange, request_id)
        opened = (await post(exchange, f"requests/{request_id}/dispute", exchange.requester, reason="x")).json()
    path = f"disputes/{opened['dispute_id']}/withdrawal"
    assert (await post(exchange, path, exchange.requester, reason="达成一致")).json()["state"] == "withdrawn"
    assert slug(await post(exchange, path, exchange.requester, reason="x")) == "dispute-over"
    request = await seen(exchange, f"requests/{opened['request_id']}")
    assert request["state"] == ("refused" if is_answered else "under_review")
    assert len(await said(exchange, DisputeWithdrawn)) == 1
    again = await post(exchange, f"requests/{opened['request_id']}/dispute", exchange.requester, reason="又生争议")
    assert again.status_code == 201
