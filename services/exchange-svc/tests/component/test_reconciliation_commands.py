"""The command line of reconciliation and lag, against a service that listens."""

import csv
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from dxmesh_client.cli.reconciliation import _batches
from dxmesh_client.errors import ClientError
from dxmesh_runtime.db import utc_now
from exchange_svc.batch.store import Batch

BODY = b"code,name\n1,a\n2,b\n"


async def test_an_account_is_held_against_the_nodes_and_a_difference_settled_from_the_command_line(
    exchange: Any, cli: Any, tmp_path: Path
) -> None:
    resource = await exchange.publish(published_at=datetime(2026, 10, 1, tzinfo=UTC))
    late = await exchange.publish(name="停更名录", published_at=datetime(2026, 10, 1, tzinfo=UTC))
    batch = await exchange.accepted(resource.resource_id, BODY)
    now = utc_now()
    async with exchange.sessions.begin() as tx:  # the command line tells whole seconds
        await tx.execute(update(Batch).values(received_at=now - timedelta(minutes=1)))
    window = ["--since", _local(now - timedelta(hours=1)), "--until", _local(now)]
    one = str(resource.resource_id)
    shown = await cli("provider", "reconciliation", "show", "resource", one, *window)
    mine = {"batch_id": batch["batch_id"], "row_count": 2, "sha256": hashlib.sha256(BODY).hexdigest()}
    assert shown["batches"] == [mine]
    agreed, differing = tmp_path / "mine.csv", tmp_path / "other.json"
    with agreed.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(mine))
        writer.writeheader()
        writer.writerow(mine)
    differing.write_text(json.dumps([mine | {"row_count": 3}]), encoding="utf-8")
    assert (await cli("provider", "reconciliation", "check", "resource", one, str(agreed), *window))["difference_count"] == 0
    with pytest.raises(SystemExit, match="1"):
        await cli("provider", "reconciliation", "check", "resource", one, str(differing), *window)
    [case] = await cli("provider", "reconciliation", "cases", "--state", "open")
    assert (case["difference_count"], case["differences"][0]["kind"]) == (1, "other_count")
    assert (await cli("provider", "reconciliation", "case", case["case_id"]))["differences"][0]["told_count"] == 3
    settled = await cli("authority", "reconciliation", "settle", case["case_id"], "--explanation", "重复计数")
    assert (settled["state"], settled["explanation"]) == ("settled", "重复计数")
    assert [feed["resource_id"] for feed in await cli("provider", "reconciliation", "late")] == [str(late.resource_id)]
    with pytest.raises(ClientError, match="may not see its account"):
        await cli("requester", "reconciliation", "show", "resource", one, *window)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%dT%H:%M:%S")


async def test_lag_is_listed_from_the_command_line(exchange: Any, cli: Any) -> None:
    resource = await exchange.publish(taxonomies=("base-population",))
    grant = await exchange.granted(resource)
    await exchange.accepted(resource.resource_id)
    await exchange.fold()
    await exchange.client.get(f"/v1/grants/{grant['grant_id']}/rows", headers=exchange.steward(exchange.requester))
    await exchange.accepted(resource.resource_id)
    for arguments in ((), ("--grant", grant["grant_id"]), ("--taxonomy", "base-population", "--standing", "reading")):
        [item] = await cli("requester", "lag", *arguments)
        [one] = item["subscribers"]
        assert (one["mode"], one["standing"], one["unread_row_count"]) == ("pull", "reading", 3)
    assert await cli("requester", "lag", "--taxonomy", "base-credit") == []


@pytest.mark.parametrize("text", ["batch_id,row_count\na,1\n", "batch_id,row_count,sha256\na,many,0\n"], ids=["short", "no number"])
def test_a_file_that_is_no_account_is_refused_with_what_it_needs(tmp_path: Path, text: str) -> None:
    file = tmp_path / "account.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ClientError, match="needs batch_id, row_count, sha256"):
        _batches(file)
