"""The command line of shared APIs and of channels, against a service that listens."""

import json
from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.errors import ClientError


async def test_apis_are_listed_asked_and_counted_from_the_command_line(exchange: Any, cli: Any, tmp_path: Path) -> None:
    resource = await exchange.publish()
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    grant_id = (await exchange.granted(resource, terms={"modes": ["verify"]}))["grant_id"]
    assert (await cli("requester", "api", "verify", grant_id, "code=330602001"))["answers"] == [True]
    assert (await cli("requester", "api", "verify", grant_id, "code=330602001", "people>:999999"))["answers"] == [False]
    with pytest.raises(ClientError, match="whom it is about"):
        await cli("requester", "api", "verify", grant_id, "people>=:1")
    with pytest.raises(ClientError, match="write item"):
        await cli("requester", "api", "verify", grant_id, "code")
    file = tmp_path / "questions.json"
    file.write_text(json.dumps([{"conditions": []}]), encoding="utf-8")
    [counted] = (await cli("requester", "api", "count", grant_id, "--questions", str(file)))["counts"]
    assert (counted["count"], counted["withheld"]) == (None, "fewer_than_floor")
    listed = await cli("provider", "api", "list", "--resource", str(resource.resource_id))
    assert {one["api"]: one["call_count"] for one in listed} == {"pull": 0, "verify": 3}
    [used] = await cli("provider", "api", "usage", "--by", "total")
    assert (used["grant_id"], used["call_count"], used["refused_count"]) == (grant_id, 3, 1)


async def test_a_channel_is_consolidated_from_the_command_line(exchange: Any, cli: Any) -> None:
    resource = await exchange.publish()
    made = await cli("provider", "channel", "add", "residents by FTP", "--transport", "FTP", "--reason", "nightly since 2014")
    one = made["channel_id"]
    assert [found["channel_id"] for found in await cli("provider", "channel", "list", "--state", "to_consolidate")] == [one]
    with pytest.raises(ClientError, match="name the resource"):
        await cli("provider", "channel", "move", one, "consolidated", "--reason", "x")
    moved = await cli(
        "provider", "channel", "move", one, "consolidated", "--resource", str(resource.resource_id), "--reason", "comes by the agent now"
    )
    assert (moved["state"], moved["resource_id"]) == ("consolidated", str(resource.resource_id))
    await cli("provider", "channel", "move", one, "retired", "--reason", "the server was switched off")
    assert [step["state"] for step in (await cli("provider", "channel", "show", one))["steps"]] == [
        "to_consolidate",
        "consolidated",
        "retired",
    ]
