"""`dxmesh duty|mount`: what is owed by which day, and how far resources have come from catalogue to data."""

from typing import Annotated
from uuid import UUID

import typer

from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import Mode, say, show, show_all
from dxmesh_client.cli.sending import send
from dxmesh_client.client import Client

duty = typer.Typer(no_args_is_help=True, help="Changes of law and duties, and the day the catalogue is due.")
mount = typer.Typer(no_args_is_help=True, help="How resources are reached, the mount rate, and what is not kept current.")

Why = Annotated[str, typer.Option(help="the reason, as it is written down")]
_DUTY = ["duty_id", "rule", "state", "due_on", "days_left", "organization_name", "resource_name", "reason"]
_MOUNT = ["resource_id", "name", "organization_name", "state", "kind", "address", "batch_count", "accepted_at"]
_STALE = ["resource_id", "name", "organization_name", "steward", "update_cycle", "evidence", "newest_at", "fresh_through", "overdue_days"]


@duty.command("list")
def duty_list(
    state: Annotated[str | None, typer.Option(help="open, approaching, missed, met or cancelled")] = None,
    organization: Annotated[UUID | None, typer.Option()] = None,
    limit: Limit = 50,
) -> None:
    """List duties, those due first coming first."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/duties", state=state, organization=organization, limit=limit)
        show_all(page.items, _DUTY)


@duty.command("show")
def duty_show(duty_id: UUID) -> None:
    """Show a duty; with --json also what happened to it."""
    with Client() as client:
        show(client.call("GET", f"{client.profile.catalog}/v1/duties/{duty_id}").json())


@duty.command("register")
def duty_register(
    changed_on: Annotated[str, typer.Option(help="YYYY-MM-DD, the day the change takes effect")],
    reason: Why,
    resource: Annotated[UUID | None, typer.Option(help="the resource it is about")] = None,
    organization: Annotated[UUID | None, typer.Option(help="or the organization whose catalogue it is about")] = None,
    change: Annotated[str, typer.Option(help="law or duties")] = "law",
    basis: Annotated[str | None, typer.Option(help="what was changed, with its number")] = None,
) -> None:
    """Register a change of law or duties (steward, authority)."""
    given = {"resource_id": resource, "organization_id": organization, "change": change, "basis": basis}
    send("catalog", "POST", "duties", **given, reason=reason, changed_on=changed_on)


@duty.command("extend")
def duty_extend(duty_id: UUID, reason: Why, days: Annotated[int | None, typer.Option(help="working days")] = None) -> None:
    """Ask for the one extension."""
    send("catalog", "POST", f"duties/{duty_id}/extension", days=days, reason=reason)


@duty.command("decide")
def duty_decide(duty_id: UUID, outcome: Annotated[str, typer.Option(help="granted or refused")], reason: Why) -> None:
    """Consent to an extension, or refuse it (authority)."""
    send("catalog", "POST", f"duties/{duty_id}/extension/decision", outcome=outcome, reason=reason)


@duty.command("answer")
def duty_answer(
    duty_id: UUID, resource: Annotated[UUID, typer.Option()], version: Annotated[int, typer.Option(min=1)], reason: Why
) -> None:
    """Say which published version answers the change."""
    send("catalog", "POST", f"duties/{duty_id}/answer", resource_id=resource, version=version, reason=reason)


@duty.command("cancel")
def duty_cancel(duty_id: UUID, reason: Why) -> None:
    """Take back a duty registered by mistake (authority)."""
    send("catalog", "POST", f"duties/{duty_id}/cancellation", reason=reason)


@mount.command("list")
def mount_list(
    state: Annotated[str | None, typer.Option(help="unmounted, declared or supplied")] = None,
    organization: Annotated[UUID | None, typer.Option()] = None,
    limit: Limit = 50,
) -> None:
    """List the resources in force and how their data are reached."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/mounts", state=state, organization=organization, limit=limit)
        show_all(page.items, _MOUNT)


@mount.command("replica")
def mount_replica(resource_id: UUID) -> None:
    """Mount a resource of which batches are sent."""
    send("catalog", "PUT", f"resources/{resource_id}/mount", kind="replica")


@mount.command("proxy")
def mount_proxy(resource_id: UUID, address: Annotated[str, typer.Option(help="of the service interface, without credentials")]) -> None:
    """Mount a resource that stays with its provider."""
    send("catalog", "PUT", f"resources/{resource_id}/mount", kind="proxy", address=address)


@mount.command("confirm")
def mount_confirm(resource_id: UUID, evidence: Annotated[str, typer.Option(help="what was called and what it answered")]) -> None:
    """Confirm that a proxy's interface answers (authority)."""
    send("catalog", "POST", f"resources/{resource_id}/mount/confirmation", evidence=evidence)


@mount.command("remove")
def mount_remove(resource_id: UUID, reason: Why) -> None:
    """Take a mount away."""
    send("catalog", "POST", f"resources/{resource_id}/mount/removal", reason=reason)


@mount.command("rate")
def mount_rate() -> None:
    """Show the mount rate, by organization."""
    with Client() as client:
        report = client.call("GET", f"{client.profile.catalog}/v1/mounts/rate").json()
    if Mode.json:
        show(report)
        return
    total = report["total"]
    say(f"{total['supplied_count']} of {total['published_count']} published resources supply data")
    show_all(report["organizations"], ["organization_name", "published_count", "mounted_count", "supplied_count", "mount_ratio"])


@mount.command("stale")
def mount_stale(organization: Annotated[UUID | None, typer.Option()] = None, limit: Limit = 50) -> None:
    """List the resources whose data are older than their update cycle allows."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/reports/stale", organization=organization, limit=limit)
        show_all(page.items, _STALE)
