"""`dxmesh resource submit|approve|return|publish|steps|diff`: a resource's way into force."""

from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from dxmesh_client import publication
from dxmesh_client.cli.catalog import resource
from dxmesh_client.cli.output import Mode, say, show, show_all
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

__all__ = ["resource"]
Reason = Annotated[str | None, typer.Option(help="what you say to it; kept with the step")]


@resource.command("submit")
def resource_submit(resource_id: UUID, reason: Reason = None) -> None:
    """Hand a draft in for approval (steward)."""
    with Client() as client:
        show(publication.submit(client, resource_id, reason=reason))


@resource.command("approve")
def resource_approve(
    resource_id: UUID,
    assessed_by: Annotated[str, typer.Option(help="who assessed the secrecy risk and the impact on personal information")],
    personal_information: Annotated[
        str, typer.Option(help="none: it holds no personal information; passed: the impact is bearable")
    ] = "none",
    reason: Reason = None,
) -> None:
    """Approve a submitted draft for your department (cdo); a draft that does not pass its assessments is returned instead."""
    if personal_information not in ("none", "passed"):
        raise ClientError("--personal-information is none or passed; return a draft that does not pass")
    outcome: Any = personal_information
    with Client() as client:
        show(publication.approve(client, resource_id, assessed_by=assessed_by, personal_information=outcome, reason=reason))


@resource.command("return")
def resource_return(
    resource_id: UUID,
    reason: Annotated[str, typer.Option(help="why it goes back")],
    fault: Annotated[list[str] | None, typer.Option(help="/field=what is wrong; may be repeated: name all of them at once")] = None,
) -> None:
    """Return a draft for correction (cdo, authority); an announced version is called off."""
    faults = []
    for given in fault or []:
        pointer, equals, detail = given.partition("=")
        if not equals:
            raise ClientError(f"--fault {given!r} is not of the form /field=what is wrong")
        faults.append({"pointer": pointer, "detail": detail})
    with Client() as client:
        show(publication.give_back(client, resource_id, reason=reason, faults=faults))


@resource.command("publish")
def resource_publish(
    resource_id: UUID,
    reason: Reason = None,
    notice_days: Annotated[int | None, typer.Option(help="a longer notice than the node's, where grants are touched", min=0)] = None,
) -> None:
    """Publish an approved draft (authority); a change that breaks grants is announced first."""
    with Client() as client:
        found = publication.publish(client, resource_id, reason=reason, notice_days=notice_days)
        if found.get("draft_state") == "announced":
            say(f"announced: version {(found.get('version') or 0) + 1} comes in force at {found.get('effective_at')}")
        else:
            say(f"version {found.get('version')} is in force")
        show(found)


@resource.command("steps")
def resource_steps(resource_id: UUID, limit: Annotated[int, typer.Option(help="how many at most", min=1, max=200)] = 50) -> None:
    """List what was done to a resource, by whom, when and why."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/resources/{resource_id}/steps", limit=limit)
        show_all(page.items, ["revision", "step", "version", "role", "by", "at", "reason"])


@resource.command("diff")
def resource_diff(
    resource_id: UUID,
    before: Annotated[int | None, typer.Argument(help="a version; without versions: what the draft would change")] = None,
    after: Annotated[int | None, typer.Argument(help="another version")] = None,
) -> None:
    """Show what differs between two versions, or what the draft would change and which grants it touches."""
    if (before is None) is not (after is None):
        raise ClientError("name two versions, or none for what the draft would change")
    with Client() as client:
        below = "draft/diff" if before is None else f"versions/{before}/diff/{after}"
        found = client.call("GET", f"{client.profile.catalog}/v1/resources/{resource_id}/{below}").json()
        if Mode.json:
            show(found)
            return
        for item in found["items"]:
            say(f"{item['effect']:<9}{item['code']} {escape(item['name'])}")
        changes = [
            *found["fields"],
            *(field | {"field": f"{item['code']}.{field['field']}"} for item in found["items"] for field in item["fields"]),
        ]
        show_all(changes, ["field", "effect", "before", "after"])
        say("breaking" if found["breaking"] else "not breaking")
