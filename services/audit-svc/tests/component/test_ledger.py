"""The ledger: fed in any order, it adds up, or says that it does not."""

import itertools
from datetime import UTC, datetime
from uuid import UUID

import pytest

from dxmesh_runtime.db import uuid7
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.exchange import (
    BatchAccepted,
    BatchKind,
    BatchReceived,
    BatchRejected,
    DeliveryCompleted,
    DispatchOrdered,
    ObjectRef,
    ViewSnapshot,
)

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
PROVIDER = OrganizationRef(organization_id=UUID(int=0xA), uscc="x", name="民政局", division_code="110000")
RESOURCE = UUID(int=0xF)
VIEWS = (UUID(int=0x1), UUID(int=0x2))


def ref(rows):
    return ObjectRef(key="k", sha256="s", byte_count=1, row_count=rows)


def common(batch_id, provider=PROVIDER):
    return {"resource_id": RESOURCE, "batch_id": batch_id, "resource_version": 1, "provider": provider, "kind": BatchKind.APPEND}


def received(batch_id, count, **more):
    return BatchReceived(
        **common(batch_id, **more),
        received_at=NOW,
        body_sha256="x",
        body_byte_count=9,
        media_type="text/csv",
        received_count=count,
        rows=ref(count),
    )


def accepted(batch_id, count, quarantined=0, views=VIEWS, **more):
    return BatchAccepted(
        **common(batch_id, **more),
        sequence=1,
        accepted_at=NOW,
        received_count=count + quarantined,
        accepted_count=count,
        quarantined_count=quarantined,
        rows=ref(count),
        view_ids=views,
    )


def rejected(batch_id, count, **more):
    return BatchRejected(
        **common(batch_id, **more), rejected_at=NOW, received_count=count, rejected_count=count, reason="too many bad rows"
    )


def ordered(batch_id, count, views=VIEWS):
    return DispatchOrdered(
        resource_id=RESOURCE,
        batch_id=batch_id,
        sequence=1,
        kind=BatchKind.APPEND,
        rows=ref(count),
        ordered_at=NOW,
        views=tuple(
            ViewSnapshot(
                view_id=view, resource_id=RESOURCE, resource_version=1, items=("a",), key=(), topic=f"dxmesh.view.{view}", schema_url="u"
            )
            for view in views
        ),
    )


def delivered(batch_id, count, view=VIEWS[0], *, of=None, withheld=0, filtered=0, vanished=0):
    return DeliveryCompleted(
        resource_id=RESOURCE,
        batch_id=batch_id,
        sequence=1,
        view_id=view,
        topic=f"dxmesh.view.{view}",
        ranges=((0, 0, count),),
        accepted_count=count if of is None else of,
        delivered_count=count,
        withheld_count=withheld,
        filtered_count=filtered,
        vanished_count=vanished,
        sha256="x",
        completed_at=NOW,
    )


ZERO = dict.fromkeys(
    (
        "received",
        "accepted",
        "quarantined",
        "rejected",
        "undecided",
        "ordered",
        "delivered",
        "withheld",
        "filtered",
        "vanished",
        "in_flight",
        "unbalanced_batches",
    ),
    0,
)


