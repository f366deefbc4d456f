"""`dxmesh codes` against a served catalogue: the sets that come along, a file of one's own, and what became of a code."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from catalog_svc.app import create_app
from dxmesh_local.ports import Ports
from dxmesh_runtime.settings import AuthSettings, ServerSettings

DXMESH = str(Path(sys.executable).with_name("dxmesh"))
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def dxmesh(node: Any, tmp_path: Path) -> AsyncIterator[Run]:
    """Yield `await dxmesh("codes", …)` → (exit code, output, complaints), with a profile of the first client of the node."""
    port = Ports.free().catalog
    url = f"http://127.0.0.1:{port}"
    changes = {"auth": AuthSettings(issuer=url), "server": ServerSettings(host="127.0.0.1", port=port, public_url=url)}
    server = uvicorn.Server(uvicorn.Config(create_app(node.settings.model_copy(update=changes)), port=port, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    names = ("catalog", "exchange", "quality", "open_data", "audit")
    bootstrap = node.settings.bootstrap
    profile = dict.fromkeys(names, url) | {"client_id": bootstrap.client_id, "client_secret": bootstrap.client_secret.get_secret_value()}
    (tmp_path / "profile.json").write_text(json.dumps(profile))

    async def run(*arguments: str) -> tuple[int, str, str]:
        environment = {"DXMESH_PROFILE": str(tmp_path / "profile.json"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(DXMESH, *arguments, stdout=pipe, stderr=pipe, env=environment, cwd=tmp_path)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    yield run
    server.should_exit = True
    await serving


async def test_the_shipped_sets_are_loaded_and_a_retired_code_is_explained(dxmesh: Run) -> None:
    code, out, err = await dxmesh("codes", "load", "gb-t-2260.zhejiang", "gb-t-2261.1", "--json")
    assert code == 0, err
    assert [(one["name"], one["version"], one["is_new"]) for one in json.loads(out)] == [
        ("gb-t-2260.zhejiang", 1, True), ("gb-t-2261.1", 1, True),
    ]  # fmt: skip
    code, out, _ = await dxmesh("codes", "explain", "gb-t-2260.zhejiang", "330621")
    assert code == 0
    assert "330621 绍兴县 is retired since 2013-10-18; it became 330603 柯桥区" in out
    code, out, _ = await dxmesh("codes", "show", "gb-t-2260.zhejiang", "--on", "2013-10-17", "--q", "330603", "--json")
    assert (code, json.loads(out)) == (0, [])
    code, _, err = await dxmesh("codes", "explain", "gb-t-2260.zhejiang", "1")
    assert (code, "has no code '1'" in err) == (1, True)


async def test_a_file_of_ones_own_is_imported_and_a_bad_one_refused_by_row(dxmesh: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("code,name,cityCode\n330602001,甲,3306\n330602002,乙,3306\n110101001,丙,1101\n", encoding="utf-8")
    bad.write_text("code,name\n1,甲\n1,乙\n", encoding="utf-8")
    given = ("--title", "街道", "--kind", "division", "--source", "a list")
    code, out, err = await dxmesh("codes", "import", "streets.33", str(good), *given, "--prefix", "33", "--json")
    assert code == 0, err
    assert (json.loads(out)["entry_count"], json.loads(out)["is_new"]) == (2, True)
    code, _, err = await dxmesh("codes", "import", "bad", str(bad), "--title", "x")
    assert code == 1
    assert "/rows/2/code" in err
    code, out, _ = await dxmesh("codes", "import", "bad", str(bad), "--title", "x", "--skip-bad")
    assert code == 0
    assert "1 left out" in out
    code, _, err = await dxmesh("codes", "import", "new", str(good))
    assert (code, "title" in err) == (1, True)
