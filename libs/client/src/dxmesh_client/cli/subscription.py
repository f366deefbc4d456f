"""`dxmesh subscription`: how a grant's rows are brought to you, how far that is, and what went wrong."""

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer
from rich.markup import escape

from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import say, show, show_all
from dxmesh_client.cli.sending import send
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

subscription = typer.Typer(no_args_is_help=True, help="How a grant's rows are brought to you: to a webhook, into a table, as files.")

Reason = Annotated[str, typer.Option(help="why; it is kept")]
Start = Annotated[Literal["beginning", "now"], typer.Option(help="with what is there already, or only with what comes")]


def _url(client: Client, grant_id: UUID, *parts: object) -> str:
    return "/".join((f"{client.profile.exchange}/v1/grants/{grant_id}/subscriptions", *map(str, parts)))


def _open(grant_id: UUID, /, **fields: Any) -> None:
    send("exchange", "POST", f"grants/{grant_id}/subscriptions", **fields)


def _act(grant_id: UUID, subscription_id: UUID, step: str, /, **fields: Any) -> None:
    send("exchange", "POST", f"grants/{grant_id}/subscriptions/{subscription_id}/{step}", **fields)


add = typer.Typer(no_args_is_help=True, help="Let rows be brought (steward); the destination is tried first.")
subscription.add_typer(add, name="add")


@add.command("webhook")
def add_webhook(grant_id: UUID, url: Annotated[str, typer.Option()], start: Start = "beginning") -> None:
    """Have rows posted to an address, signed; the secret is shown this once."""
    _open(grant_id, mode="webhook", url=url, start=start)


@add.command("table")
def add_table(
    grant_id: UUID,
    table: Annotated[str, typer.Option()],
    url: Annotated[
        str, typer.Option(envvar="DXMESH_TABLE_URL", prompt=True, hide_input=True, help="postgresql://user:password@host/database")
    ],
    schema: Annotated[str, typer.Option()] = "public",
    create: Annotated[bool, typer.Option("--create", help="make the table when it is not there")] = False,
    start: Start = "beginning",
) -> None:
    """Have rows kept in a table of your PostgreSQL, by key; what enters the database is never shown again."""
    _open(grant_id, mode="table", url=url, schema=schema, table=table, create=create, start=start)


@add.command("file")
def add_file(
    grant_id: UUID,
    form: Annotated[Literal["parquet", "csv"], typer.Option()] = "parquet",
    every_hours: Annotated[int | None, typer.Option(min=1, max=8784, help="make one each so many hours; without it, when asked")] = None,
    term_hours: Annotated[int, typer.Option(min=1, max=8784, help="how long one can be fetched")] = 72,
    downloads: Annotated[int, typer.Option(min=1, max=1000, help="how often one can be fetched")] = 5,
) -> None:
    """Have sealed packages made of what the grant reads."""
    _open(grant_id, mode="file", form=form, every_hours=every_hours, term_hours=term_hours, downloads=downloads)


@subscription.command("list")
def subscription_list(grant_id: UUID) -> None:
    """List a grant's subscriptions, ended ones too."""
    with Client() as client:
        found = client.call("GET", _url(client, grant_id)).json()
        show_all(found, ["subscription_id", "mode", "state", "held_by", "reason", "row_count", "delivered_at", "failure"])


@subscription.command("show")
def subscription_show(grant_id: UUID, subscription_id: UUID) -> None:
    """Show a subscription: how far it is, and what went wrong last."""
    with Client() as client:
        show(client.call("GET", _url(client, grant_id, subscription_id)).json())


@subscription.command("pause")
def subscription_pause(grant_id: UUID, subscription_id: UUID, reason: Reason) -> None:
    """Let a subscription stand still; nothing is missed."""
    _act(grant_id, subscription_id, "pause", reason=reason)


@subscription.command("resume")
def subscription_resume(grant_id: UUID, subscription_id: UUID, reason: Reason) -> None:
    """Let a paused or dead subscription go on where it stood."""
    _act(grant_id, subscription_id, "resumption", reason=reason)


@subscription.command("end")
def subscription_end(grant_id: UUID, subscription_id: UUID, reason: Reason) -> None:
    """End a subscription; the grant goes on."""
    _act(grant_id, subscription_id, "termination", reason=reason)


@subscription.command("replay")
def subscription_replay(
    grant_id: UUID,
    subscription_id: UUID,
    since: Annotated[datetime | None, typer.Option(help="what came to the topic from then on")] = None,
    batch_id: Annotated[UUID | None, typer.Option(help="this batch and all after it")] = None,
) -> None:
    """Have rows brought again; all of them if nothing is named."""
    body: dict[str, Any] = {}
    if since is not None:
        body["since"] = since.astimezone().isoformat()
    if batch_id is not None:
        body["batch_id"] = str(batch_id)
    _act(grant_id, subscription_id, "replay", **body)


@subscription.command("secret")
def subscription_secret(grant_id: UUID, subscription_id: UUID) -> None:
    """Give a webhook a new secret, shown this once; for a day the former one signs as well."""
    _act(grant_id, subscription_id, "secret")


@subscription.command("messages")
def subscription_messages(grant_id: UUID, subscription_id: UUID, limit: Limit = 50) -> None:
    """List what was posted to a webhook or is to be, newest first, with every attempt."""
    with Client() as client:
        page = client.page(_url(client, grant_id, subscription_id, "messages"), limit=limit)
        show_all(page.items, ["webhook_id", "row_count", "created_at", "delivered_at", "attempts"])


@subscription.command("package")
def subscription_package(grant_id: UUID, subscription_id: UUID) -> None:
    """Have a package made now (steward)."""
    _act(grant_id, subscription_id, "packages")


@subscription.command("packages")
def subscription_packages(grant_id: UUID, subscription_id: UUID, limit: Limit = 50) -> None:
    """List packages, newest first."""
    with Client() as client:
        found = client.call("GET", _url(client, grant_id, subscription_id, "packages"), params={"limit": limit}).json()
        show_all(found, ["package_id", "state", "row_count", "byte_count", "downloads_left", "expires_at", "link"])


@subscription.command("fetch")
def subscription_fetch(link: str, file: Path) -> None:
    """Fetch a package by its link, and check its digest against the one the node says."""
    with Client() as client:
        answer = client.call("GET", f"{client.profile.exchange}/{link.lstrip('/')}")
        digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
        if answer.headers.get("Repr-Digest") != f"sha-256=:{digest}:":
            raise ClientError("what arrived is not what the node sent; fetch it again")
        file.write_bytes(answer.content)
        say(f"kept in {escape(str(file))}")
