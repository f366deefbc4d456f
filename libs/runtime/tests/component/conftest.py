"""Fixtures of the broker's behaviour suite: a database with outbox and inbox, an event of its own topic, a broker."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text

from dxmesh_local.kafka import Kafka
from dxmesh_runtime import inbox, outbox
from dxmesh_runtime.db import Database, connect
from dxmesh_runtime.settings import DatabaseSettings, KafkaSettings
from dxmesh_schemas import event
from dxmesh_schemas.event import Event


def _create(connection: Connection) -> None:
    op = Operations(MigrationContext.configure(connection))
    outbox.create_v1(op)
    inbox.create_v1(op)
    connection.execute(text("CREATE TABLE effect (n bigserial PRIMARY KEY, thing_id uuid NOT NULL, value int NOT NULL)"))


@pytest.fixture
async def database(fresh_database: Callable[[str], Awaitable[str]]) -> AsyncIterator[Database]:
    found = connect(DatabaseSettings(url=await fresh_database("")))
    async with found.engine.begin() as connection:
        await connection.run_sync(_create)
    yield found
    await found.close()


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


@pytest.fixture
def thing() -> Iterator[Any]:
    """A noun of this test alone: an event class with its own topic and emitter, and a group name."""
    unique = uuid4().hex[:8]

    class Happened(Event):
        TYPE: ClassVar[str] = f"dxmesh.test.thing{unique}.happened.v1"
        TOPIC: ClassVar[str] = f"dxmesh.test.thing{unique}"
        KEY: ClassVar[str] = "thing_id"
        SOURCE: ClassVar[str] = f"/test-{unique}"
        thing_id: UUID
        value: int

    yield SimpleNamespace(event=Happened, topic=Happened.TOPIC, source=Happened.SOURCE, group=f"test-{unique}")
    event._REGISTRY.pop(Happened.TYPE)  # what is registered is a contract, and this is none
