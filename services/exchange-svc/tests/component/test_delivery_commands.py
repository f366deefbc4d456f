"""The command line of subscriptions and records of use, against a service that listens."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from dxmesh_client.errors import ClientError, ProblemAnswer
from dxmesh_clocks.working_days import day_of
from dxmesh_runtime.db import utc_now
from exchange_svc.subscription.store import Subscription

TOLD = ("--process", "受理时核对住址", "--effect", "免交证明", "--storage", "不留副本")


async def given(exchange: Any) -> str:
    grant_id: str = (await exchange.granted(await exchange.publish()))["grant_id"]
    return grant_id


async def test_packages_are_subscribed_to_asked_for_and_ended_from_the_command_line(exchange: Any, cli: Any, tmp_path: Path) -> None:
    grant_id = await given(exchange)
    terms = ("--form", "csv", "--every-hours", "24", "--term-hours", "48", "--downloads", "2")
    made = await cli("requester", "subscription", "add", "file", grant_id, *terms)
    one = (grant_id, made["subscription_id"])
    assert {name: made["settings"][name] for name in ("form", "every_hours", "term_hours", "downloads")} == {
        "form": "csv",
        "every_hours": 24,
        "term_hours": 48,
        "downloads": 2,
    }
    assert (await cli("provider", "subscription", "show", *one))["state"] == "active"
    with pytest.raises(ProblemAnswer, match="404"):
        await cli("provider", "subscription", "pause", *one, "--reason", "x")
    assert (await cli("requester", "subscription", "pause", *one, "--reason", "盘点"))["reason"] == "盘点"
    assert (await cli("requester", "subscription", "resume", *one, "--reason", "已盘点"))["state"] == "active"
    asked = await cli("requester", "subscription", "package", *one)
    [listed] = await cli("requester", "subscription", "packages", *one)
    assert (listed["package_id"], listed["state"]) == (asked["package_id"], asked["state"])
    with pytest.raises(ProblemAnswer):
        await cli("requester", "subscription", "fetch", "/v1/packages/nothing", str(tmp_path / "package.zip"))
    assert not (tmp_path / "package.zip").exists()
    assert (await cli("requester", "subscription", "end", *one, "--reason", "不再需要"))["state"] == "ended"
    assert [found["state"] for found in await cli("provider", "subscription", "list", grant_id)] == ["ended"]


async def test_a_webhook_is_given_a_secret_and_its_rows_again_from_the_command_line(exchange: Any, cli: Any) -> None:
    resource = await exchange.publish()
    grant_id = (await exchange.granted(resource))["grant_id"]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rows"
        made = await cli("requester", "subscription", "add", "webhook", grant_id, "--url", url, "--start", "now")
    assert made["secret"].startswith("whsec_")
    one = (grant_id, made["subscription_id"])
    other = await cli("requester", "subscription", "secret", *one)
    assert other["secret"] not in ("", made["secret"])
    assert await cli("requester", "subscription", "messages", *one) == []
    for again in ((), ("--since", "2026-11-01T08:00:00")):
        assert (await cli("requester", "subscription", "replay", *one, *again))["subscription_id"] == made["subscription_id"]
    async with exchange.sessions() as tx:
        assert (await tx.scalars(select(Subscription.epoch))).one() == 3
    batch_id = (await exchange.accepted(resource.resource_id))["batch_id"]
    with pytest.raises(ProblemAnswer, match=f"batch {batch_id} is not on a topic that was read yet"):
        await cli("requester", "subscription", "replay", *one, "--batch-id", batch_id)


async def test_a_table_that_cannot_be_entered_is_refused_and_nothing_of_its_address_is_shown(exchange: Any, cli: Any) -> None:
    url = "postgresql://u:hidden-word@127.0.0.1:1/d?sslmode=disable"
    with pytest.raises(ClientError, match="database-away") as refused:
        await cli("requester", "subscription", "add", "table", await given(exchange), "--table", "streets", "--url", url, "--create")
    assert "hidden-word" not in str(refused.value)


async def test_use_is_recorded_once_and_read_by_both_sides_from_the_command_line(exchange: Any, cli: Any) -> None:
    grant_id = await given(exchange)
    today = day_of(utc_now())
    days = ("--first", today.isoformat(), "--last", today.isoformat())
    with pytest.raises(ProblemAnswer, match="404"):
        await cli("provider", "use", "record", grant_id, *days, *TOLD)
    before = ("--first", (today - timedelta(days=1)).isoformat(), "--last", today.isoformat())
    with pytest.raises(ProblemAnswer, match="the day the grant was given"):
        await cli("requester", "use", "record", grant_id, *before, *TOLD)
    made = await cli("requester", "use", "record", grant_id, *days, *TOLD, "--cases", "12")
    assert (made["first_on"], made["use"]["process"], made["use"]["case_count"]) == (today.isoformat(), "受理时核对住址", 12)
    with pytest.raises(ProblemAnswer, match="use-recorded"):
        await cli("requester", "use", "record", grant_id, *days, *TOLD)
    for who in ("requester", "provider", "authority"):
        assert [one["use_id"] for one in await cli(who, "use", "list", "--grant", grant_id)] == [made["use_id"]]
    assert await cli("authority", "use", "list", "--resource", str(uuid4())) == []
