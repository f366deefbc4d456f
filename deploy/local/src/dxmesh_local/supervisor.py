"""Starts the parts of the mesh, keeps each alive, and ends them in order."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import psutil

from dxmesh_local import databases, parts, probes, process, wiring
from dxmesh_local.errors import HomeUnusable, LocalError, PartFailed, PortTaken
from dxmesh_local.home import Home, PartState, State
from dxmesh_local.parts import Part
from dxmesh_local.ports import Ports
from dxmesh_local.postgres import Postgres
from dxmesh_local.process import Identity

T = TypeVar("T")
_START_SECONDS = 120.0
_TELL_SECONDS = 5.0  # a step that takes longer says so
_STEADY_SECONDS = 30.0  # who lived as long starts with a short backoff again
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_TRIM_SECONDS, _TRIM_BYTES = 60.0, 32 * 1024 * 1024


class Supervisor:
    """One mesh on this machine, from the first process to the last."""

    def __init__(self, home: Home, ports: Ports, elsewhere: wiring.Elsewhere, say: Callable[[str], None]) -> None:
        self._home, self._ports, self._elsewhere = home, ports, elsewhere
        self._begun = time.monotonic()
        self._say_plain = say
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._parts: list[Part] = []
        self._ready: dict[str, asyncio.Event] = {}
        self._state = State(ports=dict(ports.items()), urls=wiring.urls(ports))

    def say(self, line: str) -> None:
        """Tell one line with the seconds since the start."""
        self._say_plain(f"[{time.monotonic() - self._begun:6.1f} s] {line}")

    def stop(self) -> None:
        """Ask for the end; asked twice, everything is killed at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`, SIGINT, SIGTERM or SIGHUP; no process is left when it returns or raises.

        Raises: LocalError when the mesh could not be started.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        self._home.open()
        with self._home.held():
            me = Identity.of(os.getpid())
            self._state.supervisor = PartState(os.getpid(), me.created if me else 0.0, "ready")
            earlier = self._home.state()
            self._note()
            try:
                await self._until_stopped(earlier)
            except LocalError as fault:
                self._state.phase, self._state.error = "failed", str(fault)
                raise
            else:
                self._state.phase = "stopped"
            finally:
                self._state.supervisor.state = "stopped"
                self._note()

    async def _until_stopped(self, earlier: State | None) -> None:
        work = asyncio.create_task(self._work(earlier))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        work.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await work
        except ExceptionGroup as faults:
            known, unknown = faults.split(LocalError)
            if unknown or known is None:
                raise
            raise _first(known) from None
        finally:
            await self._end()

    async def _work(self, earlier: State | None) -> None:
        """Start everything, then keep it."""
        self._end_leftovers(earlier)
        home, ports, elsewhere = self._home, self._ports, self._elsewhere
        database: Postgres | None = None
        if not elsewhere.all_databases:
            part, database = parts.postgres(home, ports)
            self._parts.append(part)
        if not elsewhere.kafka:
            self._parts.append(parts.kafka(home, ports, self.say))
        below = list(self._parts)
        identity = wiring.make_identity(home, ports)

        def url(package: str) -> str:
            return elsewhere.databases.get(package) or (database.url(package) if database else "")

        for service in wiring.SERVICES:

            def told(service: wiring.Service = service) -> dict[str, str]:
                return wiring.environment(service, home, ports, database_url=url(service.package), elsewhere=elsewhere, identity=identity)

            self._parts.append(parts.service(service, home, ports, told))
        _check_ports(self._parts)
        if elsewhere.kafka and not await probes.listening(*wiring.host_and_port(elsewhere.kafka, 9092)):
            raise LocalError(f"Kafka at {elsewhere.kafka} does not answer: correct KAFKA__BOOTSTRAP_SERVERS, or unset it for our own")
        for part in self._parts:
            self._state.parts[part.name] = PartState(address=" ".join(f"{wiring.HOST}:{port}" for port in part.ports.values()))
            self._ready[part.name] = asyncio.Event()
        self._note()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trim())
            teller = group.create_task(self._tell_who_is_awaited())
            self.say(f"starting {_listed(part.name for part in below)}" if below else "using the given PostgreSQL and Kafka")
            for part in below:
                group.create_task(self._keep(part))
            await self._databases(database, url)
            # the services wait for the broker themselves: their imports run while it starts
            self.say(f"starting {_listed(service.name for service in wiring.SERVICES)}")
            for part in self._parts[len(below) :]:
                group.create_task(self._keep(part))
            for part in self._parts:
                await self._ready[part.name].wait()
            teller.cancel()
            self._state.phase = "ready"
            self._note()
            self.say("the mesh is ready")

    async def _databases(self, database: Postgres | None, url: Callable[[str], str]) -> None:
        packages = [service.package for service in wiring.SERVICES]
        if database is not None:
            await self._ready["postgres"].wait()
            await database.create(package for package in packages if package not in self._elsewhere.databases)
        old = await databases.behind({package: url(package) for package in packages})
        if old:
            self.say(f"bringing {len(old)} database{'s' if len(old) > 1 else ''} to the newest schema")
            environment = wiring.child_environment(self._home, os.environ)
            await in_thread(lambda: databases.migrate(old, environment, self._home.log("migrate")))

    async def _keep(self, part: Part) -> None:
        """Start a part, wait until it answers, and start it again whenever it ends.

        Raises: LocalError when it does not come up at the beginning; later failures are told and tried again.
        """
        failures, note = 0, self._state.parts[part.name]
        while True:
            started = time.monotonic()
            try:
                await in_thread(part.prepare)
                child = part.child = part.launch()
                born = Identity.of(child.pid)
                note.pid, note.created, note.state = child.pid, born.created if born else 0.0, "starting"
                self._note()
                await self._until_it_answers(part, child)
                note.state = "ready"
                self._note()
                if self._ready[part.name].is_set():
                    self.say(f"{part.name} is back after {time.monotonic() - started:.1f} s")
                else:
                    self.say(f"{part.name} is ready")
                    self._ready[part.name].set()
                await ended(child)
                reason = _cause_of_death(child)
            except (LocalError, OSError) as fault:
                reason = self._in_one_line(part, fault)
                if not self._ready[part.name].is_set() and (failures or not _worth_a_second_try(part)):
                    raise LocalError(reason) from fault
                await self._end_these([part])
            failures = 0 if time.monotonic() - started > _STEADY_SECONDS else failures + 1
            pause = _BACKOFF_SECONDS[min(max(failures - 1, 0), len(_BACKOFF_SECONDS) - 1)]
            note.state, note.restarts = "died", note.restarts + 1
            self._note()
            self.say(f"!! {part.name} {reason}: starting it again in {pause} s (log: {part.log})")
            await asyncio.sleep(pause)

    def _in_one_line(self, part: Part, fault: LocalError | OSError) -> str:
        if self._home.full():
            return str(HomeUnusable.full(self._home.root))
        return str(fault) if isinstance(fault, LocalError) else f"{part.name} cannot be started: {fault}"

    async def _until_it_answers(self, part: Part, child: subprocess.Popen[bytes]) -> None:
        started = time.monotonic()
        while not await part.answers():
            now = time.monotonic()
            if child.poll() is not None:
                raise PartFailed(part.name, f"{_cause_of_death(child)} while starting: {process.tail(part.log, 1)}", part.log)
            if now - started > _START_SECONDS:
                raise PartFailed(part.name, f"is not ready after {_START_SECONDS:.0f} s ({await part.why_not()})", part.log)
            await asyncio.sleep(0.05)

    async def _tell_who_is_awaited(self) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            awaited = [
                f"{part.name} ({await part.why_not()})" for part in self._parts if not self._ready[part.name].is_set() and part.child
            ]
            if awaited:
                self.say(f"waiting for {_listed(awaited)}")

    async def _end(self) -> None:
        """End services, then Kafka, then PostgreSQL; afterwards no descendant is left."""
        self._state.phase = "stopping"
        self._note()
        below = [part for part in self._parts if part.name in ("kafka", "postgres")]
        above = [part for part in self._parts if part not in below]
        groups = [above, *([part] for part in reversed(below))]
        for group in groups:
            if any(part.child is not None and part.child.poll() is None for part in group):
                self.say(f"stopping {_listed(part.name for part in group)}")
            await self._end_these(group)
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        for part in self._parts:
            if part.name in self._state.parts:
                self._state.parts[part.name].state = "stopped"

    async def _end_these(self, group: Sequence[Part]) -> None:
        living = [(part, part.child) for part in group if part.child is not None and part.child.poll() is None]
        for part, child in living:
            child.send_signal(part.end_signal)
            child.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + max((part.end_seconds for part, _ in living), default=0)
        while any(child.poll() is None for _, child in living):
            if self._hurry.is_set() or time.monotonic() > deadline:
                for part, child in living:
                    # PostgreSQL takes its own children along on SIGQUIT, which it could not on SIGKILL
                    child.send_signal(signal.SIGQUIT if part.name == "postgres" and time.monotonic() < deadline + 5 else signal.SIGKILL)
            await asyncio.sleep(0.02)

    def _end_leftovers(self, earlier: State | None) -> None:
        """End what a killed supervisor left behind: only processes born with the mark of this home."""
        left = self._home.leftovers()
        if not left:
            return
        names = {part.pid: name for name, part in earlier.parts.items()} if earlier else {}
        told = [f"{names.get(one.pid) or one.name()} (pid {one.pid})" for one in left if one.pid in names or one.name() != "postgres"]
        process.end_strangers(left)
        self.say(f"ended what an earlier run left behind: {', '.join(told) or f'{len(left)} processes of PostgreSQL'}")

    async def _trim(self) -> None:
        """Keep each log below twice 32 MB."""
        while True:
            await asyncio.sleep(_TRIM_SECONDS)
            for log in self._home.logs.glob("*.log"):
                with contextlib.suppress(OSError):
                    if log.stat().st_size > _TRIM_BYTES:
                        log.with_suffix(".log.1").write_bytes(log.read_bytes())
                        os.truncate(log, 0)  # the parts append: they go on at the new beginning

    def _note(self) -> None:
        self._home.write_state(self._state)


async def in_thread(work: Callable[[], T]) -> T:
    """Run slow work in a thread that does not keep the process from ending."""
    loop, future = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def settle(result: T | None, fault: BaseException | None) -> None:
        if not future.done():
            future.set_exception(fault) if fault else future.set_result(result)

    def body() -> None:
        result, fault = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - handed to whoever awaits
            fault = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=body, daemon=True).start()
    return await future  # type: ignore[no-any-return]


async def ended(child: subprocess.Popen[bytes]) -> None:
    """Return when a child has ended."""
    if not hasattr(os, "pidfd_open"):
        while child.poll() is None:  # noqa: ASYNC110 - no kernel event to wait for outside Linux
            await asyncio.sleep(0.1)
        return
    loop, gone, descriptor = asyncio.get_running_loop(), asyncio.Event(), os.pidfd_open(child.pid)
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    child.wait()


def _cause_of_death(child: subprocess.Popen[bytes]) -> str:
    code = child.poll()
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def _worth_a_second_try(part: Part) -> bool:
    """Tell whether it may have been bad luck: it ran and ended, and not because its settings are wrong (status 2)."""
    return part.child is not None and part.child.poll() not in (None, 2)


def _check_ports(parts_: Iterable[Part]) -> None:
    for part in parts_:
        for name, port in part.ports.items():
            if not probes.bindable(port):
                raise PortTaken(port, part.name, name, _owner(port))


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"


def _first(faults: ExceptionGroup[LocalError]) -> LocalError:
    fault = faults.exceptions[0]
    return _first(fault) if isinstance(fault, ExceptionGroup) else fault


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} and {every[-1]}"
