"""`dxmesh agent|channel`: takes rows from the department's folders and tables to the node; the inventory of ways by which rows come."""

import signal
import threading
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from dxmesh_client.agent import check as checks
from dxmesh_client.agent import run as running
from dxmesh_client.agent.config import load
from dxmesh_client.agent.sending import log
from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import Mode, say, show, show_all
from dxmesh_client.client import Client

agent = typer.Typer(no_args_is_help=True, help="The front-end agent: watches folders, reads tables, sends what is new.")
channel = typer.Typer(no_args_is_help=True, help="Ways by which rows come: agents' jobs, and channels from before the node.")
_COLUMNS = ["channel_id", "kind", "name", "agent", "transport", "state", "is_silent", "resource_id", "last_batch_id", "seen_at"]
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


def _channels(method: str, path: str = "", body: dict[str, Any] | None = None) -> Any:
    with Client() as client:
        given = {name: value for name, value in (body or {}).items() if value is not None}
        return client.call(method, f"{client.profile.exchange}/v1/channels{path}", json=given or None).json()


@channel.command("list")
def channel_list(
    state: Annotated[Literal["working", "failing", "to_consolidate", "consolidated", "retired"] | None, typer.Option()] = None,
    limit: Limit = 50,
) -> None:
    """List the channels of your organization; the data authority sees those of all."""
    with Client() as client:
        show_all(client.page(f"{client.profile.exchange}/v1/channels", state=state, limit=limit).items, _COLUMNS)


@channel.command("show")
def channel_show(channel_id: UUID) -> None:
    """Show a channel, and every step of its consolidation."""
    found = _channels("GET", f"/{channel_id}")
    show(found)
    if not Mode.json:
        show_all(found["steps"], ["at", "state", "resource_id", "by", "reason"])


@channel.command("add")
def channel_add(
    name: str,
    transport: Annotated[str, typer.Option(help="what it is: FTP, front-end database, USB disk, …")],
    reason: Annotated[str, typer.Option(help="why it is there, and what goes over it")],
    organization: Annotated[UUID | None, typer.Option(help="whose it is; only the data authority names another")] = None,
) -> None:
    """Enter a channel from before the node, to be consolidated."""
    show(
        _channels(
            "POST", "", {"name": name, "transport": transport, "reason": reason, "organization_id": organization and str(organization)}
        )
    )


@channel.command("move")
def channel_move(
    channel_id: UUID,
    state: Annotated[Literal["to_consolidate", "consolidated", "retired"], typer.Argument()],
    reason: Annotated[str, typer.Option()],
    resource: Annotated[UUID | None, typer.Option(help="the resource that carries its rows now")] = None,
) -> None:
    """Say how far the consolidation of a channel is."""
    show(_channels("POST", f"/{channel_id}/state", {"state": state, "reason": reason, "resource_id": resource and str(resource)}))
