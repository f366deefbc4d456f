"""Logical access: a grant's rows asked for at the department's own interface; nothing beyond the grant leaves, and nothing stays."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from dxmesh_runtime.testing import listening
from dxmesh_schemas.catalog_events import ResourceMountChanged
from exchange_svc.batch.staging import Staging
from exchange_svc.destinations import plain
from exchange_svc.proxy.domain import may_lie_at
from exchange_svc.proxy.errors import DepartmentSlow
from exchange_svc.proxy.forward import Forwarder

AT = datetime(2026, 11, 20, tzinfo=UTC)
ROWS = [
    {"code": "330602001", "name": "塔山街道", "people": 81234, "since": "2001-05-01", "secret": "x"},
    {"code": "330602002", "name": "府山街道", "people": None, "since": None, "secret": "y"},
]


@dataclass
class Department:
    """A department's interface, and what it was asked."""

    url: str
    answer: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    hangs: bool = False


@pytest.fixture
async def interface() -> AsyncIterator[Department]:
    app, found = FastAPI(), Department("", ROWS)

    @app.get("/streets")
    async def streets(request: Request) -> Response:
        found.asked.append(request)
        if found.hangs:
            await asyncio.sleep(1)
        content = found.answer if isinstance(found.answer, bytes) else httpx.Response(200, json=found.answer).content
        return Response(content, status_code=found.status, headers=found.headers)

    async with listening(app) as url:
        found.url = url + "/streets"
        yield found


async def mount(exchange: Any, resource: Any, address: str | None, *, minutes: int = 0, confirmed: bool = True) -> None:
    at = AT + timedelta(minutes=minutes)
    known = {"kind": "proxy" if address else None, "address": address, "confirmed_at": at if address and confirmed else None}
    await exchange.deliver(ResourceMountChanged(resource_id=resource.resource_id, changed_at=at, **known))


