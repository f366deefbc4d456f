"""The operator's lists: each shows what there is, to the node's operators all of it and to a department's its own, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.paging import encode
from dxmesh_schemas.catalog import OrganizationRef, SharingType
from exchange_svc.package.store import Package
from exchange_svc.pages import words
from exchange_svc.pages.view import PAGE_ROWS
from exchange_svc.reader.store import Reader
from exchange_svc.subscription.store import Subscription

LISTS = [part for part, _ in words.TABS if part]
EMPTY = 'class="none"'


async def page(exchange: Any, part: str, headers: dict[str, str], **params: Any) -> str:
    answer = await exchange.client.get(f"/dashboard/{part}".rstrip("/"), params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    text: str = answer.text
    return text


def operator(exchange: Any, who: OrganizationRef | None = None) -> dict[str, str]:
    headers: dict[str, str] = exchange.tokens.issue(None if who is None else who.organization_id, "operator")
    return headers


async def worked(exchange: Any) -> dict[str, str]:
    """Let there be one of everything between the provider and the requester; return what each list shows of it."""
    resource = await exchange.publish(name="社区名录", published_at=datetime(2026, 10, 1, tzinfo=UTC))
    grant = await exchange.granted(resource)
    await exchange.accepted(resource.resource_id)
    conditional = await exchange.publish(sharing_type=SharingType.CONDITIONAL, sharing_condition="仅限", standing_consent=None)
    request_id = (await exchange.ask(conditional)).json()["request_id"]
    waiting = (await exchange.ask(conditional, scenario="医保核查")).json()["request_id"]
    path, by = f"/v1/requests/{request_id}", exchange.steward
    refusal = {"outcome": "refused", "approved_by": "主任", "reason": "用途不符"}
    assert (await exchange.client.post(f"{path}/decision", json=refusal, headers=by(exchange.provider))).status_code == 201
    dispute = await exchange.client.post(f"{path}/dispute", json={"reason": "理由不成立"}, headers=by(exchange.requester))
    doubt = {"records": [{"key": {"code": "330602001"}}], "items": ["name"], "reason": "与现行区划名称不一致"}
    correction = await exchange.client.post(f"/v1/grants/{grant['grant_id']}/corrections", json=doubt, headers=by(exchange.requester))
    now = utc_now()
    span = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat(), "batches": []}
    told = await exchange.client.post(f"/v1/resources/{resource.resource_id}/reconciliation", json=span, headers=by(exchange.provider))
    job = {"kind": "folder", "agent": "front-1", "name": "streets", "resource_id": str(resource.resource_id), "state": "failing"}
    at, by_provider = f"/v1/channels/{uuid7()}/report", by(exchange.provider)
    reported = await exchange.client.put(at, json=job | {"detail": "前置机目录不可读"}, headers=by_provider)
    for answer in (dispute, correction, told, reported):
        assert answer.is_success, answer.text
    subscription_id, package_id = uuid7(), uuid7()
    async with exchange.sessions.begin() as tx:
        common = {"grant_id": UUID(grant["grant_id"]), "sealed": b"", "epoch": 1, "row_count": 0, "created_at": now, "changed_at": now}
        places = {"place": {"topic": "", "offsets": {}}, "settings": {}, "failure_count": 3, "failure": "回调地址无人应答"}
        await tx.execute(insert(Subscription).values(subscription_id=subscription_id, mode="webhook", state="active", **places, **common))
        await tx.execute(
            insert(Package).values(
                package_id=package_id, subscription_id=subscription_id, grant_id=UUID(grant["grant_id"]), state="waiting",
                downloads_left=5, asked_at=now,
            )
        )  # fmt: skip
        await tx.execute(
            insert(Reader).values(
                reader_id=uuid7(), organization_id=exchange.requester.organization_id, name="clinics", salt=b"", iterations=1, sealed=b"",
                created_at=now, rotated_at=now,
            )
        )  # fmt: skip
    await exchange.publish(name="停更名录", published_at=datetime(2026, 10, 1, tzinfo=UTC), provider=exchange.provider)
    return {
        "requests": waiting,
        "clocks": waiting,
        "disputes": dispute.json()["dispute_id"],
        "corrections": correction.json()["correction_id"],
        "intake": "前置机目录不可读",
        "channels": grant["topic"],
        "subscriptions": "回调地址无人应答",
        "packages": str(package_id),
        "readers": f"org.{exchange.requester.organization_id}.clinics",
        "lag": str(subscription_id),
        "reconciliation": told.json()["case_id"],
        "late": "停更名录",
    }


async def test_each_list_shows_what_there_is_to_the_node_and_to_whom_it_concerns(exchange: Any) -> None:
    shown = await worked(exchange)
    assert set(shown) == set(LISTS)
    of_one_side = {"late": exchange.provider, "readers": exchange.requester, "clocks": exchange.provider}
    for part, text in shown.items():
        for headers in (operator(exchange), exchange.authority, operator(exchange, of_one_side.get(part, exchange.provider))):
            assert text in await page(exchange, part, headers), part
        foreign = await page(exchange, part, operator(exchange, exchange.stranger))
        assert text not in foreign, f"{part} tells a stranger"
        assert EMPTY in foreign, part
    overview = await page(exchange, "", exchange.authority)
    for part in LISTS:
        assert f'href="/dashboard/{part}"' in overview


async def test_lists_are_filtered_by_how_things_stand(exchange: Any) -> None:
    shown = await worked(exchange)
    who = exchange.authority
    for part, name, is_so, is_not in (
        ("requests", "state", "under_review", "granted"),
        ("clocks", "standing", "owed", "missed"),
        ("disputes", "state", "open", "settled"),
        ("corrections", "state", "filed", "rejected"),
        ("intake", "state", "failing", "working"),
        ("subscriptions", "state", "active", "dead"),
        ("packages", "state", "waiting", "ready"),
        ("lag", "standing", "reading", "current"),
        ("reconciliation", "state", "open", "settled"),
    ):
        assert shown[part] in await page(exchange, part, who, **{name: is_so}), part
        assert shown[part] not in await page(exchange, part, who, **{name: is_not}), part
        wrong = await exchange.client.get(f"/dashboard/{part}", params={name: "nothing"}, headers=who)
        assert wrong.status_code == 422, part


async def test_a_long_list_goes_on_behind_its_first_page(exchange: Any) -> None:
    grant = await exchange.granted(await exchange.publish())
    now = utc_now()
    fixed = {
        "grant_id": UUID(grant["grant_id"]),
        "mode": "webhook",
        "state": "ended",
        "settings": {},
        "sealed": b"",
        "place": {},
        "epoch": 1,
    }
    counts = {"row_count": 0, "failure_count": 0, "changed_at": now}
    ids = [uuid7() for _ in range(PAGE_ROWS + 1)]
    rows = [{"subscription_id": one, "created_at": now + timedelta(seconds=at), **fixed, **counts} for at, one in enumerate(ids)]
    async with exchange.sessions.begin() as tx:
        await tx.execute(insert(Subscription), rows)
    first = await page(exchange, "subscriptions", exchange.authority)
    assert str(ids[-1]) in first
    assert str(ids[0]) not in first
    cursor = encode(f"{rows[1]['created_at'].isoformat()}|{ids[1]}".encode())
    assert f"cursor={cursor}" in first
    second = await page(exchange, "subscriptions", exchange.authority, cursor=cursor)
    assert (str(ids[0]) in second, str(ids[1]) in second) == (True, False)


async def test_lists_are_for_operators_and_empty_ones_are_pages_too(exchange: Any) -> None:
    for part in LISTS:
        assert (await exchange.client.get(f"/dashboard/{part}")).status_code == 303
        assert (await exchange.client.get(f"/dashboard/{part}", headers=exchange.steward(exchange.provider))).status_code == 303
        assert EMPTY in await page(exchange, part, exchange.authority)
