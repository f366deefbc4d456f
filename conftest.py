"""Test fixtures of the whole workspace: a real PostgreSQL, a real Apache Kafka, fresh migrated databases, a folder as object store."""

import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from dxmesh_local.kafka import Kafka
from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres
from dxmesh_runtime import telemetry
from dxmesh_runtime.settings import TelemetrySettings

telemetry.set_up_logs(TelemetrySettings(log_level="WARNING"))

FreshDatabase = Callable[[str], Awaitable[str]]
_DAY_SECONDS, _CHINA_AHEAD_SECONDS, _LONGEST_SECONDS = 86_400, 8 * 3_600, 15


@pytest.fixture(autouse=True)
def one_day() -> None:
    """Begin no test just before a day ends, in UTC or in China: what it calls today is today until it ends."""
    now = time.time()
    left = min(_DAY_SECONDS - (now + ahead) % _DAY_SECONDS for ahead in (0, _CHINA_AHEAD_SECONDS))
    if left < _LONGEST_SECONDS:
        time.sleep(left)


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


@pytest.fixture(scope="session")
async def fresh_database(postgres: Postgres) -> AsyncIterator[FreshDatabase]:
    """Yield `await fresh_database("exchange_svc")` → SQLAlchemy URL of a new database with that service's tables.

    The migrations run once per package into a template; each call copies it (about 15 ms).
    `await fresh_database("")` gives an empty database.
    """
    admin = await asyncpg.connect(postgres.url("postgres").replace("+asyncpg", ""))
    templates: dict[str, str] = {"": "template0"}
    numbers = itertools.count(1)

    async def template(package: str) -> str:
        if package not in templates:
            from dxmesh_runtime import migrate

            name = f"template_{package}"
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
            await admin.execute(f'CREATE DATABASE "{name}"')
            await migrate.upgrade(postgres.url(name), package)
            templates[package] = name
        return templates[package]

    async def make(package: str) -> str:
        source = await template(package)
        name = f"test_{package or 'empty'}_{next(numbers)}"
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return postgres.url(name)

    yield make
    await admin.close()


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Return the URL of an empty folder used as object store."""
    folder = tmp_path / "objects"
    folder.mkdir()
    return folder.as_uri()