async def ask(exchange: Any, grant: Any, *, by: Any = None, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
    who = exchange.steward(by or exchange.requester) | (headers or {})
    answer: httpx.Response = await exchange.client.get(f"/v1/grants/{grant['grant_id']}/proxy", params=params, headers=who)
    return answer


def slug(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).rsplit("/", 1)[1]


async def test_rows_come_from_the_department_and_no_copy_is_kept(exchange: Any, interface: Department) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    await mount(exchange, resource, interface.url)
    answer = await ask(exchange, grant, code="330602001", headers={"Cookie": "session=1", "X-Own": "2"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"] == [{name: row[name] for name in ("code", "name", "people", "since")} for row in ROWS]
    (asked,) = interface.asked
    assert dict(asked.query_params) == {"code": "330602001"}
    assert not {"authorization", "cookie", "x-own"} & set(asked.headers)
    assert exchange.keys() == set()
    assert [path for path in exchange.left_in_staging() if path.is_file()] == []


async def test_what_the_interface_answers_beyond_the_grant_does_not_leave(exchange: Any, interface: Department) -> None:
    resource = await exchange.publish()
    where = [{"item": "code", "op": "in", "values": ["330602002"]}]
    terms = {"where": where, "masks": [{"item": "name", "mask": "keep", "prefix": 1, "suffix": 2}]}
    grant = await exchange.granted(resource, items=["code", "name"], terms=terms)
    await mount(exchange, resource, interface.url)
    answer = await ask(exchange, grant)
    assert answer.json()["items"] == [{"code": "330602002", "name": "府*街道"}]
    for name in ("people", "name", "secret", "limit"):  # not granted, masked, unknown: by their values others could be found out
        refused = await ask(exchange, grant, **{name: "1"})
        assert slug(refused) == (422, "proxy-question-invalid"), name
        assert refused.json()["errors"][0]["pointer"] == f"query:{name}"
    assert len(interface.asked) == 1
    interface.answer = []
    assert (await ask(exchange, grant)).json()["items"] == []


async def test_only_a_live_grants_holder_asks_and_only_a_confirmed_interface_is_asked(exchange: Any, interface: Department) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    assert slug(await ask(exchange, grant)) == (409, "not-proxied")
    await mount(exchange, resource, interface.url, confirmed=False)
    assert slug(await ask(exchange, grant)) == (409, "not-proxied")
    await mount(exchange, resource, interface.url, minutes=2)
    assert (await ask(exchange, grant)).status_code == 200
    await mount(exchange, resource, "http://127.0.0.1:1/earlier", minutes=1)  # what comes late changes nothing
    assert (await ask(exchange, grant)).status_code == 200
    assert (await ask(exchange, grant, by=exchange.stranger)).status_code == 404
    await mount(exchange, resource, None, minutes=3)
    assert slug(await ask(exchange, grant)) == (409, "not-proxied")
    await mount(exchange, resource, interface.url, minutes=4)
    await exchange.expire(grant["grant_id"])
    assert (await ask(exchange, grant)).status_code == 403
    assert len(interface.asked) == 2


WRONG: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "a failure": ({"status": 500}, (503, "department-away")),
    "a refusal": ({"status": 403}, (502, "answer-unfit")),
    "a redirect": ({"status": 302, "headers": {"Location": "http://169.254.169.254/"}}, (502, "answer-unfit")),
    "no JSON": ({"answer": b"<html>"}, (502, "answer-unfit")),
    "broken JSON": ({"answer": b'[{"code": '}, (502, "answer-unfit")),
    "an object": ({"answer": {"code": "1"}}, (502, "answer-unfit")),
    "a row of another type": ({"answer": [ROWS[0] | {"people": "many"}]}, (502, "answer-unfit")),
    "a compressed answer": ({"answer": gzip.compress(b"[]"), "headers": {"Content-Encoding": "gzip"}}, (502, "answer-unfit")),
    "too much": ({"answer": b"[" + b" " * 9_000_000 + b"]"}, (502, "answer-unfit")),
}


@pytest.mark.parametrize("what", WRONG)
async def test_an_answer_that_is_none_is_told_with_the_departments_name(exchange: Any, interface: Department, what: str) -> None:
    changes, told = WRONG[what]
    for name, value in changes.items():
        setattr(interface, name, value)
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    await mount(exchange, resource, interface.url)
    answer = await ask(exchange, grant)
    assert slug(answer) == told
    assert exchange.provider.name in answer.json()["detail"]
    assert "塔山" not in answer.text


async def test_a_department_that_is_away_or_slow_is_told_by_name(exchange: Any, interface: Department) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    for number, (address, status) in enumerate(
        (("http://127.0.0.1:1/streets", 503), ("http://nowhere.invalid/", 503), ("http://169.254.169.254/latest", 503))
    ):
        await mount(exchange, resource, address, minutes=number)
        answer = await ask(exchange, grant)
        assert (answer.status_code, exchange.provider.name in answer.json()["detail"]) == (status, True), address
    interface.hangs = True
    impatient = Forwarder(cast(Staging, None), timeout_seconds=0.2, answer_max_bytes=1000, at_once=1, allowed=[ip_network("127.0.0.0/8")])
    with pytest.raises(DepartmentSlow, match="绍兴市民政局 did not answer within"):
        await impatient.ask(interface.url, [], (), department="绍兴市民政局")


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.2.3", True),
        ("192.168.1.1", True),
        ("127.0.0.1", False),
        ("127.9.9.9", True),
        ("::1", False),
        ("::ffff:169.254.169.254", False),
        ("2001:db8::1", True),
        ("169.254.169.254", False),
        ("fe80::1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_an_interface_may_lie_in_a_private_network_and_not_at_the_hosts_own_services(address: str, may: bool) -> None:
    assert may_lie_at(plain(ip_address(address)), [ip_network("127.9.0.0/16")]) is may


async def test_the_address_that_was_looked_at_is_the_one_that_is_asked(
    exchange: Any, interface: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server of somebody else says another address each time it is asked."""
    looked: list[str] = []
    answers = iter(["127.0.0.1"] + ["169.254.169.254"] * 9)
    truly = socket.getaddrinfo

    def rebinding(host: str, *rest: Any, **more: Any) -> Any:
        if host != "streets.example":
            return truly(host, *rest, **more)
        looked.append(host)
        return truly(next(answers), *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    await mount(exchange, resource, interface.url.replace("127.0.0.1", "streets.example"))
    answer = await ask(exchange, grant)
    assert (answer.status_code, looked) == (200, ["streets.example"]), answer.text
    (asked,) = interface.asked
    assert asked.headers["host"].startswith("streets.example:")
    assert slug(await ask(exchange, grant)) == (503, "department-away")
    assert len(interface.asked) == 1


async def test_the_registry_lists_a_proxy_once_it_is_confirmed_and_its_calls(exchange: Any, interface: Department) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    usual = [f"/v1/grants/{grant['grant_id']}/rows", f"/v1/grants/{grant['grant_id']}/changes"]
    steps = ((None, True, usual), (interface.url, False, usual), (interface.url, True, [*usual, f"/v1/grants/{grant['grant_id']}/proxy"]))
    for minutes, (address, confirmed, addresses) in enumerate(steps):
        await mount(exchange, resource, address, minutes=minutes, confirmed=confirmed)
        found = (await exchange.client.get("/v1/apis", headers=exchange.steward(exchange.requester))).json()["items"]
        pull = next(one for one in found if one["api"] == "pull")
        assert (pull["is_proxied"], pull["holders"][0]["addresses"]) == (len(addresses) == 3, addresses)
        assert not any("proxy" in address for one in found if one["api"] == "verify" for address in one["addresses"])
    assert (await exchange.client.get(addresses[-1], headers=exchange.steward(exchange.requester))).status_code == 200
    found = (await exchange.client.get("/v1/apis", headers=exchange.steward(exchange.provider))).json()["items"]
    assert {one["api"]: (one["call_count"], one["is_proxied"]) for one in found}["pull"] == (1, True)
