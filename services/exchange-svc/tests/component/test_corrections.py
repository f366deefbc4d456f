"""Corrections of shared data: a requester doubts records, the provider corrects them or says why not, by a day."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from dxmesh_clocks.working_days import add, day_of
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog import OrganizationRef, SharingType
from dxmesh_schemas.event import Event
from dxmesh_schemas.exchange_corrections import (
    CorrectionCorrected,
    CorrectionEvent,
    CorrectionFiled,
    CorrectionRejected,
    CorrectionWithdrawn,
)
from dxmesh_schemas.exchange_deadlines import DeadlineEscalated, DeadlineMissed
from exchange_svc.clock import commands as clocks
from exchange_svc.clock.store import Clock

REASON = "与现行区划名称不一致"
DOUBT: dict[str, Any] = {"records": [{"key": {"code": "330602001"}}], "items": ["name"], "reason": REASON}
REJECTED = {"outcome": "rejected", "approved_by": "信息中心主任", "reason": "经核实,名称与批复一致"}
RIGHT = "code,name,people,since\n330602001,塔山街,81234,2001-05-01\n".encode()


async def post(exchange: Any, path: str, by: OrganizationRef, **body: Any) -> Any:
    return await exchange.client.post(f"/v1/{path}", json=body, headers=exchange.steward(by))


async def seen(exchange: Any, path: str, by: OrganizationRef | None = None) -> Any:
    return await exchange.client.get(f"/v1/{path}", headers=exchange.authority if by is None else exchange.steward(by))


async def said(exchange: Any) -> list[Event]:
    return [event for event in await exchange.outbox() if isinstance(event, CorrectionEvent)]


async def lent(exchange: Any, **terms: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return a resource, its first batch, and a grant of it."""
    resource = await exchange.publish()
    batch = await exchange.accepted(resource.resource_id)
    return resource, batch, await exchange.granted(resource, **terms)


async def filed(exchange: Any, grant: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = await post(exchange, f"grants/{grant['grant_id']}/corrections", exchange.requester, **DOUBT | changes)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pointers(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}


async def test_a_doubt_is_answered_by_the_batch_that_corrects_within_ten_working_days(exchange: Any) -> None:
    resource, batch, grant = await lent(exchange)
    found = await filed(exchange, grant, records=[{"key": {"code": "330602001"}}, {"batch_id": batch["batch_id"], "row": 2}])
    assert (found["state"], found["standing"], found["due_on"]) == ("filed", "running", str(add(day_of(utc_now()), 10)))
    [owed] = (await seen(exchange, "clocks?owed=true", exchange.provider)).json()["items"]
    assert (owed["rule"], owed["responsible"], owed["correction_id"]) == ("correction", "provider", found["correction_id"])
    answer = f"corrections/{found['correction_id']}/answer"
    early = {"outcome": "corrected", "approved_by": "信息中心主任", "batch_id": batch["batch_id"]}
    assert "before the doubt" in pointers(await post(exchange, answer, exchange.provider, **early))["/batch_id"]
    other = await exchange.accepted((await exchange.publish(name="另一资源")).resource_id)
    foreign = early | {"batch_id": other["batch_id"]}
    assert "no accepted batch of this resource" in pointers(await post(exchange, answer, exchange.provider, **foreign))["/batch_id"]
    pushed = await exchange.pushed(resource.resource_id, RIGHT, params={"kind": "upsert"})
    named = early | {"batch_id": pushed["batch_id"]}
    assert "wait for its acceptance" in pointers(await post(exchange, answer, exchange.provider, **named))["/batch_id"]
    await exchange.accept(pushed["batch_id"])
    done = await post(exchange, answer, exchange.provider, **named)
    assert done.status_code == 201, done.text
    assert (done.json()["state"], done.json()["batch_id"], done.json()["standing"]) == ("corrected", pushed["batch_id"], "met")
    first, second = await said(exchange)
    assert isinstance(first, CorrectionFiled)
    assert isinstance(second, CorrectionCorrected)
    assert (first.record_count, first.items, str(second.batch_id)) == (2, ("name",), pushed["batch_id"])
    assert "330602001" not in first.model_dump_json(), "an event names no record"
    again = await post(exchange, answer, exchange.provider, **REJECTED)
    assert (again.status_code, again.json()["state"]) == (409, "corrected")


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("upsert", "code,name\n330602001,塔山街\n330602003,北海街\n330602009,新街道\n", (2, 1, 1)),
        ("delete", "code\n330602002\n330602003\n", (2, 1, 0)),
        ("snapshot", "code,name\n330602001,塔山街\n330602009,新街道\n", (3, 0, 1)),  # what it leaves out is deleted
        ("upsert", "code,name\n330602008,别处\n", None),
    ],
    ids=["some of them and one more", "deleted", "all there is", "none of them"],
)
async def test_an_answer_says_how_many_of_the_doubted_records_its_batch_has(exchange: Any, kind: str, body: str, told: Any) -> None:
    resource, batch, grant = await lent(exchange)
    rows = [{"batch_id": batch["batch_id"], "row": number} for number in (2, 3)]
    found = await filed(exchange, grant, records=[{"key": {"code": "330602001"}}, *rows])
    pushed = await exchange.accepted(resource.resource_id, body.encode(), params={"kind": kind})
    given = {"outcome": "corrected", "approved_by": "信息中心主任", "batch_id": pushed["batch_id"]}
    answer = await post(exchange, f"corrections/{found['correction_id']}/answer", exchange.provider, **given)
    read = (await seen(exchange, f"corrections/{found['correction_id']}", exchange.requester)).json()
    names = ("covered_count", "uncovered_count", "other_row_count")
    if told is None:
        assert "none of the 3 doubted records" in pointers(answer)["/batch_id"]
        assert (read["state"], *(read[name] for name in names)) == ("filed", None, None, None)
        return
    assert answer.status_code == 201, answer.text
    assert tuple(read[name] for name in names) == told
    event = (await said(exchange))[-1]
    assert isinstance(event, CorrectionCorrected)
    assert (event.covered_count, event.uncovered_count, event.other_row_count) == told


