"""The whole mesh in its own processes: started, hurt, stopped, and never leaving a process behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from dxmesh_local import wiring
from dxmesh_local.errors import LocalError
from dxmesh_local.home import MARK, Home
from dxmesh_local.kafka import Kafka
from dxmesh_local.mesh import Mesh
from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres

pytestmark = pytest.mark.long
SERVICES = {service.name for service in wiring.SERVICES}


@pytest.fixture(scope="module")
def mesh(server_folder: Path) -> Iterator[Mesh]:
    with Mesh(server_folder / "mesh") as running:
        yield running


def command(mesh: Mesh, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "dxmesh_local", *words]
    environment = {**os.environ, **mesh.ports.environment(), "DXMESH_HOME": str(mesh.home.root)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=100)


def left_behind(home: Home, seconds: float = 10) -> list[psutil.Process]:
    """Return what still runs for a home after a moment's patience (the kernel reaps a killed parent's children one after the other)."""
    deadline = time.monotonic() + seconds
    while (found := [one for one in home.leftovers() if one.status() != psutil.STATUS_ZOMBIE]) and time.monotonic() < deadline:
        psutil.wait_procs(found, timeout=0.1)
    return found


def test_a_started_mesh_has_every_part_ready_in_a_process_of_its_own(mesh: Mesh) -> None:
    mesh.wait_until_ready(10)
    assert set(mesh.pids) == {"supervisor", "postgres", "kafka", *SERVICES}
    assert len(set(mesh.pids.values())) == 8
    assert len(mesh.credentials[1]) >= 32


def test_status_and_a_second_up_say_that_it_runs(mesh: Mesh) -> None:
    status = command(mesh, "status")
    assert status.returncode == 0, status.stdout
    assert all(name in status.stdout for name in ("postgres", "kafka", *SERVICES))
    again = command(mesh, "up")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "the mesh is already running")


def test_logs_of_a_part_are_behind_its_name(mesh: Mesh) -> None:
    shown = command(mesh, "logs", "mesh", "audit-svc", "-n", "5").stdout.splitlines()
    assert {line.split("|")[0].strip() for line in shown} == {"mesh", "audit-svc"}
    assert command(mesh, "logs", "nobody-svc").returncode == 2


def test_a_taken_port_is_named_with_its_part_and_the_setting_that_moves_it(mesh: Mesh, tmp_path: Path) -> None:
    other = Mesh(tmp_path / "other", mesh.ports)
    with pytest.raises(LocalError, match=rf"port {mesh.ports.postgres} \(postgres\) is taken by .*DXMESH_PORT_POSTGRES=<port>"):
        other.start()
    assert left_behind(other.home) == []


@pytest.mark.parametrize("part", ["catalog-svc", "kafka", "postgres"])
def test_a_part_killed_with_9_comes_back_and_the_mesh_is_ready_again(mesh: Mesh, part: str) -> None:
    before = mesh.restarts[part]
    killed = mesh.kill(part)
    mesh.wait_until_ready(60)
    assert mesh.pids[part] != killed
    assert mesh.restarts[part] == before + 1
    assert f"!! {part} was killed by SIGKILL" in mesh.log("mesh").read_text()


def test_down_stops_in_order_and_leaves_no_process(mesh: Mesh) -> None:
    stopped = command(mesh, "down")
    assert stopped.returncode == 0, stopped.stderr
    order = [line.split("stopping ")[1] for line in stopped.stdout.splitlines() if "stopping" in line]
    assert [line.split(",")[0] for line in order] == ["catalog-svc", "kafka", "postgres"]
    assert left_behind(mesh.home) == []
    assert command(mesh, "down").stdout == "nothing is running\n"
    assert command(mesh, "status").returncode == 1


@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.2, 2.5])
def test_ctrl_c_at_any_moment_of_a_first_start_leaves_no_process(server_folder: Path, seconds: float) -> None:
    mesh = Mesh(server_folder / f"interrupted-{seconds}")
    # before Python is up, Ctrl-C ends it in ways of its own: the moments count from here
    program = "import runpy; print(flush=True); runpy.run_module('dxmesh_local', run_name='__main__', alter_sys=True)"
    argv = [sys.executable, "-c", program, "up"]
    environment = {**os.environ, **mesh.ports.environment(), "DXMESH_HOME": str(mesh.home.root)}
    # a shell starts what runs in the background with SIGINT ignored; at a terminal it is not
    at_terminal = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    starting = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=at_terminal)
    assert starting.stdout is not None
    starting.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        starting.wait(seconds)
    starting.send_signal(signal.SIGINT)
    _, complaint = starting.communicate(timeout=60)
    assert starting.returncode in (130, -signal.SIGINT), complaint
    assert left_behind(mesh.home) == []
    assert not mesh.home.root.exists() or not mesh.home.running()


def test_what_an_earlier_run_left_is_ended_and_named_and_nothing_else_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.open()
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = subprocess.Popen(sleep, env={**os.environ, MARK: str(home.root)})
    others = subprocess.Popen(sleep, env={**os.environ, MARK: str(tmp_path / "another home")})
    try:
        mesh = Mesh(home.root, environment={"KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"})
        with pytest.raises(LocalError, match=r"Kafka at 127\.0\.0\.1:9 does not answer: correct KAFKA__BOOTSTRAP_SERVERS"):
            mesh.start()
        assert ours.wait(5) == -signal.SIGKILL
        assert others.poll() is None
        assert f"(pid {ours.pid})" in mesh.log("mesh").read_text()
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()


async def test_real_addresses_replace_our_own_parts_and_kill_9_of_the_supervisor_takes_all_along(
    postgres: Postgres, kafka: Kafka, tmp_path: Path
) -> None:
    await postgres.create(f"real_{service.package}" for service in wiring.SERVICES)
    given = {
        "DATABASE__URL": postgres.url("real_{database}"),
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "OBJECT_STORE__URL": (tmp_path / "store").as_uri(),
    }
    async with Mesh(tmp_path / "home", Ports.free(), environment=given) as mesh:
        assert set(mesh.pids) == {"supervisor", *SERVICES}
        assert mesh.kafka.bootstrap_servers == kafka.bootstrap_servers
        assert mesh.database_url("audit_svc") == postgres.url("real_audit_svc")
        mesh.kill("supervisor")
        assert left_behind(mesh.home) == [] or sys.platform != "linux"
        assert command(mesh, "status").returncode == 1
        assert command(mesh, "down").returncode == 0
    assert left_behind(mesh.home) == []


def test_a_database_that_does_not_exist_is_a_clear_line(postgres: Postgres, kafka: Kafka, tmp_path: Path) -> None:
    given = {"DATABASE__URL": postgres.url("missing_{database}"), "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    mesh = Mesh(tmp_path / "home", environment=given)
    with pytest.raises(
        LocalError, match=r"database of catalog_svc .* cannot be used .*missing_catalog_svc.* does not exist.*DATABASE__URL"
    ):
        mesh.start()
    assert left_behind(mesh.home) == []
