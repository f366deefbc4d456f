"""`dxmesh clocks|dispute`: what is owed in sharing by which day, and disputes about refused and unanswered requests."""

from typing import Annotated, Literal
from uuid import UUID

import typer

from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import show, show_all
from dxmesh_client.cli.sending import send
from dxmesh_client.client import Client

dispute = typer.Typer(no_args_is_help=True, help="Disputes about refused and unanswered requests, up to a government's decision.")

Why = Annotated[str, typer.Option(help="the reason, as it is written down")]
_CLOCK = ["clock_id", "rule", "standing", "due_on", "days_left", "organization", "resource_name", "request_id", "reason"]
_DISPUTE = ["dispute_id", "request_id", "rung", "state", "outcome", "due_on", "standing", "further_until"]


def clocks(
    standing: Annotated[str | None, typer.Option(help="running, approaching, paused, missed, met or stopped")] = None,
    owed: Annotated[bool | None, typer.Option(help="what is still to be done, or what is over")] = None,
    request: Annotated[UUID | None, typer.Option(help="of one request")] = None,
    limit: Limit = 50,
) -> None:
    """List what your organization owes, those due first coming first; the data authority sees everybody's."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/clocks", standing=standing, owed=owed, request=request, limit=limit)
        show_all([item | {"organization": item["organization"]["name"]} for item in page.items], _CLOCK)


@dispute.command("open")
def dispute_open(request_id: UUID, reason: Why) -> None:
    """Dispute a refusal, or that no answer came in time; the provider is to answer first."""
    send("exchange", "POST", f"requests/{request_id}/dispute", reason=reason)


@dispute.command("list")
def dispute_list(state: Annotated[str | None, typer.Option(help="open, decided, settled or withdrawn")] = None, limit: Limit = 50) -> None:
    """List disputes your organization is a side of, newest first."""
    with Client() as client:
        show_all(client.page(f"{client.profile.exchange}/v1/disputes", state=state, limit=limit).items, _DISPUTE)


@dispute.command("show")
def dispute_show(dispute_id: UUID) -> None:
    """Show a dispute; with --json also what happened to it."""
    with Client() as client:
        show(client.call("GET", f"{client.profile.exchange}/v1/disputes/{dispute_id}").json())


@dispute.command("further")
def dispute_further(dispute_id: UUID, reason: Why) -> None:
    """Take a dispute to the next body: the authority of both sides, then its people's government."""
    send("exchange", "POST", f"disputes/{dispute_id}/further", reason=reason)


@dispute.command("decide")
def dispute_decide(
    dispute_id: UUID,
    outcome: Annotated[Literal["granted", "upheld"], typer.Argument()],
    reason: Why,
    decided_by: Annotated[str, typer.Option(help="the head of your unit while you negotiate, then the body that decides")],
    document: Annotated[str | None, typer.Option(help="the decision's number, of an upper authority or a government")] = None,
    item: Annotated[list[str] | None, typer.Option(help="an item's code; may be repeated; all asked for without it")] = None,
) -> None:
    """Answer a dispute as the provider, or as the data authority for the body it is before."""
    send(
        "exchange",
        "POST",
        f"disputes/{dispute_id}/decision",
        outcome=outcome,
        reason=reason,
        decided_by=decided_by,
        document=document,
        items=item or None,
    )


@dispute.command("withdraw")
def dispute_withdraw(dispute_id: UUID, reason: Why) -> None:
    """Dispute no more."""
    send("exchange", "POST", f"disputes/{dispute_id}/withdrawal", reason=reason)
