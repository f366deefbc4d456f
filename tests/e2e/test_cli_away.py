"""The command line where nobody answers, something else does, or who asks is not known; and its doctor, who says which of it is so."""

import json
from pathlib import Path

import pytest

from dxmesh_local.mesh import Mesh
from tests.e2e.node import Node
from tests.e2e.person import UNKNOWN, Person, without_a_node


@pytest.fixture(scope="module")
def authority(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = Person(tmp_path_factory.mktemp("authority"))
    assert person("login", "--node", mesh.home.client_file).code == 0
    return person


@pytest.fixture
def nobody(authority: Person, tmp_path: Path) -> Person:
    return without_a_node(authority, tmp_path)


def test_a_node_that_is_away_ends_with_3(nobody: Person) -> None:
    (nobody.folder / "rows.csv").write_text("id\n1\n")
    for arguments in (["org", "list"], ["push", UNKNOWN, "rows.csv"], ["batch", "show", UNKNOWN], ["tail", UNKNOWN], ["login"]):
        nobody(*arguments).failed(3, "does not answer", "dxmesh doctor")
    found = {one["check"]: one for one in json.loads(nobody("doctor", "--json").out)}
    assert [name for name, one in found.items() if one["ok"]] == ["disk"]
    assert nobody("doctor").code == 1


def test_an_address_of_something_else_ends_with_3(node: Node, nobody: Person) -> None:
    profile = json.loads(nobody.profile.read_bytes())
    for name in ("catalog", "exchange", "quality", "open_data", "audit"):
        profile[name] = node.profile.open_data
    nobody.profile.write_text(json.dumps(profile))
    done = nobody("org", "list")
    assert done.code in (1, 3)
    assert done.err.count("\n") == 1


def test_a_wrong_secret_ends_with_1(authority: Person, tmp_path: Path) -> None:
    person = Person(tmp_path)
    profile = json.loads(authority.profile.read_bytes())
    person.profile.write_text(json.dumps(profile | {"client_secret": "wrong"}))
    person("batch", "show", UNKNOWN).failed(1, "401")
    doctor = {one["check"]: one["ok"] for one in json.loads(person("doctor", "--json").out)}
    assert [check for check, ok in doctor.items() if not ok] == ["token"]


def test_the_doctor_finds_a_working_node_in_order(authority: Person) -> None:
    done = authority("doctor", "--json")
    assert {one["check"]: one["ok"] for one in done.json} == dict.fromkeys(
        ("catalog", "exchange", "quality", "open_data", "audit", "token", "kafka", "disk"), True
    )
    assert authority("doctor").code == 0


def test_login_refuses_a_node_whose_log_key_changed(authority: Person, tmp_path: Path) -> None:
    person = Person(tmp_path)
    profile = json.loads(authority.profile.read_bytes())
    (tmp_path / "node.json").write_text(json.dumps(profile | {"log_key": profile["log_key"][:-6] + "AAAAAA"}))
    person("login", "--node", "node.json").failed(4, "log key")
    assert not person.profile.exists()
