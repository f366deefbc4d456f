"""`dxmesh reader`: the Kafka users of a department's information systems."""

from typing import Annotated, Any
from uuid import UUID

import typer

from dxmesh_client import config
from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import say, show, show_all
from dxmesh_client.client import Client

reader = typer.Typer(no_args_is_help=True, help="Kafka users of your information systems: what they may read follows your grants.")

Keep = Annotated[bool, typer.Option("--keep", help="keep user and password in the profile, for `dxmesh tail`")]


def _url(client: Client, *parts: object) -> str:
    return "/".join((f"{client.profile.exchange}/v1/readers", *map(str, parts)))


def _issued(client: Client, told: dict[str, Any], *, keep: bool) -> None:
    if keep:
        say(f"kept in {config.save(client.profile.as_reader(told))}")
    show(told)


@reader.command("add")
def reader_add(
    name: Annotated[str | None, typer.Argument(help="small letters, digits and hyphens")] = None,
    system_id: Annotated[UUID | None, typer.Option(help="the information system, as the catalogue has it")] = None,
    keep: Keep = False,
) -> None:
    """Register a Kafka user (steward); its password is shown this once."""
    with Client() as client:
        body = {"name": name, "system_id": None if system_id is None else str(system_id)}
        sent = {field: value for field, value in body.items() if value is not None}
        _issued(client, client.call("POST", _url(client), json=sent).json(), keep=keep)


@reader.command("list")
def reader_list(limit: Limit = 50) -> None:
    """List the readers of your organization, revoked ones too."""
    with Client() as client:
        page = client.page(_url(client), limit=limit)
        show_all(page.items, ["reader_id", "name", "state", "user_name", "topics"])


@reader.command("show")
def reader_show(reader_id: UUID) -> None:
    """Show a reader: as whom and where it connects, what Kafka lets it read."""
    with Client() as client:
        show(client.call("GET", _url(client, reader_id)).json())


@reader.command("rotate")
def reader_rotate(reader_id: UUID, keep: Keep = False) -> None:
    """Give a reader a new password (steward), shown this once; the old one opens no connection any more."""
    with Client() as client:
        _issued(client, client.call("POST", _url(client, reader_id, "rotation")).json(), keep=keep)


@reader.command("revoke")
def reader_revoke(reader_id: UUID) -> None:
    """End a reader (steward): Kafka refuses it, also where it is connected."""
    with Client() as client:
        client.call("DELETE", _url(client, reader_id))
        show({"reader_id": str(reader_id), "state": "revoked"})
