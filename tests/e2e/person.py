"""Someone at a command line: runs `dxmesh` in this process or one of its own, and demands foreseen failures."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.cli import main

DXMESH = str(Path(sys.executable).with_name("dxmesh"))
UNKNOWN = "0197c2a0-0000-7000-8000-0000000000ff"


@dataclass(frozen=True)
class Ran:
    """What a run of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)

    def failed(self, code: int, *words: str) -> None:
        """Demand a foreseen failure: its code, and one line on standard error with these words."""
        assert self.code == code, self
        assert self.err.startswith("dxmesh: "), self
        assert self.err.count("\n") == 1, self
        for word in words:
            assert word in self.err, self


@dataclass(frozen=True)
class Person:
    """Someone at a command line, with a profile and a folder of their own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"DXMESH_PROFILE": str(self.profile), "DXMESH_HOME": str(self.folder / "no-mesh"), "NO_COLOR": "1"}

    @property
    def profile(self) -> Path:
        return self.folder / "profile.json"

    def __call__(self, *arguments: object, stdin: str = "") -> Ran:
        """Run a command in this process: the same `main`, without the second it takes to start."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name in [name for name in os.environ if name.startswith("DXMESH_")]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["dxmesh", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            with pytest.raises(SystemExit) as ended:
                main()
        return Ran(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def shell(self, *arguments: object, **environment: str) -> Ran:
        """Run a command as a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DXMESH_", "_DXMESH"))}
        done = subprocess.run(
            [DXMESH, *map(str, arguments)],
            env={**kept, **self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)


def without_a_node(other: Person, folder: Path) -> Person:
    """Return someone with another's profile whose addresses are ports where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    profile = json.loads(other.profile.read_bytes())
    for name in ("catalog", "exchange", "quality", "open_data", "audit"):
        profile[name] = f"http://127.0.0.1:{port}"
    profile |= {"kafka": f"127.0.0.1:{port}", "patience_seconds": 0.2}
    person = Person(folder)
    person.profile.write_text(json.dumps(profile))
    return person
