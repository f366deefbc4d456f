"""What approved scenarios offer to the organizations they name, and accepting it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.catalog import SharingType
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.catalog_lists import ListEntryChanged, ListEntryEvent, ScenarioApproval, ScenarioData, ScenarioRequesters, ScenarioTerms
from dxmesh_schemas.exchange_offers import OfferEnded, OfferMade
from exchange_svc.offer import commands as offers

AT = datetime(2026, 11, 1, tzinfo=UTC)
AUTHORITY = ScenarioApproval(role="authority", approved_by="数据局局长", approved_at=AT)
CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
CLASS = "3/30/102"


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


def scenario(exchange: Any, **changes: Any) -> ListEntryEvent:
    """Return a scenario that names two departments, for every resource of a class; both sides approved it."""
    own = ScenarioApproval(
        role="provider", organization_id=exchange.provider.organization_id, approved_by="民政局首席数据官", approved_at=AT
    )
    said: dict[str, Any] = {
        "purposes": (UsePurpose.ADMINISTRATIVE_BASIS, UsePurpose.DATA_CHECKING),
        "requesters": ScenarioRequesters(organization_ids=(exchange.requester.organization_id, exchange.provider.organization_id)),
        "data": (ScenarioData(class_prefix=CLASS),),
        "valid_from": day_of(utc_now()) - timedelta(days=1),
        "valid_until": day_of(utc_now()) + timedelta(days=30),
    }
    fields: dict[str, Any] = {
        "entry_id": uuid7(),
        "kind": "scenario",
        "revision": 1,
        "owner": exchange.stranger,
        "name": "老年人优待证",
        "status": "in_progress",
        "scenario": ScenarioTerms.model_validate(said | changes.pop("terms", {})),
        "approvals": (AUTHORITY, own),
        "changed_at": AT,
        "changed_by": "数据局局长",
    }
    return ListEntryChanged(**fields | changes)


def again(entry: ListEntryEvent, **changes: Any) -> ListEntryEvent:
    return ListEntryChanged(**dict(entry) | {"revision": entry.revision + 1} | changes)


async def follow(exchange: Any, now: datetime | None = None) -> int:
    async with exchange.sessions.begin() as tx:
        return await offers.follow(tx, now=now or utc_now())


async def said(exchange: Any, kind: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kind)]


async def offered(exchange: Any, by: Any, **query: Any) -> Any:
    headers = exchange.authority if by is None else exchange.steward(by)
    return (await exchange.client.get("/v1/offers", params=query, headers=headers)).json()["items"]


async def accept(exchange: Any, offer: Any, by: Any = None, **more: Any) -> Any:
    headers = exchange.steward(by or exchange.requester)
    return await exchange.client.post(
        f"/v1/offers/{offer['offer_id']}/acceptance", json={"approved_by": "卫健委主任"} | more, headers=headers
    )


async def test_what_a_scenario_covers_is_offered_to_whom_it_names_and_accepted_with_one_call(exchange: Any) -> None:
    entry = scenario(exchange)
    await exchange.deliver(entry)
    assert await follow(exchange) == 0
    resource = await exchange.publish(**CONDITIONAL, class_path=f"{CLASS}/1")
    await exchange.publish(**CONDITIONAL, class_path="3/30/1025")
    assert (await follow(exchange), await follow(exchange)) == (1, 0), "told once"
    [made] = await said(exchange, OfferMade)
    assert (made.resource_id, made.requester, made.provider) == (resource.resource_id, exchange.requester, exchange.provider)
    [offer] = await offered(exchange, exchange.requester)
    assert (offer["offer_id"], offer["items"], offer["resource"]) == (str(made.offer_id), ["code", "name", "people", "since"], "街道")
    assert await offered(exchange, exchange.provider) == await offered(exchange, exchange.stranger) == []
    assert len(await offered(exchange, None)) == 1
    foreign = await accept(exchange, offer, exchange.stranger)
    assert (foreign.status_code, slug(foreign)) == (404, "offer-not-found")
    answer = await accept(exchange, offer)
    request = answer.json()
    assert (answer.status_code, request["state"], request["items"]) == (201, "granted", offer["items"]), answer.text
    assert (request["scenario"], request["use_purpose"], request["approved_by"]) == ("老年人优待证", "ADMINISTRATIVE_BASIS", "卫健委主任")
    for part in ("政务数据共享条例第二十条", "老年人优待证", "数据局局长、民政局首席数据官批准"):
        assert part in request["legal_basis"]
    second = await accept(exchange, offer)
    assert (second.status_code, slug(second), request["request_id"] in second.json()["detail"]) == (409, "offer-over", True)
    assert (await follow(exchange), await offered(exchange, exchange.requester)) == (0, [])
    await exchange.expire(request["grant_id"])
    assert await follow(exchange) == 0, "what was accepted is not offered again"
    [over] = await offered(exchange, exchange.requester, over=True)
    [ended] = await said(exchange, OfferEnded)
    assert (over["request_id"], ended.outcome, str(ended.request_id)) == (request["request_id"], "accepted", request["request_id"])


async def test_less_may_be_accepted_for_another_of_the_purposes_and_what_is_wrong_leaves_the_offer_open(exchange: Any) -> None:
    await exchange.publish(**CONDITIONAL, class_path=CLASS)
    await exchange.deliver(scenario(exchange))
    await follow(exchange)
    [offer] = await offered(exchange, exchange.requester)
    for wrong in ({"items": ["nothing"]}, {"approved_by": ""}, {"use_until": "2020-01-01T00:00:00+08:00"}):
        assert (await accept(exchange, offer, **wrong)).status_code == 422
    taken = (await accept(exchange, offer, items=["name"], use_purpose="DATA_CHECKING", purpose="核对名称")).json()
    assert (taken["state"], taken["items"], taken["use_purpose"], taken["purpose"]) == ("granted", ["name"], "DATA_CHECKING", "核对名称")


async def test_offers_are_withdrawn_with_their_ground_and_come_again_with_it(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL, class_path=CLASS)
    entry = scenario(exchange)
    await exchange.deliver(entry)
    await follow(exchange)
    [offer] = await offered(exchange, exchange.requester)
    await exchange.deliver(again(entry, approvals=(AUTHORITY,)))
    refused = (await accept(exchange, offer)).json()
    assert (refused["state"], "has not approved the scenario" in refused["scenario_note"]) == ("under_review", True), "it is reviewed"
    other = again(again(entry, approvals=entry.approvals), entry_id=uuid7())
    await exchange.deliver(other)
    assert await follow(exchange) == 1
    steps = [
        (again(other, approvals=()), 1),
        (again(again(other)), 1),
        (again(again(again(other)), status="done"), 1),
        (again(again(again(again(other))), status="in_progress"), 1),
    ]
    for event, count in steps:
        await exchange.deliver(event)
        assert await follow(exchange) == count
    assert [one.outcome for one in await said(exchange, OfferEnded)] == ["accepted", "withdrawn", "withdrawn"]
    await exchange.withdraw(resource)
    assert (await follow(exchange), await offered(exchange, exchange.requester)) == (1, [])
    [gone] = [one for one in await offered(exchange, exchange.requester, over=True) if one["request_id"] is None]
    late = await accept(exchange, gone)
    assert (late.status_code, slug(late)) == (409, "offer-over")


async def test_an_offer_is_made_on_the_first_day_and_withdrawn_after_the_last(exchange: Any) -> None:
    await exchange.publish(**CONDITIONAL, class_path=CLASS)
    first = day_of(utc_now()) + timedelta(days=2)
    await exchange.deliver(scenario(exchange, terms={"valid_from": first, "valid_until": first}))
    counts = [await follow(exchange, begin_of(first + timedelta(days=days))) for days in (-1, 0, 0, 1)]
    assert counts == [0, 1, 0, 1]
    async with exchange.sessions() as tx:
        assert await offers.next_day(tx, now=begin_of(first) + timedelta(hours=9)) == begin_of(first + timedelta(days=1))


async def test_what_cannot_be_granted_at_once_or_is_had_already_is_not_offered(exchange: Any) -> None:
    base = await exchange.publish(class_path=CLASS)
    await exchange.publish(class_path=CLASS, is_important=True)
    await exchange.publish(class_path=CLASS, sharing_type=SharingType.NOT_SHARED)
    await exchange.granted(base)
    items = (base.items[0], base.items[1].model_copy(update={"data_level": 3}), *base.items[2:])
    partly = await exchange.publish(class_path=CLASS, items=items)
    await exchange.deliver(scenario(exchange))
    assert await follow(exchange) == 1
    [offer] = await offered(exchange, exchange.requester)
    assert (offer["resource_id"], offer["items"]) == (str(partly.resource_id), ["code", "people", "since"])
