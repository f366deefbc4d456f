import errno
import json
from pathlib import Path

import pytest

from dxmesh_local import wiring
from dxmesh_local.errors import HomeUnusable, LocalError
from dxmesh_local.home import Home, PartState, State
from dxmesh_local.ports import Ports

SERVICE = {service.name: service for service in wiring.SERVICES}


def told(name: str, home: Home, **given: str) -> dict[str, str]:
    elsewhere = wiring.Elsewhere.read(given)
    return wiring.environment(
        SERVICE[name],
        home,
        Ports(),
        database_url="postgresql+asyncpg://x/y",
        elsewhere=elsewhere,
        identity=wiring.Identity("node", "secret", "log.example"),
    )


def test_ports_follow_the_base_and_each_can_be_moved_alone() -> None:
    ports = Ports.read({"DXMESH_PORT_BASE": "9000", "DXMESH_PORT_KAFKA": "19092"})
    assert (ports.catalog, ports.postgres, ports.kafka, ports.kafka_controller) == (9001, 9032, 19092, 9093)
    assert Ports.read({}) == Ports() == Ports.based(8100)
    assert Ports.read(ports.environment()) == ports


@pytest.mark.parametrize("text", ["http", "80", "65500", "-1", "٨١٠٠"])
def test_a_base_that_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(LocalError, match="DXMESH_PORT_BASE"):
        Ports.read({"DXMESH_PORT_BASE": text})


def test_two_parts_on_one_port_are_refused() -> None:
    with pytest.raises(LocalError, match=r"DXMESH_PORT_KAFKA.*DXMESH_PORT_CATALOG|DXMESH_PORT_CATALOG.*DXMESH_PORT_KAFKA"):
        Ports.read({"DXMESH_PORT_KAFKA": "8101"})


def test_free_ports_are_all_different() -> None:
    assert len({port for _, port in Ports.free().items()}) == 8


def test_one_database_for_five_services_is_refused() -> None:
    with pytest.raises(LocalError, match=r"\{database\}"):
        wiring.Elsewhere.read({"DATABASE__URL": "postgresql+asyncpg://u:p@db/mesh"})


def test_a_template_and_single_addresses_replace_our_databases() -> None:
    elsewhere = wiring.Elsewhere.read(
        {"DATABASE__URL": "postgresql+asyncpg://u:p@db/{database}", "DATABASE__URL_AUDIT_SVC": "postgresql+asyncpg://u:p@other/log"}
    )
    assert elsewhere.all_databases
    assert elsewhere.databases["catalog_svc"] == "postgresql+asyncpg://u:p@db/catalog_svc"
    assert elsewhere.databases["audit_svc"] == "postgresql+asyncpg://u:p@other/log"


def test_a_service_is_told_our_addresses_unless_real_ones_are_given(tmp_path: Path) -> None:
    home = Home(tmp_path)
    own = told("exchange-svc", home)
    assert own["KAFKA__BOOTSTRAP_SERVERS"] == "127.0.0.1:8192"
    assert own["OBJECT_STORE__URL"] == (tmp_path / "objects").as_uri()
    assert own["AUTH__ISSUER"] == "http://127.0.0.1:8101"
    assert own["SIGNING__KEY_FILE"] == str(tmp_path / "keys" / "exchange-svc.pem")
    assert set(json.loads(own["DASHBOARD__LINKS"])) == set(SERVICE)
    given = told(
        "exchange-svc", home, KAFKA__BOOTSTRAP_SERVERS="k:9092", OBJECT_STORE__URL="s3://bucket", AUTH__ISSUER="https://id.example"
    )
    assert (given["KAFKA__BOOTSTRAP_SERVERS"], given["OBJECT_STORE__URL"], given["AUTH__ISSUER"]) == (
        "k:9092",
        "s3://bucket",
        "https://id.example",
    )


def test_webhooks_of_this_machine_are_allowed_unless_other_networks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUBSCRIPTIONS__ALLOWED_NETWORKS", raising=False)
    assert json.loads(told("exchange-svc", Home(tmp_path))["SUBSCRIPTIONS__ALLOWED_NETWORKS"]) == ["127.0.0.1/32"]
    monkeypatch.setenv("SUBSCRIPTIONS__ALLOWED_NETWORKS", "[]")
    assert told("exchange-svc", Home(tmp_path))["SUBSCRIPTIONS__ALLOWED_NETWORKS"] == "[]"


def test_only_the_catalog_is_told_the_first_credentials(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert told("catalog-svc", home)["BOOTSTRAP__CLIENT_SECRET"] == "secret"
    assert "BOOTSTRAP__CLIENT_SECRET" not in told("quality-svc", home)


def test_keys_and_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.open()
    first = wiring.make_identity(home, Ports())
    files = {file.name: file.read_bytes() for file in home.keys.iterdir()}
    assert set(files) == {"catalog-svc.pem", "exchange-svc.pem", "audit-svc.pem", "node.json"}
    assert {file.stat().st_mode & 0o077 for file in [*home.keys.iterdir(), home.client_file]} == {0}
    assert wiring.make_identity(home, Ports()) == first
    assert {file.name: file.read_bytes() for file in home.keys.iterdir()} == files
    assert json.loads(home.client_file.read_text())["client_secret"] == first.client_secret


def test_a_home_that_cannot_be_made_is_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HomeUnusable, match=r"cannot be written.*DXMESH_HOME"):
        Home(tmp_path / "file" / "home").open()


def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    assert "is full: free at least" in str(HomeUnusable.because(OSError(errno.ENOSPC, "No space left on device"), tmp_path))


def test_a_home_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not home.running()
    with home.held():
        assert home.running()
        with pytest.raises(LocalError, match=r"already running.*make down"), home.held():
            pass
    assert not home.running()


def test_the_state_survives_being_written_and_a_broken_file_is_no_state(tmp_path: Path) -> None:
    home = Home(tmp_path)
    state = State(phase="ready", parts={"kafka": PartState(pid=7, created=1.5, state="ready")})
    home.write_state(state)
    assert home.state() == state
    (tmp_path / "mesh.json").write_text('{"phase": ')
    assert home.state() is None
