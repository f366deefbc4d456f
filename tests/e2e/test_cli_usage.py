"""The command line without a node: help, wrong usage, completion, and what it says until there is a profile."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dxmesh_client.cli import app
from tests.e2e.person import DXMESH, UNKNOWN, Person


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = getattr(command, "commands", {})
    return [path, *(found for name, one in below.items() for found in _commands(one, (*path, name)))]


def test_every_command_explains_itself(tmp_path: Path) -> None:
    person = Person(tmp_path)
    top = person.shell("--help")
    assert top.code == 0
    paths = _commands(get_command(app))
    assert len(paths) > 25
    for name in {path[0] for path in paths if path} | {"demo"}:
        assert re.search(rf"\b{name}\b", top.out), f"--help does not name {name}"
    for path in (("push",), ("request", "decide"), ("demo",)):
        shown = person.shell(*path, "--help")
        assert (shown.code, "Usage:" in shown.out) == (0, True)
    group = get_command(app)
    for path in paths:
        command: Any = group
        for name in path:
            command = command.commands[name]
        assert command.help, f"{path} says nothing of itself"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["push"],
        ["push", "not-an-id", "rows.csv"],
        ["push", UNKNOWN, "not-there.csv"],
        ["push", UNKNOWN, __file__, "--kind", "merge"],
        ["request", "decide", UNKNOWN, "perhaps", "--approved-by", "x"],
        ["pull", UNKNOWN, "--limit", "0"],
        ["tail", UNKNOWN, "--count", "many"],
        ["verify", "not-there.json"],
        ["org", "register", "--name", "x"],
    ],
    ids=lambda arguments: " ".join(Path(argument).name for argument in arguments),
)
def test_wrong_usage_ends_with_2_and_names_the_argument(tmp_path: Path, arguments: list[str]) -> None:
    done = Person(tmp_path)(*arguments)
    assert done.code == 2, done
    assert "Usage:" in done.err
    assert done.out == ""


def test_without_a_node_everything_ends_with_2_and_says_how_to_get_one(tmp_path: Path) -> None:
    person = Person(tmp_path)
    (tmp_path / "rows.csv").write_text("id\n1\n")
    (tmp_path / "receipt.json").write_text("{}")
    for arguments in (["org", "list"], ["push", UNKNOWN, "rows.csv"], ["login"], ["verify", "receipt.json"], ["grant", "show", UNKNOWN]):
        person(*arguments).failed(2, "dxmesh login")
    person("login", "--node", "not-there.json").failed(2, "not-there.json")
    for wrong in ("{", "[]", '{"catalog": "x"}', '{"catalog": "ftp:/x", "exchange": "", "quality": "", "open_data": "", "audit": ""}'):
        person.profile.write_text(wrong)
        person("org", "list").failed(2, "is not a profile")
    doctor = Person(tmp_path / "elsewhere")
    doctor.folder.mkdir()
    assert doctor("doctor").code == 1


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = Person(tmp_path).shell(_DXMESH_COMPLETE="source_bash")
    assert script.code == 0
    (tmp_path / "completion.bash").write_text(script.out)
    asked = """
        source completion.bash
        complete -p dxmesh
        for line in "dxmesh re" "dxmesh request " "dxmesh request decide --re"; do
            read -ra COMP_WORDS <<< "$line"
            [[ $line == *" " ]] && COMP_WORDS+=("")
            COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
            _dxmesh_completion dxmesh
            echo "${COMPREPLY[*]}"
        done
    """
    path = f"{Path(DXMESH).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True)
    registered, top, below, option = done.stdout.splitlines()
    assert registered.endswith("-F _dxmesh_completion dxmesh")
    assert set(top.split()) == {"reader", "receipt", "reconciliation", "report", "resource", "request", "result"}
    before_the_answer = {"approve", "hand-in", "materials", "supply", "extend", "consent", "withdraw"}
    assert set(below.split()) == {"submit", "list", "show", "decide"} | before_the_answer
    assert option.split() == ["--reason"]
