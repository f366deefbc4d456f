"""`dxmesh reconciliation` and `dxmesh lag`: whether what was sent and got is what the node has, and how far subscribers are behind."""

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import Mode, show, show_all
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

reconciliation = typer.Typer(no_args_is_help=True, help="Hold what you sent or got against what the node has; differences; late feeds.")

Side = Annotated[Literal["resource", "grant"], typer.Argument(help="what you sent of a resource, or got by a grant")]
Since = Annotated[datetime, typer.Option(help="the window's beginning, in local time")]
Until = Annotated[datetime, typer.Option(help="its end, not in it any more")]
_FIELDS = ("batch_id", "row_count", "sha256")
_CASE = ["case_id", "side", "organization", "resource_id", "since", "until", "difference_count", "state", "opened_at"]


def _url(client: Client, side: str, one: UUID) -> str:
    return f"{client.profile.exchange}/v1/{side}s/{one}/reconciliation"


def _window(since: datetime, until: datetime) -> dict[str, str]:
    return {"since": since.astimezone().isoformat(), "until": until.astimezone().isoformat()}


@reconciliation.command("show")
def reconciliation_show(side: Side, one: Annotated[UUID, typer.Argument(metavar="ID")], since: Since, until: Until) -> None:
    """Show what the node has of a window: batches, rows and one digest of all; with --json each batch."""
    with Client() as client:
        found = client.call("GET", _url(client, side, one), params=_window(since, until)).json()
        show(found if Mode.json else {"since": found["since"], "until": found["until"], **found["account"]})


@reconciliation.command("check")
def reconciliation_check(
    side: Side,
    one: Annotated[UUID, typer.Argument(metavar="ID")],
    file: Annotated[
        Path, typer.Argument(help="your batches: .csv or .json with batch_id, row_count and sha256", exists=True, dir_okay=False)
    ],
    since: Since,
    until: Until,
) -> None:
    """Hold your account of a window against the node's (steward); a difference opens a case, and ends with exit code 1."""
    with Client() as client:
        body = {**_window(since, until), "batches": _batches(file)}
        found = client.call("POST", _url(client, side, one), json=body).json()
        if Mode.json:
            show(found)
        else:
            show({name: found[name] for name in ("difference_count", "case_id")})
            if found["differences"]:
                show_all(found["differences"], ["batch_id", "kind", "told_count", "held_count"])
    if found["difference_count"]:
        raise typer.Exit(1)


def _batches(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if file.suffix == ".json" else list(csv.DictReader(text.splitlines()))
        return [{"batch_id": row["batch_id"], "row_count": int(row["row_count"]), "sha256": row["sha256"]} for row in rows]
    except KeyError as missing:
        raise ClientError(f"{file}: {missing.args[0]} is missing: each batch needs {', '.join(_FIELDS)}") from missing
    except (UnicodeDecodeError, ValueError, TypeError) as wrong:
        raise ClientError(f"{file}: each batch needs {', '.join(_FIELDS)}: {wrong}") from wrong


@reconciliation.command("cases")
def reconciliation_cases(state: Annotated[Literal["open", "settled"] | None, typer.Option()] = None, limit: Limit = 50) -> None:
    """List windows about which an account and the node differ, or differed, newest first."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/reconciliation-cases", state=state, limit=limit)
        show_all([item | {"organization": item["organization"]["name"]} for item in page.items], _CASE)


@reconciliation.command("case")
def reconciliation_case(case_id: UUID) -> None:
    """Show a case; with --json also batch by batch in what the accounts differ."""
    with Client() as client:
        show(client.call("GET", f"{client.profile.exchange}/v1/reconciliation-cases/{case_id}").json())


@reconciliation.command("settle")
def reconciliation_settle(
    case_id: UUID, explanation: Annotated[str, typer.Option(help="what it came from, what was done about it")]
) -> None:
    """Settle a case by an explanation, as its provider or the data authority."""
    with Client() as client:
        url = f"{client.profile.exchange}/v1/reconciliation-cases/{case_id}/settlement"
        show(client.call("POST", url, json={"explanation": explanation}).json())


@reconciliation.command("late")
def reconciliation_late(limit: Limit = 50) -> None:
    """List feeds behind their update cycle, the longest behind first."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/reports/late-feeds", limit=limit)
        items = [item | {"provider": item["provider"]["name"]} for item in page.items]
        show_all(items, ["resource_id", "name", "provider", "update_cycle", "last_accepted_at", "due_on", "late_days"])


def lag(
    grant: Annotated[UUID | None, typer.Option(help="of one grant")] = None,
    resource: Annotated[UUID | None, typer.Option(help="of one resource")] = None,
    taxonomy: Annotated[str | None, typer.Option(help="of a base database's, warehouse's or theme's resources")] = None,
    standing: Annotated[Literal["current", "reading", "behind", "suspended"] | None, typer.Option()] = None,
    limit: Limit = 50,
) -> None:
    """List how far each subscriber is behind: of your resources and your grants; the data authority sees everybody's."""
    with Client() as client:
        if grant is not None:
            items = client.call("GET", f"{client.profile.exchange}/v1/grants/{grant}/lag").json()["items"]
        else:
            asked = {"resource_id": resource, "taxonomy": taxonomy, "standing": standing}
            items = client.page(f"{client.profile.exchange}/v1/lag", limit=limit, **asked).items
        if Mode.json:
            show_all(items, [])
            return
        lines = [
            one | {"resource": item["resource_name"], "requester": item["requester"]["name"], "lag_seconds": round(one["lag_seconds"])}
            for item in items
            for one in item["subscribers"]
        ]
        show_all(lines, ["resource", "requester", "mode", "name", "standing", "lag_seconds", "unread_batch_count", "unread_row_count"])
