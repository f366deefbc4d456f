"""The import rules reach every noun: a new package that no rule knows would be free to import anything."""

import tomllib

import pytest

from tests.contract.generate import ROOT
from tests.contract.services import PACKAGES

_OTHERS = {"migrations", "templates", "static", "__pycache__"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_noun_of_a_service_is_layered(package: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layered = {container for contract in contracts for container in contract.get("containers", ())}
    (source,) = ROOT.glob(f"services/*/src/{package}")
    nouns = {folder.name for folder in source.iterdir() if folder.is_dir()} - _OTHERS
    assert {f"{package}.{noun}" for noun in nouns} <= layered
    assert package in layered
