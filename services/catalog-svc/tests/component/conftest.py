"""The command line against a catalogue that listens, and a browser's part in sending the desk's forms."""

import asyncio
import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
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


class Desk:
    """The pages of a catalogue and their forms, as a browser sends them."""

    def __init__(self, node: Any) -> None:
        self.node = node

    async def page(self, path: str, headers: dict[str, str], status: int = 200) -> str:
        """Return a page."""
        answer = await self.node.client.get(f"/dashboard{path}", headers=headers)
        assert answer.status_code == status, answer.text
        text: str = answer.text
        return text

    async def send(self, path: str, values: dict[str, Any], headers: dict[str, str], status: int = 303) -> httpx.Response:
        """Send a form, by default expecting to be led on."""
        form = {"Origin": "http://service.test", "Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.node.client.post(f"/dashboard{path}", content=urlencode(values, doseq=True), headers=headers | form)
        assert answer.status_code == status, re.findall(r'class="fault"[^>]*>[^<]*|<title>[^<]*', answer.text) or answer.text
        return answer

    async def refused(self, path: str, values: dict[str, Any], headers: dict[str, str], status: int) -> str:
        """Send a form that is refused; return the page that says so."""
        return (await self.send(path, values, headers, status)).text

    @staticmethod
    def unseen(text: str) -> dict[str, str]:
        """Return what the first form on a page carries unseen of what it was made on."""
        return {name: unescape(said) for name, said in re.findall(r'type="hidden" name="(revision|read)" value="([^"]*)"', text)}

    @staticmethod
    def at(text: str, pointer: str) -> str:
        """Return what a page says is wrong with a field."""
        found = re.search(rf'<p class="fault" id="[a-z]+{re.escape(pointer)}!1">([^<]*)</p>', text)
        return unescape(found[1]) if found else ""


@pytest.fixture
def desk(node: Any) -> Desk:
    """Return the desk of a running, empty catalogue."""
    return Desk(node)