async def totals(client, headers):
    answer = await client.get("/v1/ledger", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_empty_ledger_is_balanced(client, auditor):
    assert await totals(client, auditor) == ZERO | {"balanced": True}


async def test_rows_are_followed_from_receipt_to_delivery(log, client, auditor):
    one, two = uuid7(), uuid7()
    await log.record(received(one, 100), received(two, 7))
    assert await totals(client, auditor) == ZERO | {"received": 107, "undecided": 107, "balanced": True}
    await log.record(accepted(one, 90, 10), ordered(one, 90))
    expected = ZERO | {
        "received": 107,
        "undecided": 7,
        "accepted": 90,
        "quarantined": 10,
        "ordered": 180,
        "in_flight": 180,
        "balanced": True,
    }
    assert await totals(client, auditor) == expected
    await log.record(rejected(two, 7), delivered(one, 90))
    expected |= {"undecided": 0, "rejected": 7, "delivered": 90, "in_flight": 90}
    assert await totals(client, auditor) == expected
    found = (await client.get(f"/v1/ledger/batches/{one}", headers=auditor)).json()
    assert (found["state"], found["received_count"], found["accepted_count"], found["quarantined_count"], found["rejected_count"]) == (
        "accepted", 100, 90, 10, None,
    )  # fmt: skip
    assert [(item["view_id"], item["ordered_count"], item["delivered_count"], item["in_flight_count"]) for item in found["deliveries"]] == [
        (str(VIEWS[0]), 90, 90, 0),
        (str(VIEWS[1]), 90, None, 90),
    ]
    assert found["balanced"] is True


async def test_any_order_of_arrival_gives_the_same_ledger(log, client, auditor):
    batches, orders = [], []
    for order in itertools.permutations(range(5)):
        batch = uuid7()
        batches.append(batch)
        events = [received(batch, 12), accepted(batch, 9, 3), ordered(batch, 9), delivered(batch, 9), delivered(batch, 9, VIEWS[1])]
        orders.append([events[place] for place in order])
    for together in zip(*orders, strict=True):  # every event of a batch in a transaction of its own
        await log.record(*together)
    count = len(batches)
    assert await totals(client, auditor) == ZERO | {
        "received": 12 * count,
        "accepted": 9 * count,
        "quarantined": 3 * count,
        "ordered": 18 * count,
        "delivered": 18 * count,
        "balanced": True,
    }
    answers = [(await client.get(f"/v1/ledger/batches/{batch}", headers=auditor)).json() | {"batch_id": ""} for batch in batches]
    assert all(answer == answers[0] for answer in answers)


async def test_rows_that_are_withheld_from_a_coming_version_add_up(log, client, auditor):
    batch = uuid7()
    await log.record(received(batch, 9), accepted(batch, 9), ordered(batch, 9), delivered(batch, 9))
    await log.record(delivered(batch, 7, VIEWS[1], of=9, withheld=1, filtered=1, vanished=4))
    expected = {"received": 9, "accepted": 9, "ordered": 18, "delivered": 16, "withheld": 1, "filtered": 1, "vanished": 4}
    assert await totals(client, auditor) == ZERO | expected | {"balanced": True}
    found = (await client.get(f"/v1/ledger/batches/{batch}", headers=auditor)).json()
    counts = [(one["delivered_count"], one["withheld_count"], one["vanished_count"]) for one in found["deliveries"]]
    assert counts == [(9, 0, 0), (7, 1, 4)], "what vanished is told beside the rows, and no part of the sum"
    assert found["balanced"] is True


async def test_a_rejected_batch_and_a_batch_seen_only_by_its_decision_add_up(log, client, auditor):
    one, two = uuid7(), uuid7()
    await log.record(rejected(one, 5), accepted(two, 4, 1, views=()), received(one, 5))
    assert await totals(client, auditor) == ZERO | {"received": 10, "accepted": 4, "quarantined": 1, "rejected": 5, "balanced": True}


async def test_repeated_deliveries_and_dispatches_are_counted_once(log, client, auditor):
    batch = uuid7()
    await log.record(received(batch, 3), accepted(batch, 3), ordered(batch, 3), ordered(batch, 3), delivered(batch, 3), delivered(batch, 3))
    await log.record(delivered(batch, 3), ordered(batch, 3))
    found = await totals(client, auditor)
    assert (found["ordered"], found["delivered"], found["in_flight"], found["balanced"]) == (6, 3, 3, True)


@pytest.mark.parametrize(
    "events",
    [
        lambda b: [received(b, 100), accepted(b, 90, 9)],
        lambda b: [received(b, 100), rejected(b, 99)],
        lambda b: [received(b, 100), accepted(b, 100), rejected(b, 100)],
        lambda b: [received(b, 10), accepted(b, 10), ordered(b, 9)],
        lambda b: [received(b, 10), accepted(b, 10), ordered(b, 10), delivered(b, 9, of=10)],
        lambda b: [received(b, 10), accepted(b, 10), ordered(b, 10), delivered(b, 11)],
        lambda b: [received(b, 10), accepted(b, 10), ordered(b, 10), delivered(b, 9, of=10, withheld=2)],
        lambda b: [received(b, 10), rejected(b, 10), ordered(b, 10)],
    ],
)
async def test_what_does_not_add_up_is_said(log, client, auditor, events):
    good, bad = uuid7(), uuid7()
    await log.record(received(good, 1), accepted(good, 1), *events(bad))
    found = await totals(client, auditor)
    assert (found["balanced"], found["unbalanced_batches"]) == (False, 1)
    assert (await client.get(f"/v1/ledger/batches/{bad}", headers=auditor)).json()["balanced"] is False
    assert (await client.get(f"/v1/ledger/batches/{good}", headers=auditor)).json()["balanced"] is True


async def test_a_department_sees_its_own_batches_and_no_others(log, client, steward, auditor, tokens):
    other = PROVIDER.model_copy(update={"organization_id": UUID(int=0xB)})
    own, foreign = uuid7(), uuid7()
    await log.record(received(own, 3), received(foreign, 4, provider=other), ordered(own, 3), ordered(foreign, 4))
    assert (await totals(client, steward(UUID(int=0xA))))["received"] == 3
    assert (await totals(client, steward(UUID(int=0xA))))["ordered"] == 6
    assert (await totals(client, tokens.issue(None, "operator")))["received"] == 7
    assert (await client.get(f"/v1/ledger/batches/{own}", headers=steward(UUID(int=0xA)))).status_code == 200
    for batch in (foreign, uuid7()):
        answer = await client.get(f"/v1/ledger/batches/{batch}", headers=steward(UUID(int=0xA)))
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/no-such-batch")
    assert (await client.get("/v1/ledger", headers=tokens.issue(None, "steward"))).status_code == 403
    assert (await client.get("/v1/ledger")).status_code == 401
    assert (await client.get(f"/v1/ledger/batches/{own}")).status_code == 401
    assert (await client.get("/v1/ledger/batches/x", headers=auditor)).status_code == 422


async def test_a_delivery_receipt_is_for_the_provider_of_its_batch_too(log, client, steward):
    batch = uuid7()
    await log.record(received(batch, 3), accepted(batch, 3))
    meta = await log.record(delivered(batch, 3))
    await log.record_many()
    assert (await client.get(f"/v1/receipts/{meta.event_id}", headers=steward(UUID(int=0xA)))).status_code == 200
    assert (await client.get(f"/v1/receipts/{meta.event_id}", headers=steward(UUID(int=0xB)))).status_code == 404
