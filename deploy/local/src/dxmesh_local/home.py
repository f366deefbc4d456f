"""The folder that keeps everything of one local mesh: data, keys, logs, and who is running."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from dxmesh_local.errors import HomeUnusable, LocalError
from dxmesh_local.process import Identity

MARK = "DXMESH_PART_OF"  # in the environment of every child: the home it belongs to
_LEAST_FREE_BYTES = 500 * 1024 * 1024


@dataclass
class PartState:
    """What is known of one running part."""

    pid: int = 0
    created: float = 0.0  # seconds since the epoch
    state: str = "waiting"  # waiting, starting, ready, died, stopped, elsewhere
    address: str = ""
    restarts: int = 0

    @property
    def identity(self) -> Identity:
        """Return the process, told apart from others of the same pid."""
        return Identity(self.pid, self.created)


@dataclass
class State:
    """What the supervisor writes down for `status`, `down` and the tests."""

    supervisor: PartState = field(default_factory=PartState)
    phase: str = "starting"  # starting, ready, stopping, stopped, failed
    error: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    parts: dict[str, PartState] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "State":
        """Read what `dump` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        raw: dict[str, Any] = json.loads(text)
        raw["supervisor"] = PartState(**raw["supervisor"])
        raw["parts"] = {name: PartState(**part) for name, part in raw["parts"].items()}
        return cls(**raw)

    def dump(self) -> str:
        """Return the state as JSON."""
        return json.dumps(asdict(self), indent=1)


@dataclass(frozen=True)
class Home:
    """Where one local mesh lives."""

    root: Path

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "Home":
        """Take DXMESH_HOME, or `.dxmesh` in the repository."""
        environment = os.environ if environment is None else environment
        given = environment.get("DXMESH_HOME", "").strip()
        return cls(Path(given).expanduser().absolute() if given else _repository() / ".dxmesh")

    @property
    def keys(self) -> Path:
        """Return the folder of signing keys and secrets."""
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        """Return the folder with one log per part."""
        return self.root / "logs"

    @property
    def client_file(self) -> Path:
        """Return the file that tells the command line where this mesh is and who may administer it."""
        return self.root / "client.json"

    @property
    def _state_file(self) -> Path:
        return self.root / "mesh.json"

    def log(self, part: str) -> Path:
        """Return the log of a part; `mesh` is the supervisor's own."""
        return self.logs / f"{part}.log"

    def open(self) -> None:
        """Make the folders. Raises HomeUnusable when they cannot be written or the disk has less than 500 MB left."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o711)  # PostgreSQL runs as another user when we are root
            self.keys.mkdir(exist_ok=True, mode=0o700)
            self.logs.mkdir(exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as fault:
            raise HomeUnusable.because(fault, self.root) from fault
        if self.full():
            raise HomeUnusable.full(self.root)

    def full(self) -> bool:
        """Tell whether less than 500 MB are left."""
        return shutil.disk_usage(self.root).free < _LEAST_FREE_BYTES

    def state(self) -> State | None:
        """Return what the last supervisor wrote down; None when there is nothing readable."""
        try:
            return State.parse(self._state_file.read_text())
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write_state(self, state: State) -> None:
        """Replace the state in one step. A full disk costs the note, not the mesh."""
        with contextlib.suppress(OSError):
            write_private(self._state_file, state.dump())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold this home for one supervisor. Raises LocalError when another has it; the kernel frees it with the process."""
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError(f"the mesh in {self.root} is already running: see `make status`, or stop it with `make down`") from None
            yield

    def running(self) -> bool:
        """Tell whether a supervisor has this home."""
        try:
            with self.held():
                return False
        except LocalError:
            return True
        except FileNotFoundError:
            return False

    def leftovers(self) -> list[psutil.Process]:
        """Return the processes of an earlier run of this home; call it only while holding the home.

        Ours for certain: the environment they were born with names this home.
        """
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.root):
                    found.append(process)
        return found


def write_private(file: Path, text: str) -> None:
    """Write a file only its owner may read, in one step."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    fresh.replace(file)


def _repository() -> Path:
    """Return the checkout this package is installed from, or the current folder when it is installed without one."""
    here = Path(__file__).resolve()
    checkout = here.parents[4] if len(here.parents) > 4 else here.parent
    return checkout if (checkout / "Makefile").exists() else Path.cwd()
