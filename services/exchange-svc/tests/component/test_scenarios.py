"""Scenarios: an approved one grants what it covers in the same answer, and tells of its grants when it authorizes no more."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dxmesh_clocks.working_days import begin_of, day_of
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_schemas.catalog import Level, OrganizationKind, SharingType
from dxmesh_schemas.catalog_attributes import UsePurpose
from dxmesh_schemas.catalog_lists import (
    ListEntryChanged,
    ListEntryEnded,
    ListEntryEntered,
    ListEntryEvent,
    ScenarioApproval,
    ScenarioData,
    ScenarioRequesters,
    ScenarioTerms,
)
from dxmesh_schemas.exchange import GrantActivated, RequestGranted, RequestSubmitted
from dxmesh_schemas.exchange_sharing import GrantScenarioConfirmed, GrantScenarioLapsed
from dxmesh_schemas.exchange_terms import Drop, Narrowing

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}
AT = datetime(2026, 11, 1, tzinfo=UTC)
AUTHORITY = ScenarioApproval(role="authority", approved_by="数据局局长", approved_at=AT)
LAST = day_of(utc_now()) + timedelta(days=30)


def slug(answer: Any) -> str:
    return str(answer.json()["type"]).rsplit("/", 1)[1]


def scenario(exchange: Any, resource_id: UUID, *, revision: int = 2, of: type[ListEntryEvent] = ListEntryChanged, **changes: Any) -> Any:
    """Return an approved scenario as the catalogue tells it: every department of a city, for administrative use of the resource."""
    own = ScenarioApproval(
        role="provider", organization_id=exchange.provider.organization_id, approved_by="民政局首席数据官", approved_at=AT
    )
    said = {
        "purposes": (UsePurpose.ADMINISTRATIVE_BASIS,),
        "requesters": ScenarioRequesters(kinds=(OrganizationKind.DEPARTMENT,), levels=(Level.CITY,)),
        "data": (ScenarioData(resource_id=resource_id),),
        "valid_from": day_of(utc_now()) - timedelta(days=1),
        "valid_until": LAST,
    }
    fields: dict[str, Any] = {
        "entry_id": uuid7(),
        "kind": "scenario",
        "revision": revision,
        "owner": exchange.stranger,
        "name": "老年人优待证",
        "status": "in_progress",
        "scenario": ScenarioTerms.model_validate(said | changes.pop("terms", {})),
        "approvals": (AUTHORITY, own),
        "changed_at": AT,
        "changed_by": "数据局局长",
    }
    return of(**fields | changes)


def again(entry: ListEntryEvent, of: type[ListEntryEvent] = ListEntryChanged, **changes: Any) -> ListEntryEvent:
    """Return the entry's next revision."""
    return of(**dict(entry) | {"revision": entry.revision + 1} | changes)


async def ask(exchange: Any, resource: Any, entry: ListEntryEvent, **changes: Any) -> Any:
    return await exchange.ask(resource, scenario_id=str(entry.entry_id), **{"use_purpose": "ADMINISTRATIVE_BASIS"} | changes)


async def said(exchange: Any, *kinds: type) -> list[Any]:
    return [event for event in await exchange.outbox() if isinstance(event, kinds)]


