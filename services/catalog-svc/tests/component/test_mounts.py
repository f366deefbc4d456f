import asyncio
import csv
import io
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import fastexcel
import pytest
from sqlalchemy import update

from catalog_svc.mount import commands, store
from catalog_svc.mount.consumers import HANDLERS
from catalog_svc.resource.store import Resource
from dxmesh_clocks.working_days import ZONE, day_of
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.testing import deliver, incoming, outbox_events
from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_events import ResourceMountChanged, ResourceStale
from dxmesh_schemas.exchange import BatchAccepted, BatchKind, ObjectRef

NOBODY = "00000000-0000-0000-0000-000000000000"
PROXY = {"kind": "proxy", "address": "http://10.20.30.40:8080/share/households"}


def accepted(resource_id: str | UUID, *, at: datetime | None = None, sequence: int = 1) -> BatchAccepted:
    provider = OrganizationRef(organization_id=uuid4(), uscc="x", name="x", division_code="330600")
    return BatchAccepted(
        resource_id=UUID(str(resource_id)),
        batch_id=uuid4(),
        resource_version=1,
        provider=provider,
        kind=BatchKind.APPEND,
        sequence=sequence,
        accepted_at=at or utc_now(),
        received_count=1,
        accepted_count=1,
        quarantined_count=0,
        rows=ObjectRef(key="k", sha256="0", byte_count=1, row_count=1),
    )


