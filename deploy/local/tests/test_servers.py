"""PostgreSQL and Kafka alone, for real."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from dxmesh_local import probes
from dxmesh_local.errors import PartFailed
from dxmesh_local.kafka import SECURITY_PROTOCOL, SUPER_USER, SUPER_USER_MECHANISM, Kafka
from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres
from dxmesh_local.process import Identity, tail

pytestmark = pytest.mark.long


def address(server: Postgres, database: str = "postgres") -> str:
    return server.url(database).replace("+asyncpg", "")


async def test_postgres_keeps_its_data_and_is_durable_below_a_folder_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    server = Postgres(tmp_path / "closed" / "postgres", Ports.free().postgres)
    server.prepare()
    await in_mesh_manner(server)
    await server.create(["one", "two"])
    connection = await asyncpg.connect(address(server, "one"))
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert await connection.fetchval("SHOW fsync") == "on"
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(address(server).replace(server.password, "guessed"))
    server.stop()
    assert not await server.answers()

    server.prepare()
    await in_mesh_manner(server)
    await server.create(["one", "two"])
    connection = await asyncpg.connect(address(server, "one"))
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()
    server.stop()


async def in_mesh_manner(server: Postgres) -> None:
    """Launch and wait without a loop of its own: these tests run inside one."""
    child = server.launch()
    while not await server.answers():
        assert child.poll() is None, server.log.read_text()


def test_a_first_start_that_was_cut_off_begins_anew(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", Ports.free().postgres, fast=True)
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("18\n")
    server.prepare()
    assert (tmp_path / "postgres" / "data" / "global").is_dir() or os.geteuid() != 0


def test_postgres_on_a_taken_port_says_so_and_leaves_nothing(tmp_path: Path, postgres: Postgres) -> None:
    server = Postgres(tmp_path / "postgres", postgres.port, fast=True)
    server.prepare()
    child = server.launch()
    assert child.wait(20) != 0
    assert "Address already in use" in server.log.read_text()


def test_the_reason_in_a_log_is_the_last_line_that_says_something(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("started\n    |   File somewhere\n    | ValueError: the port is odd\n    +------------------------------------\n\n")
    assert tail(log) == "ValueError: the port is odd"
    assert tail(tmp_path / "missing.log") == ""


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from dxmesh_local.process import spawn\n"
        "print(spawn([sys.executable, '-c', 'import time; time.sleep(60)'], log=None).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = Identity.of(int(parent.stdout.readline()))
    assert child is not None
    assert child.alive()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    subprocess.run(["tail", f"--pid={child.pid}", "-f", "/dev/null"], timeout=10, check=True)
    assert not child.alive()


async def test_kafka_keeps_what_it_acknowledged_over_a_kill_and_loses_it_when_emptied(tmp_path: Path) -> None:
    ports = Ports.free()
    broker = Kafka(tmp_path / "kafka", ports.kafka, ports.kafka_controller)
    try:
        await start(broker)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all") as producer:
            await producer.send_and_wait("kept", b"a row")
        broker.kill()
        assert not await broker.answers()
        await start(broker)
        async with AIOKafkaConsumer("kept", bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest") as consumer:
            assert (await consumer.getone()).value == b"a row"
        broker.be_empty_at_next_start()
        broker.kill()
        await start(broker)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        assert await admin.list_topics() == []
        await admin.close()
    finally:
        broker.stop()


async def test_a_secured_broker_serves_its_super_user_alone_also_on_a_folder_that_was_open_before(tmp_path: Path) -> None:
    ports = Ports.free()
    before = Kafka(tmp_path / "kafka", ports.kafka, ports.kafka_controller)
    broker = Kafka(tmp_path / "kafka", ports.kafka, ports.kafka_controller, secured=True)
    try:
        await start(before)
        async with AIOKafkaProducer(bootstrap_servers=before.bootstrap_servers, acks="all") as producer:
            admin = AIOKafkaAdminClient(bootstrap_servers=before.bootstrap_servers)
            await admin.start()
            await admin.create_topics([NewTopic("kept", 1, 1)])
            await admin.close()
            await producer.send_and_wait("kept", b"a row")
        before.stop()
        await start(broker)
        login = {
            "bootstrap_servers": broker.bootstrap_servers,
            "security_protocol": SECURITY_PROTOCOL,
            "sasl_mechanism": SUPER_USER_MECHANISM,
            "sasl_plain_username": SUPER_USER,
        }
        options = {"auto_offset_reset": "earliest"}
        async with AIOKafkaConsumer("kept", **login, sasl_plain_password=broker.password, **options) as consumer:
            assert (await consumer.getone()).value == b"a row"
        for wrong in ({"bootstrap_servers": broker.bootstrap_servers}, {**login, "sasl_plain_password": "guessed"}):
            stranger = AIOKafkaConsumer("kept", **wrong)
            with pytest.raises(KafkaError):
                await stranger.start()
            await stranger.stop()
        for file in ("password", "server.properties"):
            assert stat.S_IMODE((broker.folder / file).stat().st_mode) == 0o600
        assert not await probes.metadata_answers("127.0.0.1", ports.kafka)
        assert not await probes.metadata_answers("127.0.0.1", ports.kafka_controller)
    finally:
        broker.stop()
        before.stop()


async def start(broker: Kafka) -> None:
    broker.prepare()
    child = broker.launch()
    while not await broker.answers():
        assert child.poll() is None, broker.log.read_text()


def test_kafka_on_a_taken_port_is_a_clear_failure(tmp_path: Path, kafka: Kafka) -> None:
    ports = Ports.free()
    broker = Kafka(tmp_path / "kafka", kafka.port, ports.kafka_controller)
    broker.prepare()
    child = broker.launch()
    assert child.wait(30) != 0
    assert "Address already in use" in broker.log.read_text()


def test_a_data_folder_that_cannot_be_formatted_is_a_clear_failure(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="could not format its data folder"):
        Kafka(tmp_path / "kafka", 9999, 9999).prepare()
