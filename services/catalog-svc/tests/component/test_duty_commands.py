"""The command line of duties and mounts, against a catalogue that listens."""

from typing import Any

import pytest

from dxmesh_client.errors import ClientError
from dxmesh_clocks.working_days import add, day_of
from dxmesh_runtime.db import utc_now


async def test_a_duty_goes_its_way_from_the_command_line(node: Any, cli: Any) -> None:
    made = await node.published(*await node.provider())
    today = day_of(utc_now())
    with pytest.raises(ClientError, match="/basis: is missing"):
        await cli("duty", "register", "--changed-on", str(today), "--reason", "撤并", "--resource", made["resource_id"])
    given = ("--changed-on", str(today), "--reason", "撤并", "--resource", made["resource_id"], "--change", "duties")
    duty = await cli("duty", "register", *given)
    assert duty["due_on"] == str(add(today, 10))
    assert [one["duty_id"] for one in await cli("duty", "list", "--state", "open")] == [duty["duty_id"]]
    await cli("duty", "extend", duty["duty_id"], "--days", "2", "--reason", "系统改造")
    granted = await cli("duty", "decide", duty["duty_id"], "--outcome", "granted", "--reason", "同意")
    assert granted["due_on"] == str(add(today, 12))
    answer = ("--resource", made["resource_id"], "--version", "1", "--reason", "当日版本已含")
    with pytest.raises(ClientError, match="extended already"):
        await cli("duty", "extend", duty["duty_id"], "--reason", "再请")
    assert (await cli("duty", "answer", duty["duty_id"], *answer))["state"] == "met"
    assert [step["step"] for step in (await cli("duty", "show", duty["duty_id"]))["steps"]][-1] == "answered"
    other = await cli("duty", "register", *given)
    await cli("duty", "cancel", other["duty_id"], "--reason", "误登")
    assert [one["duty_id"] for one in await cli("duty", "list", "--state", "cancelled")] == [other["duty_id"]]


async def test_a_resource_is_mounted_from_the_command_line(node: Any, cli: Any) -> None:
    made = await node.published(*await node.provider())
    resource_id = made["resource_id"]
    assert (await cli("mount", "rate"))["total"]["mount_ratio"] == 0
    assert [one["state"] for one in await cli("mount", "list", "--state", "unmounted")] == ["unmounted"]
    with pytest.raises(ClientError, match="user name or password"):
        await cli("mount", "proxy", resource_id, "--address", "http://user:word@10.0.0.1/")
    await cli("mount", "proxy", resource_id, "--address", "http://10.0.0.1/share")
    assert (await cli("mount", "confirm", resource_id, "--evidence", "返回 200"))["state"] == "supplied"
    assert (await cli("mount", "rate"))["total"]["mount_ratio"] == 1
    assert (await cli("mount", "replica", resource_id))["state"] == "declared"
    assert (await cli("mount", "remove", resource_id, "--reason", "停用"))["state"] == "unmounted"
    assert await cli("mount", "stale") == []
