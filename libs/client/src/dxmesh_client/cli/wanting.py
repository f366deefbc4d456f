"""`dxmesh demand|offer`: what is wanted and what may meet it, and what approved scenarios offer."""

from typing import Annotated, Any
from uuid import UUID

import typer

from dxmesh_client.cli.output import show, show_all
from dxmesh_client.client import Client

demand = typer.Typer(no_args_is_help=True, help="Demands: which there are, what may meet them, asking for it.")
offer = typer.Typer(no_args_is_help=True, help="Offers of approved scenarios to your organization.")


@demand.command("list")
def demand_list(limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List the demands the node knows, newest first."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/demands", limit=limit)
        show_all(page.items, ["demand_id", "name", "status", "due_on", "entered_at"])


@demand.command("matches")
def demand_matches(demand_id: UUID) -> None:
    """Find what may meet a demand among the resources published on the node, best first."""
    with Client() as client:
        found = client.call("GET", f"{client.profile.exchange}/v1/demands/{demand_id}/matches").json()["items"]
        show_all(found, ["resource_id", "name", "score", "items", "reasons"])


@demand.command("request")
def demand_request(
    demand_id: UUID,
    resource_id: UUID,
    basis: Annotated[str, typer.Option(help="legal basis")],
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved this request (Art. 20)")],
    item: Annotated[list[str] | None, typer.Option(help="an item's code; may be repeated; the demand's or all without it")] = None,
) -> None:
    """Ask for a resource by a demand of yours."""
    body: dict[str, Any] = {"resource_id": str(resource_id), "legal_basis": basis, "approved_by": approved_by, "items": item or None}
    with Client() as client:
        show(client.call("POST", f"{client.profile.exchange}/v1/demands/{demand_id}/requests", json=body).json())


@offer.command("list")
def offer_list(limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List what is offered to your organization."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/offers", limit=limit)
        show_all(page.items, ["offer_id", "scenario", "resource", "items", "offered_at"])


@offer.command("accept")
def offer_accept(
    offer_id: UUID,
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved this request (Art. 20)")],
) -> None:
    """Accept an offer; its scenario answers at once."""
    with Client() as client:
        path = f"{client.profile.exchange}/v1/offers/{offer_id}/acceptance"
        show(client.call("POST", path, json={"approved_by": approved_by}).json())
