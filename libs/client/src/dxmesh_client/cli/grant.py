"""`dxmesh grant`: what may be read, and what is done to it until its data is disposed of."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from dxmesh_client.cli import terms
from dxmesh_client.cli.output import say, show, show_all
from dxmesh_client.cli.sending import send
from dxmesh_client.client import Client

grant = typer.Typer(no_args_is_help=True, help="Grants: what may be read, and where.")
Reason = Annotated[str, typer.Option(help="why; it is kept")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


@grant.command("list")
def grant_list(limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List grants your organization holds or gave."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/grants", limit=limit)
        show_all(page.items, ["grant_id", "resource_id", "state", "activated_at", "use_until"])


@grant.command("show")
def grant_show(grant_id: UUID) -> None:
    """Show a grant, with its view and topic."""
    with Client() as client:
        found = client.grant(grant_id)
        show(found)
        say(f"topic {found.topic}, items {', '.join(found.items)}")
        if found.coming is not None:
            where = f"topic {found.coming.topic}, items {', '.join(found.coming.items)}" if found.coming.topic else "none of its items"
            say(f"from {found.coming.effective_at:%Y-%m-%d %H:%M %Z} version {found.coming.version}: {where}; delivered there already")


@grant.command("terms")
def grant_terms(
    grant_id: UUID,
    reason: Reason,
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved the change")],
    file: terms.File = None,
    where: terms.Where = None,
    mask: terms.Masks = None,
    mode: terms.Modes = None,
    calls_per_minute: terms.Calls = None,
    item: Annotated[list[str] | None, typer.Option(help="an item that is left; may be repeated; all that were granted without it")] = None,
    use_until: Annotated[datetime | None, typer.Option(help="the end, in local time; of a day alone its beginning")] = None,
    unmasked: terms.Unmasked = None,
    backfill: Annotated[str, typer.Option(help="earlier batches for a new topic: all, none, or those since a day")] = "all",
) -> None:
    """Change what a grant lets out, as its provider: never more than was asked for."""
    told = terms.terms_of(file, where, mask, mode, calls_per_minute)
    body: dict[str, Any] = {"reason": reason, "approved_by": approved_by, "terms": told, "backfill": terms.backfill_of(backfill)}
    if item:
        body["items"] = item
    if use_until:
        body["use_until"] = use_until.astimezone().isoformat()
    send("exchange", "POST", f"grants/{grant_id}/terms", **body, unmasked=terms.unmasked_of(unmasked))


@grant.command("suspend")
def grant_suspend(grant_id: UUID, reason: Reason, remedy_until: Day = None) -> None:
    """Let nothing be read by a grant for now, as its provider or the data authority."""
    send(
        "exchange",
        "POST",
        f"grants/{grant_id}/suspension",
        reason=reason,
        remedy_until=None if remedy_until is None else f"{remedy_until:%Y-%m-%d}",
    )


@grant.command("resume")
def grant_resume(grant_id: UUID, reason: Reason) -> None:
    """Let a suspended grant be read again."""
    send("exchange", "POST", f"grants/{grant_id}/resumption", reason=reason)


@grant.command("terminate")
def grant_terminate(grant_id: UUID, reason: Reason) -> None:
    """End a grant."""
    send("exchange", "POST", f"grants/{grant_id}/termination", reason=reason)


@grant.command("lapsed")
def grant_lapsed(limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List grants whose scenario authorizes no more and that nobody confirmed yet."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/scenario-grants", lapsed="true", limit=limit)
        show_all(page.items, ["grant_id", "scenario", "state", "lapsed_at", "lapse_reason"])


@grant.command("confirm")
def grant_confirm(
    grant_id: UUID, reason: Reason, approved_by: Annotated[str, typer.Option(help="the head of your unit who lets it go on")]
) -> None:
    """Let a grant go on whose scenario authorizes no more, as its provider."""
    with Client() as client:
        url = f"{client.profile.exchange}/v1/scenario-grants/{grant_id}/confirmation"
        show(client.call("POST", url, json={"approved_by": approved_by, "reason": reason}).json())


@grant.command("dispose")
def grant_dispose(
    grant_id: UUID,
    what: Annotated[str, typer.Option(help="which copies")],
    how: Annotated[str, typer.Option(help="destroyed, returned, kept by law: by which procedure")],
    on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])],
    by: Annotated[str, typer.Option(help="who did it")],
) -> None:
    """File what became of the data of a grant that is over, as its requester."""
    send("exchange", "POST", f"grants/{grant_id}/disposal", what=what, how=how, disposed_on=f"{on:%Y-%m-%d}", done_by=by)
