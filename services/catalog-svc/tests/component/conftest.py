"""The command line against a catalogue that listens."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catalog_svc.app import create_app
from dxmesh_client.cli import app as dxmesh
from dxmesh_client.cli.output import Mode
from dxmesh_runtime.testing import listening, make_app


@pytest.fixture
async def cli(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Yield the command line as the node's first client uses it; it answers with what was printed as JSON."""
    async with listening(make_app(create_app, node.settings)) as url:
        bootstrap = node.settings.bootstrap
        profile = dict.fromkeys(("catalog", "exchange", "quality", "open_data", "audit"), url) | {
            "client_id": bootstrap.client_id,
            "client_secret": bootstrap.client_secret.get_secret_value(),
        }
        (tmp_path / "profile.json").write_text(json.dumps(profile), encoding="utf-8")
        monkeypatch.setattr(Mode, "json", False)  # given back as it was
        monkeypatch.setenv("DXMESH_PROFILE", str(tmp_path / "profile.json"))

        async def run(*arguments: str) -> Any:
            answer = await asyncio.to_thread(CliRunner().invoke, dxmesh, ["--json", *arguments])
            if answer.exception is not None:
                raise answer.exception
            return json.loads(answer.stdout)

        yield run
