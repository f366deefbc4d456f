"""`dxmesh org|system|resource`: what the catalogue holds."""

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from dxmesh_client.cli.output import show, show_all
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

org = typer.Typer(no_args_is_help=True, help="Organizations and their credentials.")
system = typer.Typer(no_args_is_help=True, help="Information systems.")
resource = typer.Typer(no_args_is_help=True, help="Data resources: draft, publish, look.")

Limit = Annotated[int, typer.Option(help="how many at most", min=1, max=200)]
OnCloud = Annotated[bool | None, typer.Option("--on-gov-cloud/--off-gov-cloud", help="where it runs; nobody said when left out")]


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise ClientError(f"{path} is not a JSON document: {wrong}") from wrong


@org.command("list")
def org_list(limit: Limit = 50) -> None:
    """List organizations."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/organizations", limit=limit)
        show_all(page.items, ["organization_id", "name", "uscc", "level", "division_code", "kind"])


@org.command("register")
def org_register(
    name: Annotated[str, typer.Option()],
    uscc: Annotated[str, typer.Option(help="unified social credit code, 18 characters")],
    division_code: Annotated[str, typer.Option()],
    level: Annotated[str, typer.Option(help="nation, province, city or county")] = "city",
    kind: Annotated[str, typer.Option(help="department, public_utility or social_body")] = "department",
) -> None:
    """Register an organization (authority)."""
    with Client() as client:
        body = {"name": name, "uscc": uscc, "division_code": division_code, "level": level, "kind": kind}
        show(client.call("POST", f"{client.profile.catalog}/v1/organizations", json=body).json())


@org.command("credential")
def org_credential(
    organization_id: UUID,
    name: Annotated[str, typer.Option(help="what uses it")],
    role: Annotated[list[str], typer.Option(help="steward, cdo, operator, auditor or authority; may be repeated")],
) -> None:
    """Make a credential for an organization (authority); the secret is shown this once."""
    with Client() as client:
        url = f"{client.profile.catalog}/v1/organizations/{organization_id}/credentials"
        show(client.call("POST", url, json={"name": name, "roles": role}).json())


@system.command("list")
def system_list(limit: Limit = 50) -> None:
    """List information systems."""
    with Client() as client:
        show_all(client.page(f"{client.profile.catalog}/v1/systems", limit=limit).items, ["system_id", "name", "organization_id"])


@system.command("register")
def system_register(name: str, on_gov_cloud: OnCloud = None) -> None:
    """Register an information system of your organization."""
    body = {"name": name} | ({} if on_gov_cloud is None else {"on_gov_cloud": on_gov_cloud})
    with Client() as client:
        show(client.call("POST", f"{client.profile.catalog}/v1/systems", json=body).json())


@resource.command("list")
def resource_list(q: Annotated[str | None, typer.Option(help="words to find")] = None, limit: Limit = 50) -> None:
    """List data resources."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/resources", q=q, limit=limit)
        show_all(page.items, ["resource_id", "resource_code", "name", "state", "version", "sharing_type", "open_type"])


@resource.command("show")
def resource_show(resource_id: UUID) -> None:
    """Show one data resource."""
    with Client() as client:
        show(client.call("GET", f"{client.profile.catalog}/v1/resources/{resource_id}").json())


@resource.command("draft")
def resource_draft(file: Annotated[Path, typer.Argument(help="the resource as a JSON document")]) -> None:
    """Enter a data resource as a draft of your organization."""
    with Client() as client:
        show(client.call("POST", f"{client.profile.catalog}/v1/resources", json=_document(file)).json())


@resource.command("withdraw")
def resource_withdraw(resource_id: UUID, reason: Annotated[str, typer.Option()]) -> None:
    """Withdraw a resource: it takes no more batches and gives no more grants."""
    with Client() as client:
        url = f"{client.profile.catalog}/v1/resources/{resource_id}/withdrawal"
        show(client.call("POST", url, json={"reason": reason}).json())