async def test_where_no_key_names_rows_an_answer_cannot_say_which_records_its_batch_has(exchange: Any) -> None:
    resource = await exchange.publish(key=())
    batch = await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    found = await filed(exchange, grant, records=[{"batch_id": batch["batch_id"], "row": 1}])
    pushed = await exchange.accepted(resource.resource_id, RIGHT, params={"kind": "snapshot"})
    given = {"outcome": "corrected", "approved_by": "信息中心主任", "batch_id": pushed["batch_id"]}
    answer = await post(exchange, f"corrections/{found['correction_id']}/answer", exchange.provider, **given)
    assert (answer.status_code, answer.json()["covered_count"], answer.json()["other_row_count"]) == (201, None, None), answer.text


async def test_a_rejection_has_reasons_that_the_requester_reads(exchange: Any) -> None:
    _, batch, grant = await lent(exchange)
    found = await filed(exchange, grant)
    answer = f"corrections/{found['correction_id']}/answer"
    assert "/reason" in pointers(await post(exchange, answer, exchange.provider, **REJECTED | {"reason": None}))
    assert "/batch_id" in pointers(await post(exchange, answer, exchange.provider, **REJECTED, batch_id=batch["batch_id"]))
    assert "/batch_id" in pointers(await post(exchange, answer, exchange.provider, outcome="corrected", approved_by="主任"))
    assert (await post(exchange, answer, exchange.provider, **REJECTED)).status_code == 201
    read = (await seen(exchange, f"corrections/{found['correction_id']}", exchange.requester)).json()
    assert (read["state"], read["answer"], read["ended_by"]) == ("rejected", REJECTED["reason"], "信息中心主任")
    assert isinstance((await said(exchange))[-1], CorrectionRejected)


async def test_only_what_was_granted_can_be_doubted_and_only_records_that_can_be_found(exchange: Any) -> None:
    resource, batch, grant = await lent(exchange, items=["code", "name"])
    other = await exchange.accepted((await exchange.publish(name="另一资源")).resource_id)
    await exchange.pushed(resource.resource_id, RIGHT, params={"kind": "upsert"})
    url = f"grants/{grant['grant_id']}/corrections"
    records = [
        {"key": {"name": "塔山街道"}},
        {"key": {"code": "330602001"}, "row": 1},
        {"row": 1},
        {"batch_id": other["batch_id"], "row": 1},
        {"batch_id": batch["batch_id"], "row": 4},
        {"batch_id": str(uuid4()), "row": 1},
        {"key": {"code": 330602001}},
        {"batch_id": batch["batch_id"], "row": 3},
    ]
    faults = pointers(await post(exchange, url, exchange.requester, records=records, items=["people"], reason=REASON))
    assert set(faults) == {
        "/items",
        "/records/0/key",
        "/records/1",
        "/records/2",
        "/records/3/batch_id",
        "/records/4/row",
        "/records/5/batch_id",
    }
    assert faults["/items"] == "people: not granted; the grant reads code, name"
    assert "the key is code" in faults["/records/0/key"]
    assert "1 to 3" in faults["/records/4/row"]
    assert (await post(exchange, url, exchange.requester, records=[], reason=REASON)).status_code == 422
    assert await said(exchange) == []


async def test_a_key_behind_a_mask_is_not_written_and_its_row_is_named_by_batch_and_number(exchange: Any) -> None:
    _, batch, grant = await lent(exchange, terms={"masks": [{"item": "code", "mask": "pseudonym"}]})
    url = f"grants/{grant['grant_id']}/corrections"
    refused = pointers(await post(exchange, url, exchange.requester, **DOUBT))
    assert "batch_id and row" in refused["/records/0/key"]
    assert (await filed(exchange, grant, records=[{"batch_id": batch["batch_id"], "row": 1}]))["state"] == "filed"


