"""Running an agent: each job in a thread of its own, again and again, with longer pauses while the node is away, until it is stopped."""

import fcntl
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID, uuid5

from dxmesh_client.agent.config import Agent, Config, Job
from dxmesh_client.agent.folder import FolderJob
from dxmesh_client.agent.sending import Sender, log
from dxmesh_client.agent.table import TableJob
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

_CHANNEL_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680005")
_FIRST_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 5  # with the node in one call; the pauses between are the job's


class Work(Protocol):
    """What a job does."""

    def step(self) -> bool:
        """Send one piece of work; say whether there was one."""
        ...


class AlreadyRunning(ClientError):
    """Another process runs with the same state."""


@contextmanager
def alone(agent: Agent) -> Iterator[None]:
    """Hold the agent's state: two that send from one place would send everything twice. Raises: AlreadyRunning."""
    agent.state.mkdir(parents=True, exist_ok=True)
    lock = os.open(agent.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"an agent runs with the state in {agent.state} already; stop it first") from None
        yield
    finally:
        os.close(lock)


def work_of(job: Job, agent: Agent, client: Client) -> Work:
    """Return what a job does. Raises: ConfigInvalid."""
    sender = Sender(client, agent, job.name, job.resource_id)
    if job.folder is not None:
        return FolderJob(job, job.folder, sender, agent.state)
    assert job.table is not None
    return TableJob(job, job.table, sender, agent.state)


def run(config: Config, *, once: bool, stop: threading.Event, connect: Callable[[], Client] | None = None) -> bool:
    """Run every job until `stop`, or once until nothing is left; say whether all went well.

    Raises: AlreadyRunning.
    """
    wrong: list[str] = []
    with alone(config.agent):
        threads = [
            threading.Thread(target=_run_job, args=(job, config.agent, once, stop, connect or _connect, wrong), name=job.name)
            for job in config.job
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    log("agent.stopped", agent=config.agent.name, failed=wrong)
    return not wrong


def _connect() -> Client:
    return Client(patience_seconds=_PATIENCE_SECONDS)


def _run_job(job: Job, agent: Agent, once: bool, stop: threading.Event, connect: Callable[[], Client], wrong: list[str]) -> None:
    work: Work | None = None
    pause = _FIRST_PAUSE_SECONDS
    with connect() as client:
        while not stop.is_set():
            try:
                work = work or work_of(job, agent, client)
                busy, pause = work.step(), _FIRST_PAUSE_SECONDS
            except (ClientError, OSError) as failure:
                log("job.failed", job=job.name, error=str(failure), again_in_seconds=None if once else round(pause, 1))
                if once:
                    wrong.append(job.name)
                    return
                stop.wait(pause * random.uniform(0.5, 1))  # so that agents do not all come back in one moment
                pause = min(pause * 2, agent.backoff_max_seconds)
                continue
            if busy:
                continue
            if once:
                return
            stop.wait(agent.poll_seconds)


def channel_id(agent: Agent, job: Job) -> UUID:
    """Return the id under which the node lists a job."""
    return uuid5(_CHANNEL_IDS, f"{agent.name}/{job.name}/{job.resource_id}")
