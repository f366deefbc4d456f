"""Test fixtures of the whole workspace: a real PostgreSQL, a real Apache Kafka, fresh migrated databases, a folder as object store."""

import gc
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres
from dxmesh_runtime import telemetry
from dxmesh_runtime.settings import TelemetrySettings

telemetry.set_up_logs(TelemetrySettings(log_level="WARNING"))

FreshDatabase = Callable[[str], Awaitable[str]]
_DAY_SECONDS, _CHINA_AHEAD_SECONDS, _LONGEST_SECONDS = 86_400, 8 * 3_600, 15
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 8_000_000_000


def _keep_files_in_memory() -> None:
    """Let everything that is kept for a test alone be kept in memory, where there is room: a disk would be written to for nothing."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if min(psutil.disk_usage(str(_MEMORY)).free, psutil.virtual_memory().available) >= _ROOM_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_keep_files_in_memory()
gc.disable()  # while thousands of tests are collected, nothing is given up that would be worth looking for


def pytest_collection_finish() -> None:
    """Look for unreachable objects again, and no more among those that stay to the end."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def one_day() -> None:
    """Begin no test just before a day ends, in UTC or in China: what it calls today is today until it ends."""
    now = time.time()
    left = min(_DAY_SECONDS - (now + ahead) % _DAY_SECONDS for ahead in (0, _CHINA_AHEAD_SECONDS))
    if left < _LONGEST_SECONDS:
        time.sleep(left)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests take longest: begun last, one would go on alone while the other processes have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Yield a folder for the servers of this run, in a place PostgreSQL's user may enter; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="dxmesh-tests-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    """Yield a PostgreSQL of this run, started when the first test asks for it."""
    server = Postgres(server_folder / "postgres", Ports.free().postgres, fast=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka(server_folder: Path) -> Iterator[Kafka]:
    """Yield an Apache Kafka of this run, started when the first test asks for it. Use topics and groups of your own."""
    ports = Ports.free()
    broker = Kafka(server_folder / "kafka", ports.kafka, ports.kafka_controller, say=print)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def secured_kafka(server_folder: Path) -> Iterator[Kafka]:
    """Yield an Apache Kafka of this run that lets nobody in without a user, and users do what its access lists say."""
    ports = Ports.free()
    broker = Kafka(server_folder / "secured-kafka", ports.kafka, ports.kafka_controller, say=print, secured=True)
    broker.start()
    yield broker
    broker.kill()


class Databases:
    """Databases with a service's tables: the migrations run once per package into a template, which is copied."""

    def __init__(self, postgres: Postgres, admin: asyncpg.Connection) -> None:
        self._postgres = postgres
        self._admin = admin
        self._templates = {"": "template0"}
        self._numbers = itertools.count(1)

    async def make(self, package: str) -> str:
        """Return the SQLAlchemy URL of a new database; of an empty one when no package is named."""
        source = await self._template(package)
        name = f"test_{package or 'empty'}_{next(self._numbers)}"
        await self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return self._postgres.url(name)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        await self._admin.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    async def _template(self, package: str) -> str:
        if package not in self._templates:
            from dxmesh_runtime import migrate

            name = f"template_{package}"
            await self._admin.execute(f'CREATE DATABASE "{name}"')
            await migrate.upgrade(self._postgres.url(name), package)
            self._templates[package] = name
        return self._templates[package]


@pytest.fixture(scope="session")
async def databases(postgres: Postgres) -> AsyncIterator[Databases]:
    """Yield the maker of databases of this run."""
    admin = await asyncpg.connect(postgres.url("postgres").replace("+asyncpg", ""))
    yield Databases(postgres, admin)
    await admin.close()


@pytest.fixture
async def fresh_database(databases: Databases) -> AsyncIterator[FreshDatabase]:
    """Yield `await fresh_database("exchange_svc")` → SQLAlchemy URL of a new database with that service's tables, for one test.

    `await fresh_database("")` gives an empty database. It goes with the test: thousands of them would fill the disk.
    """
    made: list[str] = []

    async def make(package: str) -> str:
        made.append(await databases.make(package))
        return made[-1]

    yield make
    for url in made:
        await databases.drop(url)


@pytest.fixture(scope="session")
def lasting_database(databases: Databases) -> FreshDatabase:
    """Return what makes databases like `fresh_database`, for fixtures that tests share; they last as long as the run."""
    return databases.make


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Return the URL of an empty folder used as object store."""
    folder = tmp_path / "objects"
    folder.mkdir()
    return folder.as_uri()