async def test_what_is_not_answered_goes_to_the_data_officer_and_the_authority(exchange: Any) -> None:
    _, _, grant = await lent(exchange)
    found = await filed(exchange, grant)
    missed_at = utc_now() - timedelta(hours=1)
    async with exchange.sessions.begin() as tx:
        begun = {"started_on": add(day_of(missed_at), -11), "due_on": day_of(missed_at), "until": day_of(missed_at)}
        moments = {"approaching_at": missed_at, "missed_at": missed_at, "next_at": missed_at}
        await tx.execute(update(Clock).where(Clock.correction_id == UUID(found["correction_id"])).values(**begun, **moments))

    async def told(now: datetime) -> list[Event]:
        before = len(await exchange.outbox())
        async with exchange.sessions.begin() as tx:
            await clocks.tell_due(tx, now=now)
        return (await exchange.outbox())[before:]

    missed, officer = await told(utc_now() + timedelta(days=3))
    assert isinstance(missed, DeadlineMissed)
    assert isinstance(officer, DeadlineEscalated)
    assert (str(missed.correction_id), missed.organization.name, officer.level) == (
        found["correction_id"],
        "绍兴市民政局",
        "chief_data_officer",
    )
    [authority] = await told(utc_now() + timedelta(days=30))
    assert isinstance(authority, DeadlineEscalated)
    assert authority.level == "data_authority"


async def test_each_doubt_has_its_own_deadline_and_a_withdrawn_one_owes_nothing(exchange: Any) -> None:
    _, _, grant = await lent(exchange)
    first, second = await filed(exchange, grant), await filed(exchange, grant)
    gone = await post(exchange, f"corrections/{first['correction_id']}/withdrawal", exchange.requester, reason="系本单位数据未更新")
    assert (gone.status_code, gone.json()["state"], gone.json()["standing"]) == (201, "withdrawn", "stopped")
    [owed] = (await seen(exchange, "clocks?owed=true", exchange.provider)).json()["items"]
    assert owed["correction_id"] == second["correction_id"]
    assert (await seen(exchange, f"corrections/{second['correction_id']}")).json()["standing"] == "running"
    assert isinstance((await said(exchange))[-1], CorrectionWithdrawn)
    again = await post(exchange, f"corrections/{first['correction_id']}/answer", exchange.provider, **REJECTED)
    assert again.status_code == 409


async def test_a_doubt_is_its_two_sides_and_the_authoritys_to_see_and_each_does_its_own_part(exchange: Any) -> None:
    _, _, grant = await lent(exchange)
    stranger = await post(exchange, f"grants/{grant['grant_id']}/corrections", exchange.stranger, **DOUBT)
    provider = await post(exchange, f"grants/{grant['grant_id']}/corrections", exchange.provider, **DOUBT)
    assert (stranger.status_code, provider.status_code) == (404, 404)
    found = await filed(exchange, grant)
    one = f"corrections/{found['correction_id']}"
    assert [(await seen(exchange, one, who)).status_code for who in (exchange.requester, exchange.provider, None, exchange.stranger)] == [
        200,
        200,
        200,
        404,
    ]
    assert [len((await seen(exchange, "corrections", who)).json()["items"]) for who in (exchange.requester, exchange.stranger)] == [1, 0]
    assert (await post(exchange, f"{one}/answer", exchange.requester, **REJECTED)).status_code == 404
    assert (await post(exchange, f"{one}/withdrawal", exchange.provider, reason="x")).status_code == 404
    assert (await seen(exchange, "corrections?state=rejected")).json()["items"] == []


@pytest.mark.parametrize(("state", "status"), [("terminated", 201), ("disposed", 409), ("delivering", 409)])
async def test_what_was_read_can_be_doubted_until_it_is_disposed_of(exchange: Any, state: str, status: int) -> None:
    resource = await exchange.publish(sharing_type=SharingType.UNCONDITIONAL)
    if state != "delivering":
        await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    if state != "delivering":
        await post(exchange, f"grants/{grant['grant_id']}/termination", exchange.requester, reason="办结")
    if state == "disposed":
        disposal = {"what": "全部副本", "disposed_on": str(day_of(utc_now())), "how": "删除", "done_by": "管理员"}
        assert (await post(exchange, f"grants/{grant['grant_id']}/disposal", exchange.requester, **disposal)).status_code == 201
    answer = await post(exchange, f"grants/{grant['grant_id']}/corrections", exchange.requester, **DOUBT)
    assert answer.status_code == status, answer.text


async def test_of_two_answers_at_once_one_holds(exchange: Any) -> None:
    _, _, grant = await lent(exchange)
    one = f"corrections/{(await filed(exchange, grant))['correction_id']}"
    answers = await asyncio.gather(*(post(exchange, f"{one}/answer", exchange.provider, **REJECTED) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len(await said(exchange)) == 2
