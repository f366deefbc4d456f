"""Showing the logs of the parts in one stream, each line with its part in front."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 31, 37, 96)
_POLL_SECONDS = 0.2


class Follower:
    """Reads what has been added to some logs since the last call; a log that is made anew is read from its beginning."""

    def __init__(self, logs: Mapping[str, Path], *, from_start: bool = False) -> None:
        self._logs = dict(logs)
        self._places = {name: 0 if from_start else _size(log) for name, log in self._logs.items()}

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield part and line of every whole line not seen before."""
        for name, log in self._logs.items():
            size, place = _size(log), self._places[name]
            if size < place:
                place = 0
            if size == place:
                continue
            with log.open("rb") as stream:
                stream.seek(place)
                block = stream.read(size - place)
            whole = block[: block.rfind(b"\n") + 1]
            self._places[name] = place + len(whole)
            for line in whole.decode("utf-8", "replace").splitlines():
                yield name, line


def last(log: Path, lines: int) -> list[str]:
    """Return the last lines of a log."""
    if not log.exists() or lines <= 0:
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, _size(log) - lines * 2000))
        return stream.read().decode("utf-8", "replace").splitlines()[-lines:]


def printer(names: list[str], out: TextIO | None = None) -> Callable[[str, str], None]:
    """Return a function that prints a part's line behind its name, in colour on a terminal."""
    stream = out or sys.stdout
    width, colours = max(map(len, names), default=0), dict(zip(sorted(names), _COLOURS * 4, strict=False))

    def show(name: str, line: str) -> None:
        label = f"{name:<{width}} |"
        stream.write(f"\x1b[{colours[name]}m{label}\x1b[0m {line}\n" if stream.isatty() else f"{label} {line}\n")
        stream.flush()

    return show


def follow(logs: Mapping[str, Path], show: Callable[[str, str], None], until: Callable[[], bool]) -> None:
    """Show what is added to the logs until told to end."""
    follower = Follower(logs)
    while not until():
        for name, line in follower.lines():
            show(name, line)
        time.sleep(_POLL_SECONDS)


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0
