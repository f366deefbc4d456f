"""Child processes that never outlive the one that started them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """A process told apart from a later one that was given the same pid."""

    pid: int
    created: float  # seconds since the epoch, as the kernel tells

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of a living process; None when there is none (a zombie is not living)."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, process.create_time())
        except psutil.NoSuchProcess:
            return None

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        now = Identity.of(self.pid)
        return now is not None and abs(now.created - self.created) < 1.0


def die_with_parent(signal_number: int) -> Callable[[], None]:
    """Make a function for the new child that ties its life to ours, also when we are killed with -9.

    Linux only; elsewhere the next start clears what is left. Linux counts the *thread* that
    started the child as its parent: start long-lived children from a thread that lives as long.
    """
    parent = os.getpid()

    def tie() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number)
            if os.getppid() != parent:  # the parent died between fork and prctl
                os._exit(1)

    return tie


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path | None,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | str | None = None,
    on_parent_death: int = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (so Ctrl-C reaches only us), its output appended to `log`."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        return subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            user=user,
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=die_with_parent(on_parent_death),
        )


def run(
    argv: Sequence[str | Path], environment: Mapping[str, str], output: IO[bytes], *, user: str | None = None, pass_fds: Sequence[int] = ()
) -> int:
    """Run a child to its end, out of reach of Ctrl-C but tied to our life; return its exit status."""
    return subprocess.run(
        [str(part) for part in argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd="/",
        user=user,
        start_new_session=True,
        pass_fds=pass_fds,
        preexec_fn=die_with_parent(signal.SIGKILL),
    ).returncode


def stop(process: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM, *, seconds: float = 15.0) -> None:
    """Ask a child to end and wait; after `seconds` kill it with -9. A paused child is woken first."""
    if process.poll() is None:
        process.send_signal(signal_number)
        process.send_signal(signal.SIGCONT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def end_strangers(left: Sequence[psutil.Process], seconds: float = 10.0) -> None:
    """End processes that are not our children and return when none of them runs."""
    # PostgreSQL takes its own children along on SIGQUIT, which it could not on SIGKILL
    signals = {process.pid: signal.SIGKILL for process in left}
    for process in left:
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres":
                signals[process.pid] = signal.SIGQUIT
            process.send_signal(signals[process.pid])
            process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + seconds
    while living := [process for process in left if Identity.of(process.pid) is not None and process.is_running()]:
        if time.monotonic() > deadline:
            for process in living:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        time.sleep(0.02)


def tail(log: Path, lines: int = 1) -> str:
    """Return the last lines of a log in one line, without the frame of a Python traceback."""
    try:
        kept = [bare for line in log.read_text("utf-8", "replace").splitlines()[-200:] if (bare := line.strip(" |+-\t"))]
    except OSError:
        return ""
    return " | ".join(kept[-lines:])[-400:]
