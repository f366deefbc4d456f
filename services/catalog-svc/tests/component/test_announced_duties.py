"""Duties and notices: an announced version fulfils a duty on the day it is announced, and opens it again when it is called off."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from catalog_svc.duty import commands
from catalog_svc.duty.domain import Change
from catalog_svc.grant.consumers import HANDLERS
from catalog_svc.step.worker import put_due_in_force
from dxmesh_clocks.policy import regulation
from dxmesh_clocks.working_days import add, day_of
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_deadlines import DeadlineMissed
from dxmesh_schemas.exchange import GrantActivated, ViewSnapshot

PUBLIC_URL = "http://catalog.test"
AUTHORITY = Principal("authority", None, frozenset({"authority"}))


@pytest.fixture
async def used(node: Any) -> Any:
    """A published resource, its department and system; another department reads all of it."""
    organization, system = await node.provider()
    made = await node.published(organization, system)
    resource_id = UUID(made["resource_id"])
    requester = await node.organization("乙局")
    view = ViewSnapshot(
        view_id=uuid4(),
        resource_id=resource_id,
        resource_version=1,
        items=("street_code", "households"),
        key=("street_code",),
        topic="dxmesh.view.x",
        schema_url=made["schema_url"],
    )
    ref = OrganizationRef.model_validate({name: requester[name] for name in OrganizationRef.model_fields})
    ids = {"grant_id": uuid4(), "request_id": uuid4(), "resource_id": resource_id}
    await deliver(node.sessions, HANDLERS, GrantActivated(**ids, requester=ref, view=view, activated_at=utc_now()))
    return organization, system, made


async def owed(node: Any, *, changed_on: date | None = None, **about: Any) -> UUID:
    """Register a change of duties that happened today, or on another day; return the duty's id."""
    async with node.sessions.begin() as tx:
        given: dict[str, Any] = {"organization_id": None, "resource_id": None, "basis": None, "change": Change.DUTIES, "reason": "职责调整"}
        given |= {"changed_on": changed_on or day_of(utc_now()), "by": AUTHORITY, "now": utc_now()}
        return (await commands.register(tx, regulation(), **(given | about))).duty_id


async def announced(node: Any, made: Any, good_entry: Any, system: Any) -> Any:
    entry = good_entry(system, items=good_entry(system)["items"][:2])
    drafted = await node.client.put(f"/v1/resources/{made['resource_id']}", json=entry, headers=node.steward(made["provider"]))
    found = await node.put_in_force(drafted.json())
    assert found["draft_state"] == "announced"
    return found


async def shown(node: Any, duty_id: UUID) -> Any:
    return (await node.client.get(f"/v1/duties/{duty_id}", headers=node.authority)).json()


async def missed(node: Any, now: datetime) -> list[UUID]:
    async with node.sessions.begin() as tx:
        await commands.tell_due(tx, now=now)
    return [event.clock_id for event in await node.events() if isinstance(event, DeadlineMissed)]


async def test_a_duty_is_met_on_the_day_a_breaking_version_is_announced(node: Any, used: Any, good_entry: Any) -> None:
    _, system, made = used
    duty_id = await owed(node, resource_id=UUID(made["resource_id"]))
    effective_at = datetime.fromisoformat((await announced(node, made, good_entry, system))["effective_at"])
    met = await shown(node, duty_id)
    assert (met["state"], met["met_version"], met["steps"][-1]["reason"]) == ("met", 2, "version 2 is announced")
    assert day_of(effective_at) > add(day_of(utc_now()), 10), "the notice is longer than the term"
    assert await missed(node, effective_at) == []
    assert await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=effective_at) == 1
    assert [step["step"] for step in (await shown(node, duty_id))["steps"]] == ["registered", "answered"]
    assert await missed(node, effective_at + timedelta(days=60)) == []


async def test_announcing_after_the_day_is_late(node: Any, used: Any, good_entry: Any) -> None:
    _, system, made = used
    duty_id = await owed(node, resource_id=UUID(made["resource_id"]), changed_on=date(2026, 3, 2))
    await announced(node, made, good_entry, system)
    assert (await shown(node, duty_id))["state"] == "missed"
    assert await missed(node, utc_now()) == [duty_id]


async def test_a_duty_is_open_again_when_the_announced_version_is_called_off(node: Any, used: Any, good_entry: Any) -> None:
    _, system, made = used
    duty_id = await owed(node, resource_id=UUID(made["resource_id"]))
    due_on = (await shown(node, duty_id))["due_on"]
    await announced(node, made, good_entry, system)
    path = f"/v1/resources/{made['resource_id']}"
    assert (await node.client.post(f"{path}/return", json={"reason": "使用部门异议"}, headers=node.authority)).status_code == 200
    again = await shown(node, duty_id)
    assert (again["state"], again["due_on"], again["met_at"], again["met_version"]) == ("running", due_on, None, None)
    assert [(step["step"], step["reason"]) for step in again["steps"]][-1] == ("reopened", "使用部门异议")
    reviews = (await node.client.get("/v1/duties", params={"rule": "catalogue_review"}, headers=node.authority)).json()["items"]
    assert [review["state"] for review in reviews] == ["met"], "the authority did answer in time"
    assert await missed(node, utc_now() + timedelta(days=40)) == [duty_id]
    await announced(node, made, good_entry, system)
    assert (await shown(node, duty_id))["state"] == "met"


async def test_what_a_version_in_force_met_stays_met_when_the_next_is_called_off(node: Any, used: Any, good_entry: Any) -> None:
    _, system, made = used
    first = await owed(node, resource_id=UUID(made["resource_id"]))
    effective_at = datetime.fromisoformat((await announced(node, made, good_entry, system))["effective_at"])
    await put_due_in_force(node.sessions, public_url=PUBLIC_URL, now=effective_at)
    path = f"/v1/resources/{made['resource_id']}"
    entry = good_entry(system, items=good_entry(system)["items"][1:2], key=["street_name"])
    drafted = await node.client.put(path, json=entry, headers=node.steward(made["provider"]))
    assert (await node.put_in_force(drafted.json()))["draft_state"] == "announced"
    assert (await node.client.post(f"{path}/return", json={"reason": "异议"}, headers=node.authority)).status_code == 200
    assert (await shown(node, first))["state"] == "met"


async def test_an_organizations_duty_is_met_by_the_announced_version_its_steward_names(
    node: Any, used: Any, good_entry: Any, is_problem: Any
) -> None:
    organization, system, made = used
    duty_id = await owed(node, organization_id=UUID(organization["organization_id"]), resource_id=None)
    path, steward = f"/v1/duties/{duty_id}/answer", node.steward(organization)
    answer = {"resource_id": made["resource_id"], "version": 2, "reason": "已按新职责编目"}
    is_problem(await node.client.post(path, json=answer, headers=steward), 422, "duty-invalid")
    await announced(node, made, good_entry, system)
    met = (await node.client.post(path, json=answer, headers=steward)).json()
    assert (met["state"], met["met_version"]) == ("met", 2)
    called_off = await node.client.post(f"/v1/resources/{made['resource_id']}/return", json={"reason": "异议"}, headers=node.authority)
    assert called_off.status_code == 200, called_off.text
    assert (await shown(node, duty_id))["state"] == "running"
