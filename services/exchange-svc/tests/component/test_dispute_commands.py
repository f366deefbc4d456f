"""The command line of deadlines, disputes and corrections, against a service that listens."""

from typing import Any

import pytest

from dxmesh_client.errors import ClientError
from dxmesh_schemas.catalog import SharingType

CONDITIONAL = {"sharing_type": SharingType.CONDITIONAL, "sharing_condition": "仅限老年人服务"}


async def test_a_dispute_goes_its_way_from_the_command_line(exchange: Any, cli: Any) -> None:
    request = (await exchange.ask(await exchange.publish(**CONDITIONAL))).json()
    [owed] = await cli("provider", "clocks", "--owed")
    assert (owed["request_id"], owed["due_on"], owed["standing"]) == (request["request_id"], request["due_on"], "running")
    with pytest.raises(ClientError, match="until"):
        await cli("requester", "dispute", "open", request["request_id"], "--reason", "x")
    await cli("provider", "request", "decide", request["request_id"], "refused", "--approved-by", "主任", "--reason", "用途不符")
    assert await cli("provider", "clocks", "--owed") == []
    opened = await cli("requester", "dispute", "open", request["request_id"], "--reason", "拒绝理由不成立")
    one = opened["dispute_id"]
    await cli("provider", "dispute", "decide", one, "upheld", "--reason", "超出职责", "--decided-by", "主任")
    assert (await cli("requester", "dispute", "further", one, "--reason", "协商未果"))["rung"] == "authority"
    assert [clock["rule"] for clock in await cli("authority", "clocks", "--owed")] == ["dispute_decision"]
    granted = ("--reason", "符合条件", "--decided-by", "绍兴市数据局", "--item", "code")
    assert (await cli("authority", "dispute", "decide", one, "granted", *granted))["state"] == "settled"
    assert [found["dispute_id"] for found in await cli("provider", "dispute", "list", "--state", "settled")] == [one]
    assert len((await cli("requester", "dispute", "show", one))["steps"]) == 4
    assert (await cli("requester", "request", "show", request["request_id"]))["items"] == ["code"]
    with pytest.raises(ClientError, match="settled"):
        await cli("requester", "dispute", "withdraw", one, "--reason", "x")


async def test_a_doubt_is_filed_and_answered_from_the_command_line(exchange: Any, cli: Any) -> None:
    resource = await exchange.publish()
    batch = await exchange.accepted(resource.resource_id)
    grant = await exchange.granted(resource)
    row = f"{batch['batch_id']}:2"
    filed = await cli(
        "requester",
        "correction",
        "file",
        grant["grant_id"],
        "--record",
        "code=330602001",
        "--record",
        row,
        "--item",
        "name",
        "--reason",
        "x",
    )
    assert filed["records"] == [
        {"key": {"code": "330602001"}, "batch_id": None, "row": None},
        {"key": None, "batch_id": batch["batch_id"], "row": 2},
    ]
    with pytest.raises(ClientError, match="batch that brings the corrected records"):
        await cli("provider", "correction", "answer", filed["correction_id"], "corrected", "--approved-by", "主任")
    await cli("provider", "correction", "answer", filed["correction_id"], "rejected", "--approved-by", "主任", "--reason", "与批复一致")
    [shown] = await cli("requester", "correction", "list", "--state", "rejected")
    assert shown["answer"] == "与批复一致"
    assert (await cli("requester", "correction", "show", filed["correction_id"]))["state"] == "rejected"
    again = await cli("requester", "correction", "file", grant["grant_id"], "--record", row, "--reason", "x")
    assert (await cli("requester", "correction", "withdraw", again["correction_id"], "--reason", "x"))["state"] == "withdrawn"