async def listed(exchange: Any, headers: dict[str, str], **query: Any) -> Sequence[dict[str, Any]]:
    answer = await exchange.client.get("/v1/scenario-grants", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: Sequence[dict[str, Any]] = answer.json()["items"]
    return found


async def test_an_approved_scenario_grants_conditional_access_in_the_same_answer(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id)
    await exchange.deliver(entry)
    answer = await ask(exchange, resource, entry)
    request = answer.json()
    assert (answer.status_code, request["state"], request["decided_by"]) == (201, "granted", "民政局首席数据官"), answer.text
    assert (request["scenario_id"], request["use_purpose"], request["scenario_note"]) == (str(entry.entry_id), "ADMINISTRATIVE_BASIS", None)
    for part in ("老年人优待证", "revision 2", "数据局局长 for the data authority", "民政局首席数据官 for 绍兴市民政局", str(LAST)):
        assert part in request["reason"]
    assert datetime.fromisoformat(request["use_until"]) == begin_of(LAST + timedelta(days=1))
    submitted, granted, activated = await said(exchange, RequestSubmitted, RequestGranted, GrantActivated)
    assert (submitted.scenario_id, submitted.use_purpose) == (entry.entry_id, UsePurpose.ADMINISTRATIVE_BASIS)
    assert (granted.scenario_id, granted.decided_by, activated.use_until) == (
        entry.entry_id,
        "民政局首席数据官",
        begin_of(LAST + timedelta(days=1)),
    )
    for headers in (exchange.steward(exchange.requester), exchange.steward(exchange.provider), exchange.authority):
        [given] = await listed(exchange, headers, lapsed=False)
        assert (given["grant_id"], given["scenario"], given["lapsed_at"]) == (request["grant_id"], "老年人优待证", None)
    assert await listed(exchange, exchange.steward(exchange.stranger)) == []


async def test_what_the_scenario_does_not_cover_is_reviewed_and_the_answer_says_why(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id, approvals=(AUTHORITY,), terms={"data": (ScenarioData(class_prefix="2"),)})
    await exchange.deliver(entry)
    request = (await ask(exchange, resource, entry, use_purpose=None)).json()
    assert (request["state"], request["grant_id"]) == ("under_review", None)
    for part in ("绍兴市民政局, whose it is, has not approved", "names no use_purpose", "does not cover code, name, people, since"):
        assert part in request["scenario_note"]
    seen = await exchange.client.get(f"/v1/requests/{request['request_id']}", headers=exchange.steward(exchange.provider))
    assert seen.json()["scenario_note"] == request["scenario_note"]
    assert not await said(exchange, RequestGranted)


async def test_a_draft_is_granted_when_it_is_handed_in_by_what_the_scenario_says_then(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id, approvals=())
    await exchange.deliver(entry)
    drafts = [(await ask(exchange, resource, entry, approved_by=None)).json()["request_id"] for _ in range(2)]
    states = []
    for request_id in drafts:
        headers = exchange.steward(exchange.requester)
        await exchange.client.post(f"/v1/requests/{request_id}/approval", json={"approved_by": "局长"}, headers=headers)
        states.append((await exchange.client.post(f"/v1/requests/{request_id}/submission", headers=headers)).json()["state"])
        await exchange.deliver(again(entry, approvals=scenario(exchange, resource.resource_id).approvals))
    assert states == ["under_review", "granted"]


async def test_the_scenarios_masks_and_filter_hold_for_what_it_grants(exchange: Any) -> None:
    base = await exchange.publish(**CONDITIONAL)
    items = (base.items[0], base.items[1].model_copy(update={"data_level": 3}), *base.items[2:])
    resource = await exchange.publish(**CONDITIONAL, resource_id=base.resource_id, version=2, items=items)
    plain, masked = (
        scenario(exchange, resource.resource_id),
        scenario(exchange, resource.resource_id, terms={"terms": Narrowing(masks=(Drop(item="name", mask="drop"),))}),
    )
    await exchange.deliver(plain, masked)
    refused = (await ask(exchange, resource, plain)).json()
    assert (refused["state"], "name is of level 3" in refused["scenario_note"]) == ("under_review", True)
    granted = (await ask(exchange, resource, masked)).json()
    assert granted["state"] == "granted"
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    rows = await exchange.client.get(f"/v1/grants/{granted['grant_id']}/rows", headers=exchange.steward(exchange.requester))
    assert rows.json()["items"][0]["name"] is None


@pytest.mark.parametrize(
    ("name", "kind"), [("scenario_id", "demand"), ("demand_id", "scenario"), ("scenario_id", None), ("demand_id", None)]
)
async def test_an_entry_that_is_not_there_is_refused_by_name(exchange: Any, name: str, kind: str | None) -> None:
    resource = await exchange.publish()
    entry = scenario(exchange, resource.resource_id)
    if kind is not None:
        await exchange.deliver(ListEntryEntered(**dict(entry) | {"kind": kind, "owner": exchange.requester}))
    answer = await exchange.ask(resource, **{name: str(entry.entry_id)})
    assert (answer.status_code, slug(answer), [one["pointer"] for one in answer.json()["errors"]]) == (422, "entry-unknown", [f"/{name}"])


async def test_an_older_revision_never_wins_and_a_repeat_changes_nothing(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    approved = scenario(exchange, resource.resource_id, revision=3)
    taken_back = again(approved, approvals=())
    await exchange.deliver(taken_back, approved, taken_back, ListEntryEntered(**dict(approved) | {"revision": 1}))
    request = (await ask(exchange, resource, approved)).json()
    assert (request["state"], "the data authority has not approved" in request["scenario_note"]) == ("under_review", True)
    await exchange.deliver(again(taken_back, approvals=approved.approvals))
    assert (await ask(exchange, resource, approved)).json()["state"] == "granted"


@pytest.mark.parametrize(
    ("kind", "changes", "because"),
    [
        (ListEntryEnded, {"status": "done"}, "came to its end (done)"),
        (ListEntryChanged, {"approvals": (AUTHORITY,)}, "民政局首席数据官 (provider)"),
    ],
)
async def test_grants_whose_scenario_authorizes_no_more_are_told_once_and_go_on(
    exchange: Any, kind: type[ListEntryEvent], changes: dict[str, Any], because: str
) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id)
    await exchange.deliver(entry)
    granted, over = [(await ask(exchange, resource, entry)).json() for _ in range(2)]
    await exchange.expire(over["grant_id"])
    await exchange.deliver(again(entry, status="pending"))
    assert not await said(exchange, GrantScenarioLapsed), "how far it is takes nothing away"
    last = again(again(entry), kind, **changes)
    await exchange.deliver(last, last, again(last, name="别的"))
    [lapsed] = await said(exchange, GrantScenarioLapsed)
    assert (str(lapsed.grant_id), lapsed.provider, lapsed.scenario_id) == (granted["grant_id"], exchange.provider, entry.entry_id)
    assert because in lapsed.reason
    [shown] = await listed(exchange, exchange.steward(exchange.provider), lapsed=True)
    assert (shown["grant_id"], shown["lapse_reason"], shown["state"]) == (granted["grant_id"], lapsed.reason, "delivering")
    assert (await ask(exchange, resource, entry)).json()["state"] == "under_review", "and it grants nothing more"


async def test_a_provider_confirms_a_grant_whose_scenario_lapsed_once(exchange: Any) -> None:
    resource = await exchange.publish(**CONDITIONAL)
    entry = scenario(exchange, resource.resource_id)
    await exchange.deliver(entry)
    granted, over = [(await ask(exchange, resource, entry)).json()["grant_id"] for _ in range(2)]

    async def confirm(grant_id: str, by: Any) -> Any:
        body = {"approved_by": "民政局局长", "reason": "业务仍在办理"}
        return await exchange.client.post(f"/v1/scenario-grants/{grant_id}/confirmation", json=body, headers=exchange.steward(by))

    early = await confirm(granted, exchange.provider)
    assert (early.status_code, slug(early)) == (409, "scenario-grant-stands")
    await exchange.deliver(again(entry, approvals=(AUTHORITY,)))
    await exchange.expire(over)
    assert slug(await confirm(over, exchange.provider)) == "scenario-grant-stands"
    assert [(await confirm(granted, by)).status_code for by in (exchange.requester, exchange.stranger)] == [404, 404]
    done = await confirm(granted, exchange.provider)
    assert (done.status_code, done.json()["confirmed_by"], done.json()["confirmation_reason"]) == (201, "民政局局长", "业务仍在办理")
    assert slug(await confirm(granted, exchange.provider)) == "scenario-grant-stands"
    [confirmed] = await said(exchange, GrantScenarioConfirmed)
    assert (str(confirmed.grant_id), confirmed.scenario_id) == (granted, entry.entry_id)
    assert [one["grant_id"] for one in await listed(exchange, exchange.authority, lapsed=True)] == [over]
    assert [one["grant_id"] for one in await listed(exchange, exchange.authority, lapsed=False)] == [granted]
