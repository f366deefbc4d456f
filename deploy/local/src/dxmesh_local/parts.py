"""The parts of one mesh, each with the four things the supervisor needs of it: prepare, launch, ask, end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from dxmesh_local import probes, process, wiring
from dxmesh_local.home import Home
from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports, setting
from dxmesh_local.postgres import Postgres


async def _silent() -> str:
    return "starting"


@dataclass
class Part:
    """One process under the supervisor's care."""

    name: str
    log: Path
    ports: dict[str, int]  # setting that moves it -> port
    launch: Callable[[], subprocess.Popen[bytes]]  # called in the supervisor's main thread
    answers: Callable[[], Awaitable[bool]]
    prepare: Callable[[], None] = lambda: None  # may take long: called in a thread
    why_not: Callable[[], Awaitable[str]] = _silent  # what it still waits for, in words
    end_signal: int = signal.SIGTERM
    end_seconds: float = 15.0
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)


def postgres(home: Home, ports: Ports) -> tuple[Part, Postgres]:
    """Return the PostgreSQL of this home."""
    server = Postgres(
        home.root / "postgres", ports.postgres, log=home.log("postgres"), environment=wiring.child_environment(home, os.environ)
    )
    part = Part(
        "postgres",
        server.log,
        {setting("postgres"): ports.postgres},
        server.launch,
        server.answers,
        server.prepare,
        end_signal=signal.SIGINT,
        end_seconds=30,
    )
    return part, server


def kafka(home: Home, ports: Ports, say: Callable[[str], None]) -> Part:
    """Return the Apache Kafka of this home."""
    broker = Kafka(
        home.root / "kafka",
        ports.kafka,
        ports.kafka_controller,
        log=home.log("kafka"),
        say=say,
        secured=True,
        environment=wiring.child_environment(home, os.environ),
    )
    _ = broker.password  # made before several ask for it at once
    taken = {setting("kafka"): ports.kafka, setting("kafka_controller"): ports.kafka_controller}
    return Part("kafka", broker.log, taken, broker.launch, broker.answers, broker.prepare, end_seconds=20)


def service(one: wiring.Service, home: Home, ports: Ports, environment: Callable[[], dict[str, str]]) -> Part:
    """Return one of the five services, as `python -m <service> all`."""
    port: int = getattr(ports, one.port_field)
    log = home.log(one.name)

    def launch() -> subprocess.Popen[bytes]:
        return process.spawn([sys.executable, "-m", one.package, "all"], log=log, environment=environment(), cwd=home.root)

    async def answers() -> bool:
        status, _ = await probes.http_status(port, "/readyz")
        return status == 200

    async def why_not() -> str:
        status, body = await probes.http_status(port, "/readyz")
        if status == 0:
            return "starting"
        try:
            return f"not yet: {', '.join(json.loads(body)['missing'])}"
        except (ValueError, KeyError, TypeError):
            return f"/readyz answers {status}"

    return Part(one.name, log, {setting(one.port_field): port}, launch, answers, why_not=why_not)
