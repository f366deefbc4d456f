"""Demands: kept as the catalogue tells them, met with what is published, asked by, and how long that takes."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import DataItem, DataType, SharingType
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEnded, ListEntryEntered, ListEntryEvent
from dxmesh_schemas.exchange import DeliveryCompleted, RequestSubmitted
from exchange_svc.delivery import consumers as deliveries

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
PAPERS = {"legal_basis": "政务数据共享条例第二十条", "approved_by": "卫健委主任"}


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


def demand(exchange: Any, of: type[ListEntryEvent] = ListEntryEntered, **changes: Any) -> ListEntryEvent:
    fields: dict[str, Any] = {
        "entry_id": uuid7(),
        "kind": "demand",
        "revision": 1,
        "owner": exchange.requester,
        "name": "街道办事处名录",
        "content": "需要名称、设立日期",
        "status": "pending",
        "changed_at": utc_now() - timedelta(hours=3),
        "changed_by": "steward",
    }
    return of(**fields | changes)


async def get(exchange: Any, path: str, by: Any = None, **query: Any) -> Any:
    headers = exchange.authority if by is None else exchange.steward(by)
    return await exchange.client.get(f"/v1/{path}", params=query, headers=headers)


async def asked(exchange: Any, entry: ListEntryEvent, resource: Any, by: Any = None, **more: Any) -> Any:
    body = PAPERS | {"resource_id": str(resource.resource_id)} | more
    path = f"/v1/demands/{entry.entry_id}/requests"
    return await exchange.client.post(path, json=body, headers=exchange.steward(by or exchange.requester))


async def test_demands_are_read_by_everyone_and_found_by_owner_counterpart_and_end(exchange: Any) -> None:
    first = demand(exchange, changed_at=utc_now() - timedelta(days=1))
    other = demand(exchange, owner=exchange.stranger, counterpart=exchange.provider, name="水库")
    await exchange.deliver(first, other, demand(exchange, kind="duty"), demand(exchange, kind="negative"))
    await exchange.deliver(demand(exchange, ListEntryEnded, entry_id=first.entry_id, revision=3, status="done"))
    await exchange.deliver(demand(exchange, ListEntryChanged, entry_id=first.entry_id, revision=2, status="in_progress"))

    async def found(**query: Any) -> list[str]:
        return [one["name"] for one in (await get(exchange, "demands", exchange.stranger, **query)).json()["items"]]

    assert await found() == ["水库", "街道办事处名录"]
    assert await found(owner=first.owner.organization_id) == await found(over=True) == ["街道办事处名录"]
    assert await found(counterpart=exchange.provider.organization_id) == await found(over=False) == ["水库"]
    page = (await get(exchange, "demands", limit=1)).json()
    assert [one["name"] for one in (await get(exchange, "demands", limit=1, cursor=page["next_cursor"])).json()["items"]] == [
        "街道办事处名录"
    ]
    one = (await get(exchange, f"demands/{first.entry_id}")).json()
    assert (one["status"], one["request_ids"]) == ("done", [])
    assert datetime.fromisoformat(one["entered_at"]) == first.changed_at, "it was entered when its first revision says"
    for path in (f"demands/{uuid7()}", f"demands/{uuid7()}/matches"):
        missing = await get(exchange, path)
        assert (missing.status_code, slug(missing)) == (404, "demand-not-found")


async def test_a_demand_finds_what_is_published_here_and_no_more_once_it_is_withdrawn(exchange: Any) -> None:
    entry = demand(exchange)
    await exchange.deliver(entry)

    async def found() -> list[tuple[str, list[str]]]:
        answer = await get(exchange, f"demands/{entry.entry_id}/matches", exchange.stranger)
        assert answer.status_code == 200, answer.text
        return [(one["resource_id"], one["items"]) for one in answer.json()["items"]]

    assert await found() == []
    resource = await exchange.publish()
    await exchange.publish(name="地下管网", items=(DataItem(code="pipe", name="管径", data_type=DataType.TEXT),), key=())
    await exchange.publish(name="街道办事处", sharing_type=SharingType.NOT_SHARED)
    await exchange.publish(name="街道办事处", provider=exchange.requester)
    assert await found() == [(str(resource.resource_id), ["since", "name"])]
    await exchange.publish(resource_id=resource.resource_id, version=2, items=resource.items[:2])
    assert await found() == [(str(resource.resource_id), ["name"])]
    await exchange.withdraw(resource)
    assert await found() == []


async def test_a_demand_becomes_a_request_with_one_call(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = demand(exchange, resource_id=resource.resource_id, items=("code", "name"))
    await exchange.deliver(entry)
    answer = await asked(exchange, entry, resource)
    request = answer.json()
    assert (answer.status_code, request["state"], request["items"]) == (201, "under_review", ["code", "name"]), answer.text
    assert (request["scenario"], request["purpose"], request["demand_id"]) == ("街道办事处名录", "需要名称、设立日期", str(entry.entry_id))
    [submitted] = [event for event in await exchange.outbox() if isinstance(event, RequestSubmitted)]
    assert submitted.demand_id == entry.entry_id
    whole = (await asked(exchange, entry, resource, items=["since"], purpose="别的")).json()
    assert (whole["items"], whole["purpose"]) == (["since"], "别的")
    one = (await get(exchange, f"demands/{entry.entry_id}", exchange.stranger)).json()
    assert one["request_ids"] == [request["request_id"], whole["request_id"]]


async def test_who_may_not_ask_by_a_demand_is_told_why(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry, over = demand(exchange), demand(exchange, ListEntryEnded, status="cancelled", revision=2)
    await exchange.deliver(entry, over)
    answers = [
        await asked(exchange, entry, resource, exchange.stranger),
        await asked(exchange, over, resource),
        await asked(exchange, demand(exchange), resource),
        await asked(exchange, entry, resource, demand_id=str(over.entry_id)),
        await asked(exchange, entry, resource, items=["nothing"]),
    ]
    assert [(one.status_code, slug(one)) for one in answers] == [
        (403, "not-your-demand"),
        (409, "demand-over"),
        (404, "demand-not-found"),
        (422, "entry-unknown"),
        (422, "items-unknown"),
    ]


async def test_a_request_answers_the_open_demand_for_its_resource(exchange: Any) -> None:
    resource, other = await exchange.publish(), await exchange.publish()
    entry = demand(exchange, resource_id=resource.resource_id)
    await exchange.deliver(entry, demand(exchange, resource_id=resource.resource_id, owner=exchange.stranger))
    assert (await exchange.ask(resource)).json()["demand_id"] == str(entry.entry_id)
    assert (await exchange.ask(other)).json()["demand_id"] is None
    await exchange.deliver(
        demand(exchange, ListEntryEnded, entry_id=entry.entry_id, resource_id=resource.resource_id, revision=2, status="done")
    )
    assert (await exchange.ask(resource)).json()["demand_id"] is None


def delivered(request: Any, at: datetime, count: int = 3) -> DeliveryCompleted:
    return DeliveryCompleted(
        resource_id=UUID(request["resource_id"]),
        batch_id=uuid7(),
        sequence=1,
        view_id=UUID(request["view_id"]),
        topic="t",
        ranges=(),
        accepted_count=3,
        delivered_count=count,
        filtered_count=3 - count,
        sha256="",
        completed_at=at,
    )


async def test_response_times_are_told_by_provider_and_month(exchange: Any) -> None:
    resource = await exchange.publish()
    await exchange.deliver(demand(exchange, resource_id=resource.resource_id))
    grants = [await exchange.granted(resource), await exchange.granted(resource, by=exchange.stranger)]
    await exchange.ask(await exchange.publish(**CONDITIONAL, provider=exchange.stranger))
    start = utc_now()
    for count, minutes in ((0, 5), (3, 10), (3, 20)):
        await deliver(exchange.sessions, deliveries.HANDLERS, delivered(grants[0], start + timedelta(minutes=minutes), count))
    late = await exchange.granted(resource, items=None)
    assert late["topic"] == grants[0]["topic"]
    answer = await get(exchange, "reports/response-times")
    assert answer.status_code == 200, answer.text
    total, *lines = answer.json()["items"]
    assert (total["provider_id"], total["month"], total["request_count"]) == (None, None, 4)
    [own] = [line for line in lines if line["provider_id"] == str(exchange.provider.organization_id)]
    assert (own["provider"], own["month"], own["request_count"]) == (
        "绍兴市民政局",
        f"{start.astimezone(UTC) + timedelta(hours=8):%Y-%m}",
        3,
    )
    assert (own["demand_to_request_count"], own["request_to_answer_count"], own["answer_to_data_count"]) == (2, 3, 3)
    assert 10800 <= own["demand_to_request_median_seconds"] < 10900
    assert 590 <= own["answer_to_data_median_seconds"] <= 610, "the first delivery that brought rows, and at once on a topic that has some"
    [waiting] = [line for line in lines if line["provider_id"] == str(exchange.stranger.organization_id)]
    assert (waiting["request_to_answer_count"], waiting["request_to_answer_median_seconds"]) == (0, None)
    assert [line["request_count"] for line in (await get(exchange, "reports/response-times", exchange.stranger)).json()["items"]] == [1, 1]
    assert (await get(exchange, "reports/response-times", since="2999-01-01")).json()["items"][0]["request_count"] == 0
    shown = await get(exchange, "reports/response-times", format="csv")
    assert [row["request_count"] for row in csv.DictReader(io.StringIO(shown.text))] == [
        "4",
        *[str(line["request_count"]) for line in lines],
    ]
    assert slug(await get(exchange, "reports/response-times", format="parquet")) == "format-unsupported"
