"""How a figure is kept: what was done, how much, in what unit, against which goal, on which machine, when."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

LATEST = Path(__file__).with_name("latest.json")


def machine() -> str:
    """Name the machine by what matters here."""
    gigabytes = round(psutil.virtual_memory().total / 2**30)
    return f"{os.cpu_count()} cores, {gigabytes} GiB, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


@dataclass
class Row:
    """One figure; `goal` reads like `>= 0.4`, or is empty for a figure that only informs."""

    id: str
    work: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None
    machine: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        self.machine, self.at = machine(), datetime.now(UTC).isoformat(timespec="seconds")
        if self.goal:
            sign, _, bound = self.goal.partition(" ")
            self.met = self.value >= float(bound) if sign == ">=" else self.value <= float(bound)

    def line(self) -> str:
        """Return the figure as a line for people."""
        verdict = "" if self.met is None else ("met" if self.met else "MISSED")
        return f"{self.id:<28}{self.value:>14,.3f} {self.unit:<10}{self.goal:<12}{verdict:<8}{self.work}"


def write(rows: list[Row], path: Path = LATEST) -> None:
    """Write the figures as JSON, by default benchmarks/latest.json."""
    path.write_text(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