async def mount_of(node: Any, made: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await node.client.get(f"/v1/resources/{made['resource_id']}/mount", headers=headers or node.authority)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def mounted(node: Any, organization: dict[str, Any], made: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    answer = await node.client.put(f"/v1/resources/{made['resource_id']}/mount", json=body, headers=node.steward(organization))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_replica_is_declared_and_shown_by_its_first_accepted_batch(node: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    assert (await mount_of(node, made))["state"] == "unmounted"
    declared = await mounted(node, organization, made, {"kind": "replica"})
    assert (declared["state"], declared["kind"], declared["mounted_by"], declared["batch_count"]) == (
        "declared",
        "replica",
        "test-client",
        0,
    )
    assert await mounted(node, organization, made, {"kind": "replica"}) == declared, "the same again changes nothing"
    first = datetime(2026, 11, 20, 8, tzinfo=ZONE)
    events = [accepted(made["resource_id"], at=first + timedelta(hours=hour), sequence=hour + 1) for hour in (2, 0, 1)]
    await deliver(node.sessions, HANDLERS, *events)
    await deliver(node.sessions, HANDLERS, accepted(made["resource_id"], at=first - timedelta(days=1), sequence=1))
    found = await mount_of(node, made)
    assert (found["state"], found["batch_count"]) == ("supplied", 3)
    assert datetime.fromisoformat(found["accepted_at"]) == first + timedelta(hours=2), "what comes late makes nothing older"
    assert datetime.fromisoformat(found["first_accepted_at"]) == first - timedelta(days=1)
    async with node.sessions() as session:
        row = await session.get(store.Arrival, UUID(made["resource_id"]))
    assert row.batch_id == events[0].batch_id


async def test_an_event_that_comes_twice_counts_once(node: Any) -> None:
    made = await node.published(*await node.provider())
    event = incoming(accepted(made["resource_id"]))
    await deliver(node.sessions, HANDLERS, event)
    await deliver(node.sessions, HANDLERS, event)
    assert (await mount_of(node, made))["batch_count"] == 1
    assert [step["step"] for step in (await mount_of(node, made))["steps"]] == ["mounted"]


async def test_batches_mount_a_resource_that_nobody_mounted_and_never_another_kind(node: Any) -> None:
    organization, system = await node.provider()
    bare = await node.published(organization, system)
    proxied = await node.published(organization, system, name="户籍接口")
    await mounted(node, organization, proxied, PROXY)
    await deliver(node.sessions, HANDLERS, accepted(bare["resource_id"]), accepted(proxied["resource_id"]), accepted(NOBODY))
    found = await mount_of(node, bare)
    assert (found["state"], found["kind"], found["mounted_by"]) == ("supplied", "replica", "/exchange-svc")
    assert [(step["by"], step["reason"]) for step in found["steps"]] == [("/exchange-svc", "a batch was accepted")]
    assert ((await mount_of(node, proxied))["state"], (await mount_of(node, proxied))["kind"]) == ("declared", "proxy")


async def test_a_batch_and_a_steward_at_once_make_one_mount(node: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    await asyncio.gather(
        mounted(node, organization, made, {"kind": "replica"}),
        deliver(node.sessions, HANDLERS, accepted(made["resource_id"]), consumer="a"),
        deliver(node.sessions, HANDLERS, accepted(made["resource_id"], sequence=2), consumer="b"),
    )
    assert [step["step"] for step in (await mount_of(node, made))["steps"]] == ["mounted"]


async def test_a_proxy_is_shown_by_the_authoritys_confirmation_and_another_address_needs_it_anew(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    path = f"/v1/resources/{made['resource_id']}/mount"
    evidence = {"evidence": "GET /share/households?page=1 于 2026-11-22 返回 200, 20 行"}
    is_problem(await node.client.post(f"{path}/confirmation", json=evidence, headers=node.authority), 409, "not-mounted")
    assert (await mounted(node, organization, made, PROXY))["state"] == "declared"
    is_problem(await node.client.post(f"{path}/confirmation", json=evidence, headers=node.steward(organization)), 403)
    is_problem(await node.client.post(f"{path}/confirmation", json={"evidence": " "}, headers=node.authority), 422)
    confirmed = (await node.client.post(f"{path}/confirmation", json=evidence, headers=node.authority)).json()
    assert (confirmed["state"], confirmed["confirmed_by"]) == ("supplied", "test-client")
    moved = await mounted(node, organization, made, PROXY | {"address": "http://10.20.30.41/"})
    assert (moved["state"], moved["confirmed_at"]) == ("declared", None)
    assert [step["step"] for step in moved["steps"]] == ["mounted", "confirmed", "mounted"]
    assert (await mounted(node, organization, made, {"kind": "replica"}))["address"] is None
    is_problem(await node.client.post(f"{path}/confirmation", json=evidence, headers=node.authority), 409, "not-mounted")
    told = [event for event in await outbox_events(node.sessions) if isinstance(event, ResourceMountChanged)]
    assert [(event.kind, event.address, event.confirmed_at is not None) for event in told] == [
        ("proxy", PROXY["address"], False),
        ("proxy", PROXY["address"], True),
        ("proxy", "http://10.20.30.41/", False),
        ("replica", None, False),
    ]


async def test_where_an_interface_is_stays_with_its_provider_and_the_node(node: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    await mounted(node, organization, made, PROXY)
    other = await node.organization("绍兴市水利局")
    for headers, seen in (
        (node.headers(organization["organization_id"]), PROXY["address"]),
        (node.headers(None, "auditor"), PROXY["address"]),
        (node.steward(other), None),
        (node.headers(None), None),
    ):
        found = await mount_of(node, made, headers)
        assert (found["address"], found["kind"]) == (seen, "proxy")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "proxy"}, "/address"),
        ({"kind": "proxy", "address": ""}, "/address"),
        ({"kind": "proxy", "address": "http://user:word@10.0.0.1/"}, "/address"),
        ({"kind": "proxy", "address": "http://10.0.0.1/?token=a"}, "/address"),
        ({"kind": "proxy", "address": "http://10.0.0.1/" + "a" * 3000}, "/address"),
        ({"kind": "proxy", "address": "http://a\x00b/"}, "/address"),
        ({"kind": "proxy", "address": 7}, "/address"),
        ({"kind": "replica", "address": "http://10.0.0.1/"}, "/address"),
        ({"kind": "copy"}, "/kind"),
        ({}, "/kind"),
        ({"kind": "replica", "secret": "x"}, "/secret"),
    ],
)
async def test_a_mount_that_breaks_a_rule_is_refused_at_its_field(
    strict_node: Any, is_problem: Any, body: dict[str, Any], pointer: str
) -> None:
    node = strict_node
    made = await node.published(node.organization_made, node.system_made, name=f"名录{uuid4().hex}")
    answer = await node.client.put(f"/v1/resources/{made['resource_id']}/mount", json=body, headers=node.steward(node.organization_made))
    found = is_problem(answer, 422)
    assert [fault["pointer"] for fault in found["errors"]] == [pointer]
    assert "word@" not in answer.text, "a credential is not repeated in the answer"
    assert (await mount_of(node, made))["state"] == "unmounted"


async def test_who_may_mount_what(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system)
    draft = await node.resource(organization, system, name="草稿")
    other = await node.organization("绍兴市水利局")
    path, replica = f"/v1/resources/{made['resource_id']}/mount", {"kind": "replica"}
    is_problem(await node.client.put(path, json=replica), 401)
    is_problem(await node.client.put(path, json=replica, headers=node.steward(other)), 403)
    is_problem(await node.client.put(path, json=replica, headers=node.headers(organization["organization_id"], "auditor")), 403)
    is_problem(await node.client.put(path, content=b"kind=replica", headers=node.authority | {"content-type": "text/plain"}), 415)
    unknown = f"/v1/resources/{NOBODY}/mount"
    is_problem(await node.client.put(unknown, json=replica, headers=node.authority), 404, "resource-not-found")
    hidden = f"/v1/resources/{draft['resource_id']}/mount"
    is_problem(await node.client.get(hidden, headers=node.steward(other)), 404, "resource-not-found")
    is_problem(await node.client.put(hidden, json=replica, headers=node.steward(other)), 404, "resource-not-found")
    assert is_problem(await node.client.put(hidden, json=replica, headers=node.authority), 409, "not-mountable")["state"] == "draft"
    is_problem(await node.client.post(f"{path}/removal", json={"reason": "x"}, headers=node.authority), 409, "not-mounted")
    await mounted(node, organization, made, replica)
    is_problem(await node.client.post(f"{path}/removal", json={}, headers=node.authority), 422)
    gone = await node.client.post(f"{path}/removal", json={"reason": "系统停用"}, headers=node.steward(organization))
    assert (gone.json()["state"], gone.json()["steps"][-1]["reason"]) == ("unmounted", "系统停用")
    await node.client.post(f"/v1/resources/{made['resource_id']}/withdrawal", json={"reason": "x"}, headers=node.authority)
    is_problem(await node.client.put(path, json=replica, headers=node.steward(organization)), 409, "not-mountable")


async def test_the_mount_rate_counts_what_demonstrably_comes_of_what_is_published(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    other = await node.organization("绍兴市水利局")
    its_system = await node.system(other, "水文系统")
    names = ("supplied", "declared", "bare", "proxy", "confirmed", "withdrawn")
    made = {name: await node.published(organization, system, name=f"名录{name}") for name in names}
    await node.resource(organization, system, name="草稿")
    water = await node.published(other, its_system)
    await mounted(node, organization, made["declared"], {"kind": "replica"})
    await mounted(node, organization, made["proxy"], PROXY)
    await mounted(node, organization, made["confirmed"], PROXY)
    evidence = {"evidence": "返回 200"}
    path = f"/v1/resources/{made['confirmed']['resource_id']}/mount/confirmation"
    assert (await node.client.post(path, json=evidence, headers=node.authority)).status_code == 200
    batches = [accepted(made[name]["resource_id"]) for name in ("supplied", "withdrawn")]
    await deliver(node.sessions, HANDLERS, *batches, accepted(water["resource_id"]))
    gone = f"/v1/resources/{made['withdrawn']['resource_id']}/withdrawal"
    await node.client.post(gone, json={"reason": "x"}, headers=node.authority)

    report = (await node.client.get("/v1/mounts/rate", headers=node.headers(None, "operator"))).json()
    assert report["total"] == {
        "published_count": 6,
        "mounted_count": 5,
        "supplied_count": 3,
        "supplied_replica_count": 2,
        "supplied_proxy_count": 1,
        "mount_ratio": 0.5,
    }
    rates = {
        row["organization_name"]: (row["supplied_count"], row["published_count"], row["mount_ratio"]) for row in report["organizations"]
    }
    assert rates == {"绍兴市水利局": (1, 1, 1.0), "绍兴市民政局": (2, 5, 0.4)}
    own = (await node.client.get("/v1/mounts/rate", headers=node.steward(other))).json()
    assert [row["organization_name"] for row in own["organizations"]] == ["绍兴市水利局"]
    is_problem(await node.client.get("/v1/mounts/rate", headers=node.headers(None)), 403)

    async def listed(headers: dict[str, str], **params: Any) -> list[str]:
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await node.client.get("/v1/mounts", params={"limit": 2} | params | cursor, headers=headers)).json()
            found += [item["name"].removeprefix("名录") for item in page["items"]]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    steward = node.steward(organization)
    assert await listed(steward, state="unmounted") == ["bare"]
    assert await listed(steward, state="declared") == ["declared", "proxy"]
    assert await listed(steward, state="supplied") == ["supplied", "confirmed"]
    assert await listed(steward, kind="proxy") == ["proxy", "confirmed"]
    assert len(await listed(node.authority)) == 6
    assert await listed(node.authority, organization=other["organization_id"], state="supplied") == ["街道办事处名录"]
    assert await listed(steward, organization=other["organization_id"]) == []
    is_problem(await node.client.get("/v1/mounts", params={"state": "x"}, headers=steward), 422)
    is_problem(await node.client.get("/v1/mounts", params={"cursor": "x"}, headers=steward), 422, "cursor-invalid")


async def test_nothing_published_has_no_rate(node: Any) -> None:
    report = (await node.client.get("/v1/mounts/rate", headers=node.authority)).json()
    assert (report["total"]["published_count"], report["total"]["mount_ratio"], report["organizations"]) == (0, None, [])


@pytest.mark.parametrize(
    ("cycle", "newest", "last_fresh"),
    [
        ("REALTIME", date(2026, 11, 10), date(2026, 11, 11)),
        ("DAILY", date(2026, 11, 10), date(2026, 11, 11)),
        ("WEEKLY", date(2026, 11, 10), date(2026, 11, 17)),
        ("MONTHLY", date(2026, 1, 31), date(2026, 2, 28)),
        ("QUARTERLY", date(2025, 11, 30), date(2026, 2, 28)),
        ("HALF_YEARLY", date(2026, 8, 31), date(2027, 2, 28)),
        ("YEARLY", date(2024, 2, 29), date(2025, 2, 28)),
    ],
)
async def test_data_are_stale_from_the_day_after_their_cycle_ends(node: Any, cycle: str, newest: date, last_fresh: date) -> None:
    made = await node.published(*await node.provider(), update_cycle=cycle)
    late_in_china = datetime(newest.year, newest.month, newest.day, 23, 59, tzinfo=ZONE)
    await deliver(node.sessions, HANDLERS, accepted(made["resource_id"], at=late_in_china))
    async with node.sessions() as session:
        assert await store.list_stale(session, of=None, today=last_fresh, after=None, limit=5) == []
        [row] = await store.list_stale(session, of=None, today=last_fresh + timedelta(days=1), after=None, limit=5)
    assert (str(row[0].resource_id), row[3], row[4]) == (made["resource_id"], late_in_china, last_fresh)


async def test_the_stale_report_names_what_is_not_kept_current_and_from_what_it_is_known(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    names = ("batch", "version", "fresh", "irregular", "proxy", "renewed")
    cycles = {"irregular": "IRREGULAR"}
    made = {name: await node.published(organization, system, name=name, update_cycle=cycles.get(name, "MONTHLY")) for name in names}
    await mounted(node, organization, made["proxy"], PROXY)
    now = utc_now()
    old = now - timedelta(days=100)
    async with node.sessions.begin() as tx:  # as if all but one had been published long ago
        await tx.execute(update(Resource).where(Resource.name.not_in(["fresh", "batch"])).values(published_at=old))
    before = old - timedelta(days=1)
    events = [accepted(made["batch"]["resource_id"], at=before), accepted(made["renewed"]["resource_id"])]
    await deliver(node.sessions, HANDLERS, *events)
    report = (await node.client.get("/v1/reports/stale", headers=node.steward(organization))).json()
    assert [(item["name"], item["evidence"]) for item in report["items"]] == [("batch", "batch"), ("version", "version")]
    item = report["items"][0]
    assert datetime.fromisoformat(item["newest_at"]) == before
    assert item["steward"] == made["batch"]["steward"] is not None
    assert item["overdue_days"] == (day_of(now) - date.fromisoformat(item["fresh_through"])).days > 60
    assert report["as_of"]
    first = (await node.client.get("/v1/reports/stale", params={"limit": 1}, headers=node.authority)).json()
    params = {"limit": 1, "cursor": first["next_cursor"]}
    second = (await node.client.get("/v1/reports/stale", params=params, headers=node.authority)).json()
    assert [one["name"] for one in first["items"] + second["items"]] == ["batch", "version"]
    assert second["next_cursor"] is None
    other = await node.organization("绍兴市水利局")
    assert (await node.client.get("/v1/reports/stale", headers=node.steward(other))).json()["items"] == []
    params = {"organization": organization["organization_id"]}
    assert (await node.client.get("/v1/reports/stale", params=params, headers=node.steward(other))).json()["items"] == []
    is_problem(await node.client.get("/v1/reports/stale", headers=node.headers(None)), 403)
    is_problem(await node.client.get("/v1/reports/stale", params={"cursor": "?"}, headers=node.authority), 422, "cursor-invalid")


async def test_the_stale_report_is_given_whole_as_csv_and_xlsx(node: Any, is_problem: Any) -> None:
    organization, system = await node.provider()
    for number in range(3):
        await node.published(organization, system, name=f"={number}", update_cycle="DAILY")
    async with node.sessions.begin() as tx:
        await tx.execute(update(Resource).values(published_at=utc_now() - timedelta(days=100)))
    params = {"format": "csv", "limit": 1}
    as_csv = await node.client.get("/v1/reports/stale", params=params, headers=node.steward(organization))
    assert as_csv.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(as_csv.content.decode("utf-8-sig"))))
    assert {(row["信息资源名称"], row["更新周期"], row["计算依据"], row["超期天数"]) for row in rows} == {
        (f"'={number}", "每日", "目录版本", "99") for number in range(3)
    }
    as_xlsx = await node.client.get("/v1/reports/stale", params={"format": "xlsx"}, headers=node.authority)
    assert fastexcel.read_excel(as_xlsx.content).load_sheet(0).to_polars().height == 3
    other = await node.organization("绍兴市水利局")
    foreign = {"format": "csv", "organization": organization["organization_id"]}
    empty = await node.client.get("/v1/reports/stale", params=foreign, headers=node.steward(other))
    assert len(empty.content.decode("utf-8-sig").splitlines()) == 1, "another organization's are not given out"
    is_problem(await node.client.get("/v1/reports/stale", params={"format": "csv"}, headers=node.headers(None)), 403)


async def test_a_resource_is_told_to_be_stale_once_until_newer_data_are_stale_again(node: Any) -> None:
    organization, system = await node.provider()
    made = await node.published(organization, system, update_cycle="WEEKLY")
    await node.published(organization, system, name="静态", update_cycle="STATIC")
    first = datetime(2026, 11, 10, 8, tzinfo=ZONE)
    await deliver(node.sessions, HANDLERS, accepted(made["resource_id"], at=first))
    midnight = datetime(2026, 11, 18, tzinfo=ZONE)

    async def tell(now: datetime) -> int:
        async with node.sessions.begin() as tx:
            return await commands.tell_stale(tx, now)

    async def told() -> list[ResourceStale]:
        return [event for event in await node.events() if isinstance(event, ResourceStale)]

    assert await tell(midnight - timedelta(seconds=1)) == 0, "current through the seventh day"
    async with node.sessions.begin() as tx:
        found = await store.list_stale(tx, of=None, today=day_of(midnight), after=None, limit=5, untold=True)
        assert await tell(midnight) == 1
        assert await store.note_told(tx, found, now=midnight) == set(), "of two tellers that found it at once, one tells it"
    assert await tell(midnight + timedelta(days=30)) == 0
    [event] = await told()
    assert (str(event.resource_id), event.name, event.steward, event.provider.uscc) == (
        made["resource_id"],
        made["name"],
        "区划地名科数据管理员",
        organization["uscc"],
    )
    assert (event.evidence, event.newest_at, event.fresh_through) == ("batch", first, date(2026, 11, 17))
    await deliver(node.sessions, HANDLERS, accepted(made["resource_id"], at=first + timedelta(days=9), sequence=2))
    assert await tell(midnight + timedelta(days=2)) == 0, "newer data came"
    assert await tell(midnight + timedelta(days=9)) == 1, "and grew stale as well"
    assert [event.newest_at for event in await told()] == [first, first + timedelta(days=9)]
