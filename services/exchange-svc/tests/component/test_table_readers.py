"""Strangers' scripts of examples/tables read a resource's table: they find it by the API and read a version with their own libraries."""

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dxmesh_runtime.testing import listening
from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_tabular import table, table_upkeep

SCRIPTS = Path(__file__).parents[4] / "examples" / "tables"
HEAD = b"code,name,people,since\n"


async def run(script: str, url: str, resource_id: object, headers: dict[str, str]) -> tuple[int, str]:
    """Run a script as its reader would, and return its exit status and what it said."""
    environment = {**os.environ, "DXMESH_TOKEN": headers["Authorization"].removeprefix("Bearer ")}
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, str(SCRIPTS / script), url, str(resource_id))
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.fixture
async def resource(exchange: Any) -> Any:
    """A resource of two versions, whose table was appended to, changed, joined, widened and changed again."""
    first = await exchange.publish()
    await exchange.accepted(first.resource_id, HEAD + "1,塔山街道,5,2001-05-01\n2,府山街道,,\n3,c,7,\n".encode())
    await exchange.accepted(first.resource_id, HEAD + b"4,d,8,\n")
    await exchange.fold()
    folder = table.table_key(first.resource_id)
    joined = table_upkeep.join_small(exchange.objects, folder, spare_files=1)
    if joined is not None:
        table_upkeep.put_joined(exchange.objects, folder, joined)
    place = DataItem(code="place", name="地点", data_type=DataType.TEXT)
    second = await exchange.publish(resource_id=first.resource_id, version=2, items=(*first.items, place))
    await exchange.accepted(
        first.resource_id, "code,name,people,since,place\n2,府山街道,9,,东街\n5,e,,,\n".encode(), params={"kind": "upsert"}
    )
    await exchange.fold()
    return second


@pytest.mark.parametrize("library", ["polars", "pandas", "deltalake", "duckdb"])
async def test_a_strangers_script_reads_a_version_of_the_table(exchange: Any, resource: Any, library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it is no part of the development environment")
    headers = exchange.steward(exchange.provider)
    told = (await exchange.client.get(f"/v1/resources/{resource.resource_id}/table", headers=headers)).json()
    async with listening(exchange.app) as url:
        code, said = await run(f"with_{library}.py", url, resource.resource_id, headers)
    assert (code, said.splitlines()[0]) == (0, f"{library}: version {told['version']}, 5 rows"), said
    expected = {
        "polars": "东街",
        "pandas": "东街",
        "deltalake": "the newest batch in it, 3, has 2 of them",
        "duckdb": "│     3 │         2 │",
    }
    assert expected[library] in said, said


async def test_the_provider_alone_is_told_where_the_table_is(exchange: Any, resource: Any) -> None:
    path = f"/v1/resources/{resource.resource_id}/table"
    await exchange.granted(resource)
    found = (await exchange.client.get(path, headers=exchange.steward(exchange.provider))).json()
    assert found["url"] == f"{exchange.objects.url}/tables/{resource.resource_id}"
    asked = await exchange.client.get(path, headers=exchange.steward(exchange.requester))
    assert (asked.status_code, asked.json()["url"], asked.json()["row_count"]) == (200, None, 5)
    assert (await exchange.client.get(path, headers=exchange.steward(exchange.stranger))).status_code == 404
    async with listening(exchange.app) as url:
        code, said = await run("where.py", url, resource.resource_id, exchange.steward(exchange.requester))
        assert (code, "only the provider" in said) == (1, True), said
        code, said = await run("where.py", url, resource.resource_id, exchange.steward(exchange.provider))
    assert (code, said.split()[1]) == (0, str(found["version"])), said


async def test_before_a_batch_was_folded_a_script_is_told_so(exchange: Any) -> None:
    resource = await exchange.publish()
    async with listening(exchange.app) as url:
        code, said = await run("where.py", url, resource.resource_id, exchange.steward(exchange.provider))
    assert (code, "no batch was folded" in said) == (1, True), said
