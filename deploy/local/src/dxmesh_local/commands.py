"""What a person types: up, down, status, logs, run."""
# ruff: noqa: T201 - printing is what a command is for

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import psutil

from dxmesh_local import following, wiring
from dxmesh_local.errors import LocalError, PartFailed
from dxmesh_local.home import Home, State
from dxmesh_local.ports import Ports
from dxmesh_local.process import end_strangers
from dxmesh_local.supervisor import Supervisor

_INTERRUPTED = 130
_END_SECONDS = 90.0
_PARTS = ("mesh", "postgres", "kafka", *(service.name for service in wiring.SERVICES))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 after a failure (one line on standard error), 2 for wrong usage, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m dxmesh_local", description="Run the whole mesh on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the mesh and return when it is ready")
    commands.add_parser("down", help="stop the mesh")
    status = commands.add_parser("status", help="say which parts run, and where (status 1 when the mesh is not ready)")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    logs = commands.add_parser("logs", help="show the logs of all parts, or of some")
    logs.add_argument("parts", nargs="*", metavar="part", help=", ".join(_PARTS))
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is added")
    logs.add_argument("-n", "--lines", type=int, default=20, help="how many lines of each (20)")
    run = commands.add_parser("run", help="run the mesh in this terminal until Ctrl-C")
    run.add_argument("--quiet", action="store_true", help="without the logs of the parts")
    given = parser.parse_args(argv)
    try:
        home = Home.read()
        if given.command == "up":
            return up(home)
        if given.command == "down":
            return down(home)
        if given.command == "status":
            return show_status(home, as_json=given.json)
        if given.command == "logs":
            unknown = set(given.parts) - set(_PARTS)
            if unknown:
                parser.error(f"no part is called {', '.join(sorted(unknown))}: choose from {', '.join(_PARTS)}")
            return show_logs(home, given.parts or _PARTS, lines=given.lines, follow=given.follow)
        return run_here(home, quiet=given.quiet)
    except LocalError as fault:
        print(f"dxmesh: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run_here(home: Home, *, quiet: bool) -> int:
    """Be the supervisor, in the foreground."""
    show = following.printer(list(_PARTS))
    done = threading.Event()

    def say(line: str) -> None:
        if quiet:
            print(line, flush=True)
        else:
            show("mesh", line)

    if not quiet:
        logs = {name: home.log(name) for name in _PARTS if name != "mesh"}
        threading.Thread(target=following.follow, args=(logs, show, done.is_set), daemon=True).start()
    ports = Ports.read()
    elsewhere = wiring.Elsewhere.read(os.environ)

    try:
        asyncio.run(Supervisor(home, ports, elsewhere, say).run())
    finally:
        done.set()
    return 0


def up(home: Home) -> int:
    """Start the mesh in the background and show how it goes; Ctrl-C stops what was started."""
    interrupted = threading.Event()
    before = [(number, signal.signal(number, lambda *_: interrupted.set())) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    try:
        Ports.read()
        wiring.Elsewhere.read(os.environ)
        home.open()
        if home.running():
            print("the mesh is already running")
            return _wait_until_ready(home, None, interrupted)
        output = following.Follower({"mesh": home.log("mesh")})
        with home.log("mesh").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "dxmesh_local", "run", "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home.root,
                env={**os.environ, "DXMESH_HOME": str(home.root)},
                start_new_session=True,
            )
        return _wait_until_ready(home, child, interrupted, output)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _wait_until_ready(
    home: Home, child: subprocess.Popen[bytes] | None, interrupted: threading.Event, output: following.Follower | None = None
) -> int:
    while True:
        for _, line in output.lines() if output else ():
            # the failure is raised below, as the one line on standard error
            if not line.startswith("dxmesh: "):
                print(line, flush=True)
        if interrupted.is_set():
            if child is not None:
                print("stopping what was started", flush=True)
                child.send_signal(signal.SIGTERM)
                child.wait()
            return _INTERRUPTED
        state = home.state()
        mine = state is not None and (child is None or state.supervisor.pid == child.pid)
        if child is not None and child.poll() is not None:
            if state is not None and mine and state.error:
                raise LocalError(state.error)
            raise PartFailed("the supervisor", f"ended with status {child.returncode}", home.log("mesh"))
        if child is None and not home.running():
            raise PartFailed("the supervisor", "ended while it was starting", home.log("mesh"))
        if state is not None and mine and state.phase == "ready":
            for _, line in output.lines() if output else ():
                print(line, flush=True)
            print(_addresses(state))
            return 0
        interrupted.wait(0.1)


def down(home: Home) -> int:
    """Stop the mesh in order, wherever it was started; end what an earlier run left behind."""
    if not home.root.exists() or not home.running():
        return _clear(home)
    state = home.state()
    supervisor = state.supervisor.identity if state else None
    if supervisor is None or not supervisor.alive():
        raise LocalError(f"{home.root} is held by a process that is not the supervisor: end whatever uses {home.root / 'lock'}")
    output = following.Follower({"mesh": home.log("mesh")})
    os.kill(supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while supervisor.alive():
        if time.monotonic() > deadline:
            os.kill(supervisor.pid, signal.SIGKILL)
            print(f"the supervisor (pid {supervisor.pid}) did not end within {_END_SECONDS:.0f} s: killed", file=sys.stderr)
            deadline += _END_SECONDS
        time.sleep(0.05)
        for _, line in output.lines():
            print(line, flush=True)
    for _, line in output.lines():
        print(line, flush=True)
    return _clear(home, quiet=True)


def _clear(home: Home, *, quiet: bool = False) -> int:
    left = []
    if home.root.exists():
        with home.held():
            left = home.leftovers()
            end_strangers(left)
    if left:
        print(f"ended {len(left)} processes that an earlier run had left behind")
    print("the mesh is stopped" if quiet or left else "nothing is running")
    return 0


def show_status(home: Home, *, as_json: bool) -> int:
    """Print each part's state, process, memory and address; return 0 when the mesh is ready, 1 otherwise."""
    state = home.state()
    running = state is not None and home.running()
    if state is None or not running:
        reason = f"; the last start failed: {state.error}" if state and state.error else ""
        print(json.dumps({"phase": "stopped", "parts": {}}) if as_json else f"the mesh is not running (start it with `make up`){reason}")
        return 1
    rows = {}
    for name, part in state.parts.items():
        living = part.pid and part.identity.alive()
        rows[name] = {
            "state": part.state if living else "died" if part.pid else part.state,
            "pid": part.pid,
            "address": part.address,
            "restarts": part.restarts,
            "seconds": round(time.time() - part.created) if living else 0,
            "memory_mb": _memory_mb(part.pid) if living else 0,
        }
    ready = state.phase == "ready" and all(row["state"] == "ready" for row in rows.values())
    if as_json:
        print(json.dumps({"phase": state.phase, "home": str(home.root), "urls": state.urls, "parts": rows}, indent=1))
        return 0 if ready else 1
    print(f"{'part':<15}{'state':<10}{'pid':>8}{'memory':>10}{'up':>12}{'restarts':>10}  address")
    for name, row in rows.items():
        up_for = str(timedelta(seconds=int(str(row["seconds"]))))
        print(f"{name:<15}{row['state']:<10}{row['pid']:>8}{row['memory_mb']:>7} MB{up_for:>12}{row['restarts']:>10}  {row['address']}")
    print(_addresses(state) if ready else f"the mesh is {state.phase}, not every part is ready; data and logs are in {home.root}")
    return 0 if ready else 1


def _memory_mb(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        # PostgreSQL's processes share most of theirs: what each has for itself is what counts
        return round(sum(_own_bytes(one) for one in (process, *process.children(recursive=True))) / 1e6)
    except psutil.Error:
        return 0


def _own_bytes(process: psutil.Process) -> int:
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0) if process.name() == "postgres" else memory.rss)


def show_logs(home: Home, names: Sequence[str], *, lines: int, follow: bool) -> int:
    """Print the last lines of the logs, then, when asked, what is added to them."""
    logs = {name: home.log(name) for name in names}
    if not any(log.exists() for log in logs.values()):
        raise LocalError(f"there are no logs in {home.logs} yet: start the mesh with `make up`")
    show = following.printer(list(names))
    for name, log in logs.items():
        for line in following.last(log, lines):
            show(name, line)
    if follow:
        following.follow(logs, show, lambda: False)
    return 0


def _addresses(state: State) -> str:
    lines = ["", f"{'open-data portal':<18}{state.urls['open-data-svc']}/"]
    for name, url in state.urls.items():
        lines.append(f"{name:<18}{url}/dashboard   API {url}/docs")
    return "\n".join([*lines, "", "stop it with `make down`; see `make status` and `make logs`"])
