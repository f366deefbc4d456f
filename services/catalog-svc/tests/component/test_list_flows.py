"""What becomes of duties and demands: met by what is published and granted, and held against what really flows."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from catalog_svc.mount import consumers as mounts
from catalog_svc.sharing_list import consumers as lists
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver, incoming
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import ResourceEvent, ResourcePublished
from dxmesh_schemas.exchange import BatchAccepted, BatchKind, DeliveryCompleted, GrantActivated, ObjectRef, ViewSnapshot
from dxmesh_schemas.exchange_usage import ApiUsed

SOON, GONE = date(2099, 12, 31), date(2026, 1, 1)


def reference(organization: dict[str, Any]) -> OrganizationRef:
    return OrganizationRef(**{name: organization[name] for name in ("organization_id", "uscc", "name", "division_code")})


def batch(made: dict[str, Any], *, at: datetime, rows: int = 1, sequence: int = 1) -> BatchAccepted:
    return BatchAccepted(
        resource_id=made["resource_id"],
        batch_id=uuid4(),
        resource_version=1,
        provider=OrganizationRef(organization_id=uuid4(), uscc="x", name="x", division_code="330600"),
        kind=BatchKind.APPEND,
        sequence=sequence,
        accepted_at=at,
        received_count=rows,
        accepted_count=rows,
        quarantined_count=0,
        rows=ObjectRef(key="k", sha256="0", byte_count=1, row_count=rows),
    )


def delivery(made: dict[str, Any], *, at: datetime) -> DeliveryCompleted:
    return DeliveryCompleted(
        resource_id=made["resource_id"],
        batch_id=uuid4(),
        sequence=1,
        view_id=uuid4(),
        topic="t",
        ranges=(),
        accepted_count=1,
        delivered_count=1,
        sha256="0",
        completed_at=at,
    )


def calls(made: dict[str, Any], *, at: datetime, calls: int = 0, refused: int = 0) -> ApiUsed:
    return ApiUsed(
        resource_id=made["resource_id"],
        api="pull",
        grant_id=uuid4(),
        provider_id=uuid4(),
        requester=OrganizationRef(organization_id=uuid4(), uscc="x", name="x", division_code="330600"),
        hour=at,
        call_count=calls,
        refused_count=refused,
        row_count=calls,
        question_count=0,
        last_called_at=at,
    )


def grant(made: dict[str, Any], requester: dict[str, Any]) -> GrantActivated:
    resource_id = UUID(made["resource_id"])
    view = ViewSnapshot(view_id=uuid4(), resource_id=resource_id, resource_version=1, items=("a",), key=(), topic="t", schema_url="x")
    return GrantActivated(
        grant_id=uuid4(), request_id=uuid4(), resource_id=resource_id, requester=reference(requester), view=view, activated_at=utc_now()
    )


async def entered(node: Any, kind: str, organization: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    body = {"name": name, "due_on": str(SOON)} | changes
    made: dict[str, Any] = await node.made(f"/v1/lists/{kind}", body, node.steward(organization))
    return made


async def states(node: Any, kind: str) -> dict[str, tuple[str, str | None, int]]:
    found = (await node.client.get(f"/v1/lists/{kind}", headers=node.authority)).json()["items"]
    return {one["name"]: (one["status"], one["resource_id"], one["version"]) for one in found}


async def told(node: Any) -> list[ResourceEvent]:
    return [event for event in await node.events() if isinstance(event, ResourcePublished)]


async def report(node: Any, name: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    answer = await node.client.get(f"/v1/reports/{name}", params=params, headers=headers or node.authority)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_duty_is_done_by_the_version_that_comes_in_force(node: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("另一局")
    draft = await node.resource(organization, system, name="低保对象ABC")
    await entered(node, "duty", organization, "低保对象abc")
    await entered(node, "duty", organization, "按编号", resource_id=draft["resource_id"])
    await entered(node, "duty", organization, "别的数据")
    await entered(node, "duty", other, "低保对象ABC")
    await entered(node, "duty", organization, "取消的", resource_id=draft["resource_id"], status="cancelled")
    made = await node.put_in_force(draft)
    [event] = await told(node)
    again = incoming(event)
    for _ in range(2):
        await deliver(node.sessions, lists.HANDLERS, again)
    await deliver(node.sessions, lists.HANDLERS, event)
    key = made["resource_id"]
    assert await states(node, "duty") == {
        "低保对象abc": ("done", key, 2),
        "按编号": ("done", key, 2),
        "别的数据": ("pending", None, 1),
        "低保对象ABC": ("pending", None, 1),
        "取消的": ("cancelled", key, 1),
    }
    entry = next(one for one in (await node.client.get("/v1/lists/duty", headers=node.authority)).json()["items"] if one["version"] == 2)
    history = (await node.client.get(f"/v1/lists/duty/{entry['entry_id']}/versions", headers=node.authority)).json()["items"]
    assert [(one["snapshot"]["status"], one["changed_by"]) for one in history] == [("pending", "test-client"), ("done", "/catalog-svc")]


async def test_a_demand_is_answered_by_publication_and_done_by_the_grant_of_whoever_asked(node: Any) -> None:
    organization, system = await node.provider()
    asking, another = await node.organization("另一局"), await node.organization("第三局")
    asked = {"counterpart_id": organization["organization_id"]}
    for department in (asking, another):
        await entered(node, "demand", department, f"街道办事处名录{department['name']}", **asked)
        await entered(node, "demand", department, "街道办事处名录", **asked)
    made = await node.published(organization, system)
    key = made["resource_id"]
    await deliver(node.sessions, lists.HANDLERS, *await told(node))

    async def of(department: dict[str, Any]) -> tuple[str, str | None]:
        params = {"organization": department["organization_id"], "q": "街道办事处名录"}
        found = (await node.client.get("/v1/lists/demand", params=params, headers=node.authority)).json()["items"]
        named = {one["name"]: (one["status"], one["resource_id"]) for one in found}
        assert named.pop(f"街道办事处名录{department['name']}") == ("pending", None), "another name is another demand"
        return named["街道办事处名录"]

    assert await of(asking) == await of(another) == ("in_progress", key)
    await deliver(node.sessions, lists.HANDLERS, grant(made, asking))
    assert (await of(asking), await of(another)) == (("done", key), ("in_progress", key))


async def test_what_was_withdrawn_meanwhile_meets_nothing(node: Any) -> None:
    organization, system = await node.provider()
    await entered(node, "duty", organization, "街道办事处名录")
    made = await node.published(organization, system)
    gone = await node.client.post(
        f"/v1/resources/{made['resource_id']}/withdrawal", json={"reason": "职责调整"}, headers=node.steward(organization)
    )
    assert gone.status_code == 200
    await deliver(node.sessions, lists.HANDLERS, *await told(node))
    assert await states(node, "duty") == {"街道办事处名录": ("pending", None, 1)}


async def test_duties_are_held_against_what_was_published_mounted_and_came(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("另一局")
    names = ("未挂接", "已挂接", "已归集", "迟归集", "代理")
    made = {name: await node.published(organization, system, name=name) for name in names}
    for name in names:
        due = GONE if name in ("未挂接", "迟归集") else SOON
        await entered(node, "duty", organization, name, due_on=str(due))
    await entered(node, "duty", organization, "未发布", due_on=str(GONE))
    await entered(node, "duty", organization, "取消的", due_on=str(GONE), status="cancelled")
    await entered(node, "duty", other, "另一局的")
    steward = node.steward(organization)
    for name, body in (("已挂接", {"kind": "replica"}), ("代理", {"kind": "proxy", "address": "http://10.1.2.3/x"})):
        answer = await node.client.put(f"/v1/resources/{made[name]['resource_id']}/mount", json=body, headers=steward)
        assert answer.status_code == 200, answer.text
    path = f"/v1/resources/{made['代理']['resource_id']}/mount/confirmation"
    assert (await node.client.post(path, json={"evidence": "返回 200"}, headers=node.authority)).status_code == 200
    now = utc_now()
    await deliver(node.sessions, mounts.HANDLERS, batch(made["已归集"], at=now - timedelta(hours=1), rows=3))
    await deliver(node.sessions, mounts.HANDLERS, batch(made["已归集"], at=now, rows=5, sequence=2), batch(made["迟归集"], at=now))
    await deliver(node.sessions, mounts.HANDLERS, batch(made["已归集"], at=now - timedelta(hours=2), rows=99, sequence=1))
    found = await report(node, "duties")
    rows = {row["entry_name"]: row for row in found["rows"]}
    assert {name: (row["flow"], row["is_overdue"], row["is_late"]) for name, row in rows.items()} == {
        "未发布": ("unpublished", True, False),
        "未挂接": ("unmounted", True, False),
        "已挂接": ("declared", False, False),
        "已归集": ("supplied", False, False),
        "迟归集": ("supplied", False, True),
        "代理": ("supplied", False, False),
        "另一局的": ("unpublished", False, False),
    }
    assert (rows["已归集"]["batch_count"], rows["已归集"]["row_count"]) == (2, 5), "rows of the newest batch, whatever comes late"
    own = {
        "duty_count": 6,
        "published_count": 5,
        "mounted_count": 4,
        "supplied_count": 3,
        "late_count": 1,
        "overdue_count": 2,
        "supplied_ratio": 0.5,
    }
    assert (await report(node, "duties", steward))["summary"] == own
    totals = await report(node, "duty-totals")
    assert totals["summary"] == found["summary"] == own | {"duty_count": 7, "supplied_ratio": 0.4286}
    by_department = {row["organization_name"]: row for row in totals["rows"]}
    assert {name: by_department["绍兴市民政局"][name] for name in own} == own
    assert (by_department["另一局"]["duty_count"], by_department["另一局"]["supplied_ratio"]) == (1, 0.0)
    sheet = await node.client.get("/v1/reports/duties", params={"format": "csv"}, headers=node.authority)
    assert {"逾期未归集", "最近批次行数"} <= set(sheet.content.decode("utf-8-sig").splitlines()[0].split(","))
    assert "未挂接" in sheet.content.decode("utf-8-sig")
    is_problem(await node.client.get("/v1/reports/duties", headers=node.headers(None)), 403)


async def test_systems_of_which_nothing_comes_or_goes_are_named_those_that_never_did_apart(node: Any, is_problem: Any) -> None:
    organization = await node.organization()
    other = await node.organization("另一局")
    now = utc_now()
    old = now - timedelta(days=100)
    names = ("停流", "仍流", "被读", "被调", "被拒", "代理", "从未", "无资源", "退役")
    systems = {name: await node.system(organization, name) for name in names}
    await node.system(other, "另一局的")
    made = {name: await node.published(organization, systems[name], name=f"数据{name}") for name in names[:7]}
    events = [batch(made[name], at=old) for name in ("停流", "仍流", "被读", "被调", "被拒", "代理")]
    await deliver(node.sessions, mounts.HANDLERS, *events)
    await deliver(node.sessions, mounts.HANDLERS, batch(made["仍流"], at=now, sequence=2), delivery(made["被读"], at=now))
    await deliver(node.sessions, mounts.HANDLERS, delivery(made["被读"], at=old), delivery(made["停流"], at=old + timedelta(days=1)))
    await deliver(node.sessions, mounts.HANDLERS, calls(made["被调"], at=now, calls=3), calls(made["被拒"], at=now, refused=2))
    await deliver(node.sessions, mounts.HANDLERS, calls(made["被调"], at=old, calls=1))
    steward = node.steward(organization)
    proxy = f"/v1/resources/{made['代理']['resource_id']}/mount"
    await node.client.put(proxy, json={"kind": "proxy", "address": "http://10.1.2.3/x"}, headers=steward)
    assert (await node.client.post(f"{proxy}/confirmation", json={"evidence": "返回 200"}, headers=node.authority)).status_code == 200
    retired = await node.client.post(f"/v1/systems/{systems['退役']['system_id']}/retirement", json={"reason": "停用"}, headers=steward)
    assert retired.status_code == 200
    assert (await report(node, "idle-systems", steward, days=30))["summary"] == {"days": 30, "ceased_count": 2, "never_count": 0}
    async with node.sessions.begin() as tx:  # as if all had been registered long ago
        await tx.execute(text("UPDATE system SET registered_at = now() - interval '200 days'"))
    found = await report(node, "idle-systems", steward, days=30)
    assert found["summary"] == {"days": 30, "ceased_count": 2, "never_count": 2}
    assert [(row["system_name"], row["flow"], row["idle_days"], row["resource_count"]) for row in found["rows"]] == [
        ("被拒", "ceased", 100, 1),
        ("停流", "ceased", 99, 1),
        ("从未", "never", 200, 1),
        ("无资源", "never", 200, 0),
    ]
    assert (await report(node, "idle-systems", node.steward(other), days=30))["summary"]["never_count"] == 1
    usual = await report(node, "idle-systems")
    assert usual["summary"] == {"days": 180, "ceased_count": 0, "never_count": 3}, "the node's own number of days"
    for params in ({"days": 0}, {"days": "x"}, {"days": 3651}):
        is_problem(await node.client.get("/v1/reports/idle-systems", params=params, headers=node.authority), 422)
    refused = is_problem(await node.client.get("/v1/reports/totals", params={"days": 3}, headers=node.authority), 422)
    assert [error["pointer"] for error in refused["errors"]] == ["/days"]
