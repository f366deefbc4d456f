"""What becomes of assessed batches: sequence, ledger, events, and what is no assessment of ours."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from dxmesh_runtime.db import uuid7
from dxmesh_runtime.testing import deliver, incoming
from dxmesh_schemas.exchange import BatchAccepted, BatchRejected, DispatchOrdered, ObjectRef
from dxmesh_schemas.problem import Problem
from dxmesh_schemas.quality import Outcome
from exchange_svc.batch import consumers
from exchange_svc.grant.store import list_open_rows
from exchange_svc.reader.store import CHANNEL as READERS


async def get(exchange: Any, batch_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await exchange.client.get(f"/v1/batches/{batch_id}", headers=exchange.steward(exchange.provider))).json()
    return found


async def test_an_accepted_batch_takes_the_next_sequence(exchange: Any) -> None:
    resource = await exchange.publish()
    made = [await exchange.pushed(resource.resource_id) for _ in range(3)]
    for batch in (made[2], made[0], made[1]):
        await exchange.accept(batch["batch_id"])
    found = [await get(exchange, batch["batch_id"]) for batch in made]
    assert [batch["sequence"] for batch in found] == [2, 3, 1], "in the order of the assessments"
    assert {(batch["state"], batch["accepted_count"], batch["quarantined_count"], batch["rejected_count"]) for batch in found} == {
        ("accepted", 3, 0, 0)
    }
    said = [event for event in await exchange.outbox() if isinstance(event, BatchAccepted)]
    assert [event.sequence for event in said] == [1, 2, 3]


async def test_assessments_that_wait_together_are_settled_together_and_once(exchange: Any) -> None:
    first, second = await exchange.publish(), await exchange.publish()
    made = [await exchange.pushed(resource.resource_id) for resource in (first, second, first, first)]
    events = [await exchange.assessment(batch["batch_id"]) for batch in made]
    again = await exchange.assessment(made[0]["batch_id"], Outcome.REJECT)
    await deliver(exchange.sessions, consumers.HANDLERS, *events, again)
    await deliver(exchange.sessions, consumers.HANDLERS, *events)
    said = [event for event in await exchange.outbox() if isinstance(event, BatchAccepted | BatchRejected)]
    assert [(event.resource_id, event.sequence) for event in said if isinstance(event, BatchAccepted)] == [
        (first.resource_id, 1),
        (second.resource_id, 1),
        (first.resource_id, 2),
        (first.resource_id, 3),
    ]
    assert len(said) == 4, "neither the repeat nor a second opinion has an effect"


async def test_a_partly_good_batch_keeps_both_parts(exchange: Any) -> None:
    resource = await exchange.publish()
    batch = await exchange.pushed(resource.resource_id, b"code,name,people\n1,a,many\n2,b,2\n3,c,3\n")
    event = await exchange.assessment(batch["batch_id"], Outcome.ACCEPT_PART)
    await exchange.deliver(event)
    found = await get(exchange, batch["batch_id"])
    assert (found["received_count"], found["accepted_count"], found["quarantined_count"], found["rejected_count"]) == (3, 2, 1, 0)
    said = next(event for event in await exchange.outbox() if isinstance(event, BatchAccepted))
    assert said.accepted_count + said.quarantined_count == said.received_count


async def test_a_rejected_batch_has_a_reason_and_no_sequence(exchange: Any) -> None:
    resource = await exchange.publish()
    batch = await exchange.pushed(resource.resource_id)
    reason = "every row lacks a name"
    await exchange.deliver(await exchange.assessment(batch["batch_id"], Outcome.REJECT, reason=reason))
    found = await get(exchange, batch["batch_id"])
    assert (found["state"], found["rejected_count"], found["accepted_count"], found["sequence"], found["reason"]) == (
        "rejected",
        3,
        0,
        None,
        reason,
    )
    said = [event for event in await exchange.outbox() if isinstance(event, BatchRejected)]
    assert [(event.rejected_count, event.reason) for event in said] == [(3, reason)]
    await exchange.accepted(resource.resource_id)
    assert [event.sequence for event in await exchange.outbox() if isinstance(event, BatchAccepted)] == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_id": UUID(int=77)},
        {"resource_id": UUID(int=78)},
        {"received_count": 4},
        {"quarantined_count": 1},
        {"accepted": ObjectRef(key="x", sha256="0", byte_count=1, row_count=2)},
    ],
)
async def test_an_assessment_that_does_not_fit_is_wrong_data_and_changes_nothing(exchange: Any, changes: dict[str, Any]) -> None:
    resource = await exchange.publish()
    batch = await exchange.pushed(resource.resource_id)
    before = await exchange.outbox()
    event = (await exchange.assessment(batch["batch_id"])).model_copy(update=changes)
    with pytest.raises(Problem) as wrong:
        await exchange.deliver(event)
    assert wrong.value.status < 500, "parked, not retried"
    assert await exchange.outbox() == before
    assert (await get(exchange, batch["batch_id"]))["state"] == "received"
    await exchange.accept(batch["batch_id"])
    assert (await get(exchange, batch["batch_id"]))["sequence"] == 1


async def test_the_dispatch_goes_on_in_the_trace_of_its_push(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.granted(resource)
    batch = await exchange.pushed(resource.resource_id)
    event = incoming(await exchange.assessment(batch["batch_id"]))
    await deliver(exchange.sessions, consumers.HANDLERS, event)
    order = next(event for event in await exchange.outbox() if isinstance(event, DispatchOrdered))
    assert (order.batch_id, order.sequence) == (UUID(batch["batch_id"]), 1)


async def test_bad_rows_are_paged_in_three_forms(exchange: Any) -> None:
    resource = await exchange.publish()
    lines = "".join(f"{n},a,many{n}\n" for n in range(1, 8))
    batch = await exchange.pushed(resource.resource_id, f"code,name,people\n{lines}".encode())
    url, who = f"/v1/batches/{batch['batch_id']}/quarantine", exchange.steward(exchange.provider)
    first = await exchange.client.get(url, params={"limit": 3}, headers=who)
    assert first.headers["next-cursor"] == first.json()["next_cursor"]
    event = await exchange.assessment(batch["batch_id"], Outcome.REJECT)
    await exchange.deliver(event)
    seen, cursor = first.json()["items"], first.json()["next_cursor"]
    while cursor:
        page = (await exchange.client.get(url, params={"limit": 3, "cursor": cursor}, headers=who)).json()
        seen, cursor = seen + page["items"], page["next_cursor"]
    assert [line["row"] for line in seen] == list(range(1, 8))
    assert set(seen[0]) == {"row", "item", "rule", "reason", "value", "record"}
    ndjson = await exchange.client.get(url, headers=who | {"Accept": "application/x-ndjson"})
    assert (ndjson.headers["content-type"], len(ndjson.text.splitlines())) == ("application/x-ndjson", 7)
    csv = await exchange.client.get(url, params={"format": "csv"}, headers=who)
    assert csv.text.lstrip("\ufeff").splitlines()[0] == "row,item,rule,reason,value,record"
    wrong = await exchange.client.get(url, params={"format": "parquet"}, headers=who)
    assert wrong.status_code == 422
    forged = await exchange.client.get(url, params={"cursor": str(uuid7())}, headers=who)
    assert forged.status_code == 422


async def test_a_good_batch_has_no_bad_rows(exchange: Any) -> None:
    resource = await exchange.publish()
    batch = await exchange.accepted(resource.resource_id)
    url = f"/v1/batches/{batch['batch_id']}/quarantine"
    assert (await exchange.client.get(url, headers=exchange.steward(exchange.provider))).json() == {"items": [], "next_cursor": None}


async def test_a_batch_closes_the_views_nobody_uses_and_wakes_nobody_while_all_are_used(exchange: Any) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]
    await exchange.accepted(resource.resource_id)
    heard: list[str] = []
    async with exchange.sessions() as tx:
        raw = (await (await tx.connection()).get_raw_connection()).driver_connection
        await raw.add_listener(READERS, lambda *said: heard.append(said[-1]))
        await exchange.accepted(resource.resource_id)
        async with exchange.sessions.begin() as other:
            await other.execute(select(func.pg_notify(READERS, "end")))
        async with asyncio.timeout(10):
            while not heard:
                await raw.execute("SELECT 1")
        assert heard == ["end"]
    await exchange.expire(grant_id)
    await exchange.accepted(resource.resource_id)
    async with exchange.sessions() as tx:
        assert not await list_open_rows(tx, resource.resource_id)
    orders = [event for event in await exchange.outbox() if isinstance(event, DispatchOrdered)]
    assert [order.sequence for order in orders] == [1, 2]
