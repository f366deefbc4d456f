"""What the steps of the demo share: its story, and acting on a mesh as its users do."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from dxmesh_client import Client, ProblemAnswer
from dxmesh_client.models import Batch

WAIT_SECONDS = 60.0
SYSTEM = "区划地名管理系统"
APPROVER = "政务数据共享工作机构负责人"
Say = Callable[[str], None]


class DemoFailed(Exception):
    """Something the demo promises did not hold."""


@dataclass
class Story:
    """What the demo has found so far; its numbers are the demo's result."""

    say: Say
    folder: Path  # where receipts and profiles of this run are kept
    examples: Path
    numbers: dict[str, Any] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)

    def require(self, holds: bool, what: str) -> None:
        """Fail the demo unless something holds."""
        if not holds:
            raise DemoFailed(what)


def find_or_make(client: Client, noun: str, unique: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of the catalogue, of an earlier run or entered now."""
    url = f"{client.profile.catalog}/v1/{noun}"
    cursor = None
    while True:
        page = client.page(url, limit=200, cursor=cursor)
        for item in page.items:
            if item[unique] == fields[unique]:
                return item
        cursor = page.next_cursor
        if cursor is None:
            found: dict[str, Any] = client.call("POST", url, json=fields).json()
            return found


def known(client: Client, resource_id: UUID) -> None:
    """Wait until the event of the publication has reached the neighbours."""
    for url in (
        f"{client.profile.exchange}/v1/resources/{resource_id}/batches",
        f"{client.profile.quality}/v1/resources/{resource_id}/rules",
    ):
        until(partial(_exists, client, url), f"{url} is not known")


def _exists(client: Client, url: str) -> bool:
    try:
        client.call("GET", url)
    except ProblemAnswer as problem:
        if problem.status == 404:
            return False
        raise
    return True


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until something holds. Raises DemoFailed saying what did not."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = 0.02
    while not holds():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{otherwise} after {WAIT_SECONDS:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def dxmesh(story: Story, *arguments: str, expect: int = 0) -> Any:
    """Run the command line as the provider does; return what it says with --json."""
    story.say(f"   $ dxmesh {' '.join(arguments)}")
    environment = os.environ | {"DXMESH_PROFILE": str(story.folder / "provider.json"), "NO_COLOR": "1"}
    command = [sys.executable, "-c", "from dxmesh_client.cli import main; main()", *arguments, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != expect:
        raise DemoFailed(f"dxmesh {' '.join(arguments)} ended with {done.returncode}, not {expect}: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def table_sequence(client: Client, resource_id: UUID) -> int:
    """Return how many batches are folded into a resource's table."""
    try:
        return int(client.call("GET", f"{client.profile.exchange}/v1/resources/{resource_id}/table").json()["sequence"])
    except ProblemAnswer as problem:
        if problem.status == 404:
            return 0
        raise
