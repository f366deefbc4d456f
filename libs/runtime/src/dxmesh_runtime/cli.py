"""`python -m <service> api|worker|all|migrate|replay`: the only reader of the environment."""

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import ValidationError

from dxmesh_runtime import app as http
from dxmesh_runtime import telemetry
from dxmesh_runtime.settings import ServiceSettings
from dxmesh_schemas.problem import Problem

log = structlog.get_logger(__name__)
T = TypeVar("T")
_MODES = ("api", "worker", "all", "migrate", "replay")
_GRACE_SECONDS = 5
_COLLECT_AFTER = (20_000, 20, 50)  # objects made, and collections of the younger, before each generation is looked at


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What `main` needs to know of a service."""

    name: str
    package: str
    settings: type[ServiceSettings]
    create_app: Callable[[Any], FastAPI]
    run_worker: Callable[[Any], Coroutine[Any, Any, None]]
    replay: Callable[[Any], Awaitable[tuple[int, int]]] | None = None
    tools: Mapping[str, Callable[[Any, str], Awaitable[str]]] = field(default_factory=dict)  # by name: (settings, argument) → what was done


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that holds it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Catch none."""
        yield


async def _serve(app: FastAPI, settings: ServiceSettings, work: Coroutine[Any, Any, None] | None) -> None:
    """Serve, and work, until SIGTERM or SIGINT; answer what is under way, then end. A loop that fails ends the process."""
    config = uvicorn.Config(
        app,
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=65,
        backlog=512,
    )
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = {asyncio.create_task(server.serve(), name="http"), asyncio.create_task(stop.wait(), name="signal")}
    worker = None if work is None else asyncio.create_task(work, name="worker")
    done, _ = await asyncio.wait(tasks | ({worker} if worker else set()), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    if worker is not None:
        worker.cancel()
    for task in tasks:
        if task.get_name() == "signal":
            task.cancel()
    await asyncio.gather(*tasks, *([worker] if worker else []), return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _settings(spec: ServiceSpec) -> ServiceSettings:
    try:
        return spec.settings()
    except ValidationError as wrong:
        for error in wrong.errors():
            name = "__".join(str(part) for part in error["loc"]).upper()
            print(f"{spec.name}: the setting {name} is wrong or missing: {error['msg']}; see .env.example", file=sys.stderr)
        raise SystemExit(2) from None


def main(spec: ServiceSpec) -> None:
    """Run a service's command line; ends with 0, with 1 after a failure, with 2 for wrong usage or settings."""
    parser = argparse.ArgumentParser(prog=f"python -m {spec.package}", description=f"Run {spec.name}.")
    modes = parser.add_subparsers(dest="mode", required=True, metavar="|".join([*_MODES, *spec.tools]))
    for name in _MODES:
        modes.add_parser(name)
    for name in spec.tools:
        modes.add_parser(name).add_argument("argument", metavar="ID")
    arguments = parser.parse_args()
    mode = arguments.mode
    settings = _settings(spec)
    telemetry.set_up(settings.telemetry, spec.name)
    if mode == "migrate":
        from dxmesh_runtime import migrate  # Alembic costs memory and start time that only this mode has a use for

        changed = migrate.upgrade_now(settings.database.url, spec.package)
        log.info("migrate.done", service=spec.name, changed=changed)
        return
    if mode == "replay":
        if spec.replay is None:
            parser.error(f"{spec.name} has no consumer to replay for")
        done, again = uvloop.run(_awaited(spec.replay(settings)))
        print(f"{done} records took effect, {again} were parked again")
        raise SystemExit(1 if again else 0)
    if mode in spec.tools:
        try:
            print(uvloop.run(_awaited(spec.tools[mode](settings, arguments.argument))))
        except Problem as problem:
            print(f"{spec.name}: {problem.detail}", file=sys.stderr)
            raise SystemExit(1) from None
        return
    app = http.build(settings, name=spec.name, title=spec.name, routers=[]) if mode == "worker" else spec.create_app(settings)
    _calm_collector()
    try:
        uvloop.run(_serve(app, settings, None if mode == "api" else spec.run_worker(settings)))
    except OSError as taken:
        print(f"{spec.name}: cannot listen on {settings.server.host}:{settings.server.port}: {taken}", file=sys.stderr)
        raise SystemExit(1) from None


def _calm_collector() -> None:
    """Let the garbage collector pass over what is there from the start, and look seldom.

    A request makes thousands of objects that go when nothing refers to them; only circles wait for the collector, and they are few.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


async def _awaited(work: Awaitable[T]) -> T:
    return await work
