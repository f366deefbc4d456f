"""`dxmesh use`: what was done with shared data, recorded by who holds the grant, and read by both sides."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import Mode, show, show_all
from dxmesh_client.client import Client

use = typer.Typer(no_args_is_help=True, help="Records of use (Art. 29): how shared data was used and what came of it.")

Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="a day in China, as 2026-11-02")]


@use.command("record")
def use_record(
    grant_id: UUID,
    first: Day,
    last: Day,
    process: Annotated[str, typer.Option(help="in which business and how it was used")],
    effect: Annotated[str, typer.Option(help="what came of it")],
    storage: Annotated[str, typer.Option(help="where copies are kept, or that there are none")],
    cases: Annotated[int | None, typer.Option(min=0, help="cases that were handled with it")] = None,
) -> None:
    """Record what was done with a grant's data on some days, as its requester; a record is not changed."""
    told = {"process": process, "effect": effect, "storage": storage, "case_count": cases}
    body = {"first_on": first.date().isoformat(), "last_on": last.date().isoformat(), **told}
    with Client() as client:
        show(client.call("POST", f"{client.profile.exchange}/v1/grants/{grant_id}/uses", json=body).json())


@use.command("list")
def use_list(
    grant: Annotated[UUID | None, typer.Option(help="only of this grant")] = None,
    resource: Annotated[UUID | None, typer.Option(help="only of this resource")] = None,
    limit: Limit = 50,
) -> None:
    """List what was recorded, newest first: of your use, and of the use of your resources; the data authority sees all."""
    with Client() as client:
        items = client.page(f"{client.profile.exchange}/v1/uses", grant_id=grant, resource_id=resource, limit=limit).items
        columns = ["use_id", "grant_id", "requester", "first_on", "last_on", "process", "effect", "case_count", "recorded_at"]
        show_all(items if Mode.json else [item | item["use"] | {"requester": item["requester"]["name"]} for item in items], columns)
