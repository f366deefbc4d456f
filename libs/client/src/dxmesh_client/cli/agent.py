"""`dxmesh agent`: takes rows from the department's folders and tables to the node."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from dxmesh_client.agent import check as checks
from dxmesh_client.agent import run as running
from dxmesh_client.agent.config import load
from dxmesh_client.agent.sending import log
from dxmesh_client.cli.output import Mode, say, show_all
from dxmesh_client.client import Client

agent = typer.Typer(no_args_is_help=True, help="The front-end agent: watches folders, reads tables, sends what is new.")
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="the agent's configuration, TOML")]


@agent.command("run")
def agent_run(file: File, once: Annotated[bool, typer.Option("--once", help="send what is there, then end; for cron")] = False) -> None:
    """Send what comes, until stopped; each batch is one line of JSON on standard output.

    Ends with 1 if a job failed with --once. Stop it with SIGTERM: what is under way is finished, or goes on at the next start.
    """
    config = load(file)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log("agent.started", agent=config.agent.name, jobs=[job.name for job in config.job])
    if not running.run(config, once=once, stop=stop):
        raise typer.Exit(1)


@agent.command("check")
def agent_check(file: File) -> None:
    """Explain what is wrong with a configuration; sends nothing. Ends with 1 if something is."""
    config = load(file)
    with Client(patience_seconds=2) as client:
        found = list(checks.check(config, client))
    show_all([{"job": one.job, "looked_at": one.what, "verdict": one.wrong or "good"} for one in found], ["job", "looked_at", "verdict"])
    if any(one.wrong for one in found):
        raise typer.Exit(1)
    if not Mode.json:
        say("nothing is wrong")
