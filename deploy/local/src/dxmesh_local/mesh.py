"""A whole mesh for tests, the demonstration and the benchmarks: what `make run` starts, with handles to hurt it."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dxmesh_local import following, process, wiring
from dxmesh_local.errors import LocalError, PartFailed
from dxmesh_local.home import Home, State
from dxmesh_local.ports import Ports

if TYPE_CHECKING:
    from dxmesh_runtime.settings import KafkaSettings

_POLL_SECONDS = 0.05


class Mesh:
    """One mesh in a home of its own: `with Mesh(home) as mesh:` or `async with`.

    It is the same supervisor in the same processes as `make up`. It ends with the process that started it,
    on Linux with the thread that started it.
    """

    def __init__(
        self,
        home: Path,
        ports: Ports | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = Home(home.absolute())
        self.ports = ports or Ports.free()
        self._environment = dict(environment or {})
        self._say = say
        self._output = following.Follower({"mesh": self.home.log("mesh")})
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 240.0) -> None:
        """Start everything and return when every part is ready.

        Raises: LocalError, the reason in one line; nothing is left running then.
        """
        self.launch()
        self.wait_until_started(seconds)

    def launch(self) -> None:
        """Start the supervisor and return at once."""
        self.home.open()
        told = {**os.environ, **self.ports.environment(), **self._environment, "DXMESH_HOME": str(self.home.root)}
        self._output = following.Follower({"mesh": self.home.log("mesh")})
        argv = [sys.executable, "-m", "dxmesh_local", "run", "--quiet"]
        log = self.home.log("mesh")
        self._supervisor = process.spawn(argv, log=log, environment=told, cwd=self.home.root, on_parent_death=signal.SIGTERM)

    def wait_until_started(self, seconds: float = 240.0) -> None:
        """Return when the supervisor says that every part is ready, stop everything and raise LocalError otherwise."""
        supervisor = self._launched()
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._tell()
                state = self.home.state()
                mine = state is not None and state.supervisor.pid == supervisor.pid
                if supervisor.poll() is not None:
                    reason = state.error if state is not None and mine else ""
                    raise LocalError(reason) if reason else PartFailed("the supervisor", "ended while starting", self.home.log("mesh"))
                if state is not None and mine and state.phase == "ready":
                    self._tell()
                    return
                if time.monotonic() > deadline:
                    raise PartFailed("the mesh", f"is not ready after {seconds:.0f} s", self.home.log("mesh"))
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self, seconds: float = 90.0) -> None:
        """Stop everything in order and return when no process is left."""
        if self._supervisor is not None:
            process.stop(self._supervisor, signal.SIGTERM, seconds=seconds)
            self._tell()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.launch()
        await asyncio.to_thread(self.wait_until_started)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def urls(self) -> dict[str, str]:
        """Return the base URL of each service by its name (`exchange-svc`)."""
        return wiring.urls(self.ports)

    @property
    def kafka(self) -> "KafkaSettings":
        """Return how the services reach the broker: our own as its super user, with a password that is nobody else's to know."""
        from dxmesh_runtime.settings import KafkaSettings

        given = {name: self._environment.get(f"KAFKA__{name.upper()}") for name in KafkaSettings.model_fields}
        told = {name: value for name, value in given.items() if value}
        return KafkaSettings.model_validate(told if "bootstrap_servers" in told else wiring.own_kafka(self.home, self.ports))

    def database_url(self, package: str) -> str:
        """Return the SQLAlchemy URL of a service's database (`exchange_svc`)."""
        given = wiring.Elsewhere.read(self._environment).databases.get(package)
        if given:
            return given
        from dxmesh_local.postgres import Postgres

        return Postgres(self.home.root / "postgres", self.ports.postgres).url(package)

    @property
    def credentials(self) -> tuple[str, str]:
        """Return client id and secret of the node's authority."""
        kept = json.loads(self.home.client_file.read_text())
        return kept["client_id"], kept["client_secret"]

    @property
    def pids(self) -> dict[str, int]:
        """Return the living parts: name -> pid; `supervisor` among them."""
        state = self._state()
        every = {**state.parts, "supervisor": state.supervisor}
        return {name: part.pid for name, part in every.items() if part.pid and part.identity.alive()}

    @property
    def restarts(self) -> dict[str, int]:
        """Return how often each part had to be started again."""
        return {name: part.restarts for name, part in self._state().parts.items()}

    def kill(self, part: str, signal_number: int = signal.SIGKILL) -> int:
        """Kill a part with -9 and return the pid it had; the supervisor starts it again."""
        pid = self.pids[part]
        os.kill(pid, signal_number)
        while signal_number == signal.SIGKILL and self.pids.get(part) == pid:  # a large process takes a moment to be gone
            time.sleep(_POLL_SECONDS)
        return pid

    def pause(self, part: str) -> None:
        """Freeze a part (SIGSTOP): it keeps its connections and answers nothing."""
        os.kill(self.pids[part], signal.SIGSTOP)

    def resume(self, part: str) -> None:
        """Let a frozen part go on."""
        os.kill(self.pids[part], signal.SIGCONT)

    def empty_kafka(self) -> None:
        """Make the broker lose its disk: it is killed with -9 and comes back with an empty data folder."""
        from dxmesh_local.kafka import Kafka

        Kafka(self.home.root / "kafka", self.ports.kafka, self.ports.kafka_controller).be_empty_at_next_start()
        self.kill("kafka")

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Return when every part runs and every service's /readyz says yes. Raises TimeoutError naming who is missing."""
        deadline = time.monotonic() + seconds
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {seconds:.0f} s: {', '.join(missing)}")
            time.sleep(_POLL_SECONDS)

    def log(self, part: str) -> Path:
        """Return the log of a part; `mesh` is the supervisor's."""
        return self.home.log(part)

    def _missing(self) -> list[str]:
        parts = self._state().parts
        down = [name for name, part in parts.items() if part.state != "ready" or not part.identity.alive()]
        return down or [service.name for service in wiring.SERVICES if not _ready(getattr(self.ports, service.port_field))]

    def _state(self) -> State:
        state = self.home.state()
        if state is None:
            raise LocalError(f"no mesh was started in {self.home.root}")
        return state

    def _launched(self) -> subprocess.Popen[bytes]:
        if self._supervisor is None:
            raise LocalError("the mesh was not started")
        return self._supervisor

    def _tell(self) -> None:
        for _, line in self._output.lines():
            self._say(line)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection(wiring.HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
