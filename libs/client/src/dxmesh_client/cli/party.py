"""`dxmesh officer|taxonomy` and the steps of systems: who answers for data, what they belong to."""

from typing import Annotated, Any
from uuid import UUID

import typer

from dxmesh_client.cli.catalog import Limit, OnCloud, system
from dxmesh_client.cli.output import show, show_all
from dxmesh_client.client import Client

officer = typer.Typer(no_args_is_help=True, help="Chief data officers, stewards and sharing units of organizations.")
taxonomy = typer.Typer(no_args_is_help=True, help="Base databases, domain warehouses and theme databases.")

Day = Annotated[str | None, typer.Option(help="YYYY-MM-DD, China time; today when left out")]


def _sent(**fields: Any) -> dict[str, Any]:
    """Return the fields that were given: what is left out is the service's to fill in."""
    return {name: str(value) for name, value in fields.items() if value is not None}


@officer.command("appoint")
def officer_appoint(
    organization_id: UUID,
    role: Annotated[str, typer.Option(help="cdo, steward or sharing_unit")],
    holder: Annotated[str, typer.Option(help="client id or account name, as tokens carry it")],
    since: Day = None,
    until: Annotated[str | None, typer.Option(help="the first day on which it is no longer held; open when left out")] = None,
) -> None:
    """Fill an office of an organization (authority; its chief data officer for the other offices)."""
    with Client() as client:
        url = f"{client.profile.catalog}/v1/organizations/{organization_id}/officers"
        show(client.call("POST", url, json=_sent(role=role, holder=holder, since=since, until=until)).json())


@officer.command("end")
def officer_end(organization_id: UUID, officer_id: UUID, reason: Annotated[str, typer.Option()], until: Day = None) -> None:
    """End a term of office; it stays readable."""
    with Client() as client:
        url = f"{client.profile.catalog}/v1/organizations/{organization_id}/officers/{officer_id}/end"
        show(client.call("POST", url, json=_sent(reason=reason, until=until)).json())


@officer.command("list")
def officer_list(organization_id: UUID, limit: Limit = 50) -> None:
    """List an organization's terms of office, ended ones too."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/organizations/{organization_id}/officers", limit=limit)
        show_all(page.items, ["officer_id", "role", "holder", "since", "until"])


@officer.command("vacancies")
def officer_vacancies(limit: Limit = 50) -> None:
    """List the organizations without a chief data officer or a steward."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/officers/vacancies", limit=limit)
        show_all(page.items, ["organization_id", "name", "level", "lacks"])


@system.command("place")
def system_place(system_id: UUID, on_gov_cloud: OnCloud = True) -> None:
    """Say whether a system runs on the government cloud; one that serves leaves it by the data authority alone."""
    with Client() as client:
        url = f"{client.profile.catalog}/v1/systems/{system_id}"
        read = client.call("GET", url)
        body = {"name": read.json()["name"], "on_gov_cloud": on_gov_cloud}
        show(client.call("PUT", url, json=body, headers={"If-Match": read.headers["ETag"]}).json())


@system.command("service")
def system_service(system_id: UUID, reason: Annotated[str | None, typer.Option()] = None) -> None:
    """Put a planned system in service; refused while nothing of it is catalogued, or while it is off the government cloud."""
    with Client() as client:
        show(client.call("POST", f"{client.profile.catalog}/v1/systems/{system_id}/service", json=_sent(reason=reason)).json())


@system.command("retire")
def system_retire(system_id: UUID, reason: Annotated[str, typer.Option()]) -> None:
    """Take a system out of service for good; refused while resources of it are in force."""
    with Client() as client:
        show(client.call("POST", f"{client.profile.catalog}/v1/systems/{system_id}/retirement", json={"reason": reason}).json())


@taxonomy.command("list")
def taxonomy_list(kind: Annotated[str | None, typer.Option(help="base, domain or theme")] = None, limit: Limit = 50) -> None:
    """List base databases, domain warehouses and theme databases."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/taxonomies", kind=kind, limit=limit)
        show_all(page.items, ["taxonomy_id", "code", "name", "kind", "lead_organization_id", "parent_id"])


@taxonomy.command("add")
def taxonomy_add(
    code: str,
    name: Annotated[str, typer.Option()],
    kind: Annotated[str, typer.Option(help="base, domain or theme")] = "theme",
    lead: Annotated[UUID | None, typer.Option(help="the lead organization's id")] = None,
    parent: Annotated[UUID | None, typer.Option(help="the entry it stands under")] = None,
) -> None:
    """Enter a base database, domain warehouse or theme database (authority)."""
    with Client() as client:
        body = _sent(code=code, name=name, kind=kind, lead_organization_id=lead, parent_id=parent)
        show(client.call("POST", f"{client.profile.catalog}/v1/taxonomies", json=body).json())
