"""Public utilities and social bodies whose licence or contract is missing or has lapsed."""

import asyncio
import json
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.grant.store import GrantInForce
from catalog_svc.mount.domain import MountKind
from catalog_svc.organization import commands, store
from catalog_svc.step.worker import put_due_in_force
from dxmesh_clocks.working_days import ZONE, day_of
from dxmesh_runtime.db import utc_now
from dxmesh_schemas.catalog_events import OrganizationPaperLapsed, ResourceReturned

PAPER = {"title": "特许经营许可", "number": "特许-7"}
KINDS = [("public_utility", "licence"), ("social_body", "contract")]


async def provider(node: Any, kind: str, paper: str | None, until: date | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    given = {paper: PAPER | {"valid_until": str(until) if until else None}} if paper else {}
    organization = await node.organization("供水公司", kind=kind, **given)
    return organization, await node.system(organization, "调度系统")


async def lapse(node: Any, organization: dict[str, Any], paper: str, until: date) -> None:
    """Let a paper end on a day, as if it had been entered long ago."""
    async with node.sessions.begin() as tx:
        row = await store.get(tx, UUID(organization["organization_id"]))
        setattr(row, paper, PAPER | {"valid_until": str(until)} | ({"shared_use": False} if paper == "contract" else {}))


async def step(node: Any, draft: dict[str, Any], what: str, headers: dict[str, str], **body: Any) -> Any:
    return await node.client.post(f"/v1/resources/{draft['resource_id']}/{what}", json=body, headers=headers)


@pytest.mark.parametrize(("kind", "paper"), KINDS)
async def test_nothing_of_a_provider_comes_in_force_while_its_paper_is_not_good(node: Any, is_problem: Any, kind: str, paper: str) -> None:
    organization, system = await provider(node, kind, None)
    draft = await node.resource(organization, system)
    refused = is_problem(await step(node, draft, "submission", node.steward(organization)), 409, "paper-not-good")
    assert [error["pointer"] for error in refused["errors"]] == [f"/provider/{paper}"]
    assert refused["organization_id"] == organization["organization_id"]
    assert "data authority" in refused["detail"]
    today = day_of(utc_now())
    await lapse(node, organization, paper, today)
    await node.put_in_force(draft, until="approval")
    await lapse(node, organization, paper, today - timedelta(days=1))
    refused = is_problem(await step(node, draft, "publish", node.authority), 409, "paper-not-good")
    assert [error["pointer"] for error in refused["errors"]] == [f"/provider/{paper}/valid_until"]
    assert str(today - timedelta(days=1)) in refused["detail"]
    await lapse(node, organization, paper, today + timedelta(days=1))
    published = await step(node, draft, "publish", node.authority)
    assert published.status_code == 200, "good through its last day"


async def test_what_is_in_force_stays_and_can_be_withdrawn_when_the_paper_lapses(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await provider(node, "public_utility", "licence")
    made = await node.published(organization, system)
    await lapse(node, organization, "licence", date(2026, 1, 31))
    path, steward = f"/v1/resources/{made['resource_id']}", node.steward(organization)
    assert (await node.client.get(path, headers=node.headers(None))).json()["state"] == "published"
    assert (await node.client.put(f"{path}/mount", json={"kind": MountKind.REPLICA}, headers=steward)).status_code == 200
    assert (await node.client.put(path, json=good_entry(system, summary="改"), headers=steward)).status_code == 200, (
        "a draft may be written"
    )
    is_problem(await step(node, made, "submission", steward), 409, "paper-not-good")
    lines = json.dumps(good_entry(system, name="另一项"))
    headers = steward | {"Content-Type": "application/x-ndjson"}
    answer = await node.client.post("/v1/resources/import", params={"until": "submitted"}, content=lines, headers=headers)
    [told] = answer.json()["rows"]
    assert (told["outcome"], told["slug"], told["errors"][0]["pointer"]) == (
        "refused",
        "paper-not-good",
        "/provider/licence/valid_until",
    )
    assert (await step(node, made, "withdrawal", steward, reason="许可到期")).status_code == 200


async def test_an_announced_version_goes_back_when_the_paper_lapsed_during_its_notice(node: Any, good_entry: Any, good_item: Any) -> None:
    organization, system = await provider(node, "public_utility", "licence")
    made = await node.published(organization, system, items=[good_item("a"), good_item("b")], key=[])
    async with node.sessions.begin() as tx:
        tx.add(
            GrantInForce(
                grant_id=UUID(int=1),
                resource_id=UUID(made["resource_id"]),
                requester_id=UUID(int=2),
                requester_name="x",
                items=["b"],
                activated_at=utc_now(),
                use_until=None,
            )
        )
    path = f"/v1/resources/{made['resource_id']}"
    changed = await node.client.put(path, json=good_entry(system, items=[good_item("a")], key=[]), headers=node.steward(organization))
    assert changed.status_code == 200, changed.text
    announced = await node.put_in_force(changed.json())
    assert announced["draft_state"] == "announced"
    await lapse(node, organization, "licence", day_of(utc_now()))
    later = utc_now() + timedelta(days=40)
    assert await put_due_in_force(node.sessions, public_url="http://x", now=later) == 1
    found = (await node.client.get(path, headers=node.steward(organization))).json()
    assert (found["version"], found["draft_state"]) == (1, "draft")
    steps = (await node.client.get(f"{path}/steps", headers=node.authority)).json()["items"]
    assert [fault["pointer"] for fault in steps[-1]["faults"]] == ["/provider/licence/valid_until"]
    assert any(isinstance(event, ResourceReturned) and event.was_announced for event in await node.events())


async def test_a_lapsed_paper_is_told_once_and_its_successor_again_when_that_lapses(node: Any) -> None:
    department = await node.organization()
    assert department["kind"] == "department"
    water, _ = await provider(node, "public_utility", "licence", date(2099, 3, 31))
    await node.organization("数据协会", kind="social_body", contract=PAPER | {"valid_until": "2099-05-31"})
    await node.organization("商会", kind="social_body")
    midnight = datetime(2099, 4, 1, tzinfo=ZONE)

    async def tell(now: datetime) -> int:
        async with node.sessions.begin() as tx:
            return await commands.tell_lapsed(tx, now)

    assert await tell(midnight - timedelta(seconds=1)) == 0, "good through its last day in China"
    assert sorted(await asyncio.gather(tell(midnight), tell(midnight))) == [0, 1]
    assert await tell(midnight + timedelta(days=30)) == 0
    await lapse(node, water, "licence", date(2099, 4, 30))
    assert await tell(midnight + timedelta(days=90)) == 2, "the next licence, and the contract of the other"
    told = [event for event in await node.events() if isinstance(event, OrganizationPaperLapsed)]
    assert [(event.name, event.paper, event.valid_until) for event in told] == [
        ("供水公司", "licence", date(2099, 3, 31)),
        ("供水公司", "licence", date(2099, 4, 30)),
        ("数据协会", "contract", date(2099, 5, 31)),
    ]


async def test_missing_and_lapsed_papers_are_reported_with_what_comes_from_their_providers(node: Any, is_problem: Any) -> None:
    await node.organization()
    water, system = await provider(node, "public_utility", "licence")
    await node.published(water, system)
    await lapse(node, water, "licence", day_of(utc_now()) - timedelta(days=3))
    await node.organization("商会", kind="social_body")
    await node.organization("燃气公司", kind="public_utility", licence=PAPER)
    answer = await node.client.get("/v1/reports/lapsed-papers", headers=node.authority)
    found = answer.json()
    assert found["summary"] == {"missing_count": 1, "lapsed_count": 1, "resource_count": 1}
    assert [
        (row["organization_name"], row["paper"], row["standing"], row["lapsed_days"], row["resource_count"]) for row in found["rows"]
    ] == [
        ("供水公司", "licence", "lapsed", 3, 1),
        ("商会", "contract", "missing", None, 0),
    ]
    own = await node.client.get("/v1/reports/lapsed-papers", headers=node.steward(water))
    assert len(own.json()["rows"]) == 1
    is_problem(await node.client.get("/v1/reports/lapsed-papers", headers=node.headers(None)), 403)
