"""docs/requirements.md is kept true: every id once, every named test exists, a state that fits, and a right count."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.contract.generate import ROOT

_COUNTS = {"C": 19, "B": 4, "X": 15, "L": 9, "Q": 8, "O": 9, "A": 5, "S": 10}
_ROW = re.compile(r"^\| ([A-Z]\d\d) \| (.+?) \| (.+?) \| (.*?) \| (\w+) \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
ROWS = _ROW.findall(PAGE)


@cache
def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_requirement_stands_there_once() -> None:
    expected = [f"{letter}{number:02}" for letter, count in _COUNTS.items() for number in range(1, count + 1)]
    assert sorted(row[0] for row in ROWS) == sorted(expected)
    assert len(expected) == 79


def test_the_last_line_counts_the_states() -> None:
    count = Counter(row[4] for row in ROWS)
    assert PAGE.rstrip().splitlines()[-1] == f"{count['works']} work, {count['partly']} partly, {count['open']} are open."


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_shows_a_requirement_exists(row: tuple[str, str, str, str, str]) -> None:
    identifier, requirement, _, shown_by, state = row
    assert requirement.strip()
    assert state in ("works", "partly", "open")
    named = re.findall(r"`([^`]+)`", shown_by)
    assert bool(shown_by.strip()) == (state != "open"), f"{identifier} is {state} and shown by {shown_by or 'nothing'}"
    for node in named:
        path, _, name = node.partition("::")
        assert (ROOT / path).is_file(), f"{identifier}: {path} is not there"
        assert name in _tests_in(ROOT / path), f"{identifier}: {name} is not in {path}"
    for page in re.findall(r"\]\(([^)]+)\)", shown_by):
        assert (ROOT / "docs" / page).is_file(), f"{identifier}: {page} is not there"
