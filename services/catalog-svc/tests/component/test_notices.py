"""Changes that break what grants rely on: shown, announced, and in force when the notice is over."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from catalog_svc.app import create_app
from catalog_svc.grant import store as grants
from catalog_svc.grant.consumers import HANDLERS
from catalog_svc.step.worker import put_due_in_force
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver, serving
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import ResourceChangeAnnounced, ResourceChanged, ResourceReturned
from dxmesh_schemas.exchange import GrantActivated, GrantMoved, GrantTerminated, ViewSnapshot
from dxmesh_schemas.exchange_sharing import GrantExpired, GrantTermsChanged
from dxmesh_schemas.exchange_terms import Terms

PUBLIC_URL = "http://catalog.test"


def activated(made: Any, requester: Any, *items: str, grant_id: UUID | None = None, use_until: datetime | None = None) -> GrantActivated:
    resource_id = UUID(made["resource_id"])
    view = ViewSnapshot(
        view_id=uuid4(),
        resource_id=resource_id,
        resource_version=1,
        items=items or ("street_code", "street_name", "households"),
        key=("street_code",),
        topic="dxmesh.view.x",
        schema_url=made["schema_url"],
    )
    ref = {name: requester[name] for name in OrganizationRef.model_fields}
    return GrantActivated(
        grant_id=grant_id or uuid4(),
        request_id=uuid4(),
        resource_id=resource_id,
        requester=OrganizationRef.model_validate(ref),
        view=view,
        use_until=use_until,
        activated_at=utc_now(),
    )


def terminated(event: GrantActivated) -> GrantTerminated:
    known = event.model_dump(include={"grant_id", "request_id", "resource_id", "requester"})
    return GrantTerminated(**known, reason="期满", terminated_at=utc_now())


async def redraft(node: Any, made: Any, body: Any) -> Any:
    answer = await node.client.put(f"/v1/resources/{made['resource_id']}", json=body, headers=node.steward(made["provider"]))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def used(node: Any) -> Any:
    """A published resource that another department reads."""
    organization, system = await node.provider()
    made = await node.published(organization, system)
    requester = await node.organization("乙局")
    event = activated(made, requester, "street_code", "households")
    await deliver(node.sessions, HANDLERS, event)
    return made, system, requester, event


def narrowed(good_entry: Any, system: Any, **changes: Any) -> Any:
    """The entry without the item `households`."""
    return good_entry(system, items=good_entry(system)["items"][:2], **changes)


async def kinds(node: Any, *wanted: type) -> list[Any]:
    return [event for event in await node.events() if isinstance(event, wanted)]


async def test_the_difference_of_two_versions_is_readable(node: Any, good_entry: Any, good_item: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    items = good_entry(system)["items"]
    items[0] |= {"length": 6}
    items[1] |= {"data_type": "M", "length": 90}
    items[2] = good_item("phone")
    await node.put_in_force(await redraft(node, made, good_entry(system, items=items, name="街道名录")))
    path = f"/v1/resources/{made['resource_id']}/versions"
    found = (await node.client.get(f"{path}/1/diff/2", headers=node.headers(None))).json()
    assert found["breaking"] is True
    assert {(item["code"], item["effect"], item["breaking"]) for item in found["items"]} == {
        ("street_code", "narrowed", True),
        ("street_name", "retyped", True),
        ("phone", "added", False),
        ("households", "removed", True),
    }
    [name] = [field for field in found["fields"] if field["field"] == "name"]
    assert (name["before"], name["after"], name["effect"]) == ("街道办事处名录", "街道名录", "changed")
    back = (await node.client.get(f"{path}/2/diff/1", headers=node.headers(None))).json()
    assert {item["code"]: item["effect"] for item in back["items"]}["street_code"] == "widened"
    same = (await node.client.get(f"{path}/2/diff/2", headers=node.headers(None))).json()
    assert same == {"breaking": False, "fields": [], "items": []}
    for wrong in ("1/diff/3", "3/diff/1"):
        is_problem(await node.client.get(f"{path}/{wrong}", headers=node.headers(None)), 404, "resource-not-found")
    is_problem(await node.client.get(f"{path}/0/diff/1", headers=node.headers(None)), 422)


async def test_a_draft_shows_what_it_breaks_and_whom(node: Any, used: Any, good_entry: Any, is_problem: Any) -> None:
    made, system, requester, event = used
    path = f"/v1/resources/{made['resource_id']}/draft/diff"
    is_problem(await node.client.get(path, headers=node.authority), 404, "resource-not-found")
    await redraft(node, made, narrowed(good_entry, system))
    found = (await node.client.get(path, headers=node.steward(made["provider"]))).json()
    assert (found["breaking"], found["notice_days"]) == (True, 30)
    assert found["grants"] == [
        {
            "grant_id": str(event.grant_id),
            "requester_id": requester["organization_id"],
            "requester_name": "乙局",
            "items": ["households"],
        }
    ]
    is_problem(await node.client.get(path, headers=node.steward(requester)), 404, "resource-not-found")


async def test_a_breaking_change_of_what_is_in_use_is_announced_and_comes_in_force_when_its_notice_is_over(
    node: Any, used: Any, good_entry: Any, is_problem: Any
) -> None:
    made, system, requester, event = used
    await redraft(node, made, narrowed(good_entry, system))
    announced = await node.put_in_force(made, reason="职责调整")
    assert (announced["state"], announced["draft_state"], announced["responsible_role"]) == ("published", "announced", "catalogue")
    assert (announced["version"], await kinds(node, ResourceChanged)) == (1, [])
    effective_at = datetime.fromisoformat(announced["effective_at"])
    assert timedelta(days=29, hours=23) < effective_at - utc_now() <= timedelta(days=30)
    [told] = await kinds(node, ResourceChangeAnnounced)
    assert (told.resource.version, told.effective_at, told.resource.published_at) == (2, effective_at, effective_at)
    assert (told.broken_items, [grant.grant_id for grant in told.grants]) == (("households",), [event.grant_id])
    assert not told.breaks_all
    path = f"/v1/resources/{made['resource_id']}"
    others = (await node.client.get(path, headers=node.steward(requester))).json()
    assert (len(others["items"]), others["has_draft"], others["effective_at"]) == (3, False, announced["effective_at"])
    seen = (await node.client.get(f"{path}/draft/diff", headers=node.steward(requester))).json()
    assert [grant["grant_id"] for grant in seen["grants"]] == [str(event.grant_id)]
    stranger = node.steward(await node.organization("丙局"))
    assert (await node.client.get(f"{path}/draft/diff", headers=stranger)).json()["grants"] == []

    early = effective_at - timedelta(seconds=1)
    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=early) == 0
    is_problem(await node.client.post(f"{path}/publish", headers=node.authority), 409, "illegal-transition")
    body = good_entry(system, summary="新")
    is_problem(await node.client.put(path, json=body, headers=node.steward(made["provider"])), 409, "illegal-transition")

    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=effective_at) == 1
    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=effective_at) == 0
    now = (await node.client.get(path, headers=node.headers(None))).json()
    assert (now["version"], len(now["items"]), now["effective_at"]) == (2, 2, None)
    [changed] = await kinds(node, ResourceChanged)
    assert changed.resource == told.resource
    steps = (await node.client.get(f"{path}/steps", headers=node.authority)).json()["items"][-2:]
    assert [(step["step"], step["role"], step["reason"]) for step in steps] == [
        ("announced", "authority", "职责调整"),
        ("published", "catalogue", None),
    ]
    assert steps[0]["grants"] == [str(event.grant_id)]


async def test_a_change_that_touches_no_grant_is_in_force_at_once(node: Any, used: Any, good_entry: Any) -> None:
    made, system, _, event = used
    items = good_entry(system)["items"]
    items[1] |= {"length": 30}  # narrower, and granted to nobody
    await redraft(node, made, good_entry(system, items=items))
    assert (await node.put_in_force(made))["version"] == 2
    await deliver(node.sessions, HANDLERS, terminated(event))
    await redraft(node, made, narrowed(good_entry, system))
    assert (await node.put_in_force(made))["version"] == 3
    assert await kinds(node, ResourceChangeAnnounced) == []


async def test_a_grant_whose_term_is_over_is_not_waited_for(node: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    requester = await node.organization("乙局")
    await deliver(node.sessions, HANDLERS, activated(made, requester, use_until=utc_now() - timedelta(seconds=1)))
    await redraft(node, made, narrowed(good_entry, system))
    assert (await node.put_in_force(made))["version"] == 2


async def test_stricter_sharing_touches_every_grant(node: Any, used: Any, good_entry: Any) -> None:
    made, system, _, event = used
    conditional = {
        "sharing_type": "CONDITIONAL",
        "sharing_condition": "限查验",
        "sharing_purposes": ["DATA_CHECKING"],
        "sharing_reason": "法规修订",
    }
    await redraft(node, made, good_entry(system, **conditional))
    assert (await node.put_in_force(made))["draft_state"] == "announced"
    [told] = await kinds(node, ResourceChangeAnnounced)
    assert [(grant.grant_id, grant.items) for grant in told.grants] == [(event.grant_id, ("street_code", "households"))]
    assert told.breaks_all


async def test_a_notice_may_be_longer_than_the_policy_and_not_shorter(node: Any, used: Any, good_entry: Any, is_problem: Any) -> None:
    made, system, _, _ = used
    await redraft(node, made, narrowed(good_entry, system))
    await node.put_in_force(made, "approval")
    path = f"/v1/resources/{made['resource_id']}/publish"
    for days in (0, 29):
        refused = is_problem(await node.client.post(path, json={"notice_days": days}, headers=node.authority), 422, "notice-too-short")
        assert [error["pointer"] for error in refused["errors"]] == ["/notice_days"]
    for wrong in (-1, 3651, "soon", 1.5):
        refused = is_problem(await node.client.post(path, json={"notice_days": wrong}, headers=node.authority), 422)
        assert [error["pointer"] for error in refused["errors"]] == ["/notice_days"]
    answer = (await node.client.post(path, json={"notice_days": 60}, headers=node.authority)).json()
    assert datetime.fromisoformat(answer["effective_at"]) - utc_now() > timedelta(days=59)


async def test_a_node_without_notice_publishes_at_once(node: Any, used: Any, good_entry: Any) -> None:
    made, system, _, _ = used
    policy = node.settings.resource.model_copy(update={"notice_days": 0})
    async with serving(create_app(node.settings.model_copy(update={"resource": policy}))) as client:
        node.client = client
        await redraft(node, made, narrowed(good_entry, system))
        assert (await node.put_in_force(made))["version"] == 2


async def test_an_announced_version_is_called_off_by_the_authority(node: Any, used: Any, good_entry: Any, is_problem: Any) -> None:
    made, system, requester, _ = used
    await redraft(node, made, narrowed(good_entry, system))
    announced = await node.put_in_force(made)
    path = f"/v1/resources/{made['resource_id']}/return"
    body = {"reason": "使用部门异议"}
    is_problem(await node.client.post(path, json=body, headers=node.steward(requester)), 403, "forbidden")
    back = (await node.client.post(path, json=body, headers=node.authority)).json()
    assert (back["draft_state"], back["effective_at"]) == ("draft", None)
    [event] = await kinds(node, ResourceReturned)
    assert event.was_announced
    due = datetime.fromisoformat(announced["effective_at"])
    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=due) == 0
    await redraft(node, made, good_entry(system))


async def test_an_announced_version_that_no_longer_keeps_the_rules_goes_back_with_its_faults(node: Any, used: Any, good_entry: Any) -> None:
    made, system, _, _ = used
    organization = made["provider"]
    await redraft(node, made, narrowed(good_entry, system, name="新名录"))
    announced = await node.put_in_force(made)
    await node.published(organization, system, name="新名录")
    due = datetime.fromisoformat(announced["effective_at"])
    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=due) == 1
    path = f"/v1/resources/{made['resource_id']}"
    now = (await node.client.get(path, headers=node.authority)).json()
    assert (now["version"], now["draft_state"], now["effective_at"]) == (1, "draft", None)
    last = (await node.client.get(f"{path}/steps", headers=node.authority)).json()["items"][-1]
    assert (last["step"], last["by"], last["role"]) == ("returned", "catalog-svc", "catalogue")
    assert [fault["pointer"] for fault in last["faults"]] == ["/name"]


async def test_a_withdrawn_resource_comes_not_back_in_force(node: Any, used: Any, good_entry: Any) -> None:
    made, system, _, _ = used
    await redraft(node, made, narrowed(good_entry, system))
    announced = await node.put_in_force(made)
    path = f"/v1/resources/{made['resource_id']}/withdrawal"
    gone = (await node.client.post(path, json={"reason": "x"}, headers=node.authority)).json()
    assert (gone["state"], gone["effective_at"], gone["has_draft"]) == ("withdrawn", None, False)
    due = datetime.fromisoformat(announced["effective_at"])
    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=due) == 0


async def test_a_grant_that_moved_reads_what_the_version_in_force_has(node: Any, used: Any) -> None:
    _, _, _, event = used
    known = event.model_dump(include={"grant_id", "request_id", "resource_id", "requester"})
    view = event.view.model_copy(update={"items": ("street_code",), "resource_version": 2})
    await deliver(node.sessions, HANDLERS, GrantMoved(**known, view=view, former_topic=event.view.topic, moved_at=utc_now()))
    async with node.sessions() as tx:
        [kept] = await grants.list_of(tx, event.resource_id, now=utc_now())
    assert kept.items == ["street_code"]


async def test_a_grant_with_other_terms_is_kept_as_it_reads_then_and_one_that_expired_is_forgotten(node: Any, used: Any) -> None:
    _, _, _, event = used
    known = event.model_dump(include={"grant_id", "request_id", "resource_id", "requester"})
    view = event.view.model_copy(update={"items": ("street_name",)})
    until = utc_now() + timedelta(days=2)
    changed = GrantTermsChanged(
        **known,
        view=view,
        terms=Terms(),
        former_topic=event.view.topic,
        use_until=until,
        reason="只限街道名称",
        changed_by="局长",
        changed_at=utc_now(),
    )
    await deliver(node.sessions, HANDLERS, changed)
    async with node.sessions() as tx:
        [kept] = await grants.list_of(tx, event.resource_id, now=utc_now())
    assert (kept.items, kept.use_until) == (["street_name"], until)
    await deliver(node.sessions, HANDLERS, GrantExpired(**known, use_until=until, expired_at=until))
    async with node.sessions() as tx:
        assert not await grants.list_of(tx, event.resource_id, now=utc_now())


async def test_grants_are_kept_while_they_are_in_force(node: Any, used: Any) -> None:
    made, _, requester, event = used
    narrower = activated(made, requester, "street_code", grant_id=event.grant_id)
    await deliver(node.sessions, HANDLERS, narrower)
    async with node.sessions() as tx:
        [kept] = await grants.list_of(tx, event.resource_id, now=utc_now())
        assert (kept.grant_id, kept.items, kept.requester_name) == (event.grant_id, ["street_code"], "乙局")
    for _ in range(2):
        await deliver(node.sessions, HANDLERS, terminated(event))
    async with node.sessions() as tx:
        assert list(await grants.list_of(tx, event.resource_id, now=utc_now())) == []
