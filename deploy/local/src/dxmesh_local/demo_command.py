"""`dxmesh demo`: starts the mesh if it does not run, runs the main job on it, and says where to look."""
# ruff: noqa: T201 - printing is what a command is for

import contextlib
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dxmesh_client import ClientError, config
from dxmesh_client.cli.output import Mode
from dxmesh_local import commands
from dxmesh_local.demo import run
from dxmesh_local.errors import LocalError
from dxmesh_local.home import Home, State
from dxmesh_local.story import DemoFailed, Story


def demo(
    down: Annotated[bool, typer.Option("--down", help="stop the mesh at the end")] = False,
    examples: Annotated[Path | None, typer.Option(help="where the example files are", exists=True, file_okay=False)] = None,
) -> None:
    """Run the main job on real data: registered, pushed, checked, delivered, opened, proven. Ends with 0 or 1."""
    terminal = Console(file=sys.stderr if Mode.json else sys.stdout, highlight=False)
    home = Home.read()
    signal.signal(signal.SIGTERM, _interrupt)
    was_running = home.running()
    keep = False
    try:
        with contextlib.redirect_stdout(sys.stderr if Mode.json else sys.stdout):
            status = commands.up(home)
        if status != 0:
            raise SystemExit(status)
        folder = home.root / "demo"
        folder.mkdir(exist_ok=True, mode=0o700)
        story = Story(terminal.print, folder, (examples or _examples()).absolute())
        numbers = run(config.read(home.client_file), story)
        keep = not down
    except (DemoFailed, LocalError, ClientError) as failure:
        print(f"dxmesh: the demo failed: {failure} (logs: `make logs`)", file=sys.stderr)
        keep = was_running
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        keep = was_running
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        if not keep and home.running():
            with contextlib.redirect_stdout(sys.stderr):
                commands.down(home)
    state = home.state()
    numbers["urls"] = _urls(state) if state else {}
    _show(terminal, numbers, down=down)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _examples() -> Path:
    here = Path(__file__).resolve()
    for folder in (Path.cwd(), *here.parents):
        if (folder / "examples" / "divisions" / "streets.csv").is_file():
            return folder / "examples"
    raise LocalError("the example files are not here: run it in the repository, or give --examples FOLDER")


def _urls(state: State) -> dict[str, str]:
    found = {"portal": f"{state.urls['open-data-svc']}/"}
    for name, url in state.urls.items():
        found[f"{name} dashboard"] = f"{url}/dashboard"
        found[f"{name} API"] = f"{url}/docs"
    return found


def _show(terminal: Console, numbers: dict[str, Any], *, down: bool) -> None:
    if Mode.json:
        sys.stdout.write(json.dumps(numbers, ensure_ascii=False, indent=2) + "\n")
        return
    table = Table(title="What happened", title_justify="left", show_header=False)
    for name, value in numbers.items():
        if name != "urls":
            shown = ("yes" if value else "no") if isinstance(value, bool) else value if isinstance(value, str) else f"{value:,}"
            table.add_row(name.replace("_", " "), shown)
    terminal.print(table)
    if down:
        return
    for name, url in numbers["urls"].items():
        terminal.print(f"{name:<24}{url}")
    terminal.print("\nThe mesh goes on running; stop it with `make down`.")
