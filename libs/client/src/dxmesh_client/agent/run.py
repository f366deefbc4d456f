"""Running an agent: each job in a thread of its own, again and again, with longer pauses while the node is away, until it is stopped."""

import fcntl
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol
from uuid import UUID, uuid5

from dxmesh_client.agent.config import Agent, Config, Job
from dxmesh_client.agent.folder import FolderJob
from dxmesh_client.agent.sending import Sender, log
from dxmesh_client.agent.table import TableJob
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError, ProblemAnswer, Unreachable

_CHANNEL_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680005")
_FIRST_PAUSE_SECONDS = 1.0
_TELL_SECONDS, _TELL_BUSY_SECONDS = 3600, 60
_MOST_DETAIL = 4_000
_MOST_ASKED_SECONDS = 3600
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
    agent.state.mkdir(parents=True, exist_ok=True, mode=0o700)  # rows lie there
    lock = os.open(agent.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"an agent runs with the state in {agent.state} already; stop it first") from None
        yield
    finally:
        os.close(lock)


def work_of(job: Job, agent: Agent, sender: Sender, stop: threading.Event) -> Work:
    """Return what a job does. Raises: ConfigInvalid."""
    if job.folder is not None:
        return FolderJob(job, job.folder, sender, agent.state)
    assert job.table is not None
    return TableJob(job, job.table, sender, agent.state, stop)


def run(config: Config, *, once: bool, stop: threading.Event, connect: Callable[[], Client] | None = None) -> bool:
    """Run every job until `stop`, or once until nothing is left; say whether all went well.

    Raises: AlreadyRunning, NotConfigured.
    """
    wrong: list[str] = []
    with alone(config.agent), ExitStack() as clients:
        threads = [
            threading.Thread(
                target=_run_job, args=(job, config.agent, once, stop, clients.enter_context((connect or _connect)()), wrong), name=job.name
            )
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


def _run_job(job: Job, agent: Agent, once: bool, stop: threading.Event, client: Client, wrong: list[str]) -> None:
    work: Work | None = None
    sender: Sender | None = None
    pause = _FIRST_PAUSE_SECONDS
    teller = Teller(client, agent, job)
    while not stop.is_set():
        try:
            sender = sender or Sender(client, agent, job.name, job.resource_id)
            work = work or work_of(job, agent, sender, stop)
            busy, pause = work.step(), _FIRST_PAUSE_SECONDS
        except Exception as failure:  # noqa: BLE001  # whatever it is: a job that ended would be silent, and the others would hide it
            wait = max(pause, asked_seconds(failure))
            kind = {} if isinstance(failure, ClientError | OSError) else {"kind": type(failure).__name__}
            log("job.failed", job=job.name, error=str(failure), again_in_seconds=None if once else round(wait, 1), **kind)
            if not isinstance(failure, Unreachable):
                teller.tell("failing", str(failure) or type(failure).__name__, last_batch_id=sender.last_batch_id if sender else None)
            if once:
                wrong.append(job.name)
                return
            stop.wait(max(asked_seconds(failure), pause * random.uniform(0.5, 1)))  # so that agents do not all come back in one moment
            pause = min(pause * 2, agent.backoff_max_seconds)
            continue
        teller.tell("working", is_busy=busy, last_batch_id=sender.last_batch_id)
        if busy:
            continue
        if once:
            return
        stop.wait(agent.poll_seconds)


def asked_seconds(failure: Exception) -> float:
    """Return for how many seconds the node asked to be left alone."""
    told = failure.problem.get("retry_after_seconds") if isinstance(failure, ProblemAnswer) else None
    return min(float(told), _MOST_ASKED_SECONDS) if isinstance(told, int | float) else 0


class Teller:
    """Tells the node how a job is, for its inventory of channels: when that changes, after batches, and once an hour."""

    def __init__(self, client: Client, agent: Agent, job: Job) -> None:
        self._client, self._agent, self._job = client, agent, job
        self._url = f"{client.profile.exchange}/v1/channels/{uuid5(_CHANNEL_IDS, f'{agent.name}/{job.name}/{job.resource_id}')}/report"
        self._told: tuple[str, UUID | None] = ("", None)
        self._told_at = 0.0

    def tell(self, state: str, detail: str | None = None, *, last_batch_id: UUID | None, is_busy: bool = False) -> None:
        """Tell, if there is something to; a node that does not hear it is told later."""
        now, news = time.monotonic(), (state, last_batch_id)
        age = now - self._told_at
        is_due = news[0] != self._told[0] or age > _TELL_SECONDS or (news != self._told and (not is_busy or age > _TELL_BUSY_SECONDS))
        if not is_due:
            return
        body = {
            "kind": "folder" if self._job.folder else "table",
            "agent": self._agent.name,
            "name": self._job.name,
            "resource_id": str(self._job.resource_id),
            "state": state,
            "detail": detail[:_MOST_DETAIL] if detail else None,
            "last_batch_id": str(news[1]) if news[1] else None,
        }
        try:
            self._client.call("PUT", self._url, repeat=False, json=body)
        except ClientError as failure:
            log("channel.not_told", job=self._job.name, error=str(failure))
            return
        self._told, self._told_at = news, now
