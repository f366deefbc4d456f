"""`dxmesh push|batch|request|pull|tail`: sending rows, asking for them, reading them."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal
from uuid import UUID

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from dxmesh_client.cli import terms
from dxmesh_client.cli.output import Mode, console, lines, say, show, show_all
from dxmesh_client.client import Client, batch_id_of, digest_of, media_of
from dxmesh_client.errors import BatchRejected, ClientError
from dxmesh_client.models import Batch
from dxmesh_client.upload import upload

batch = typer.Typer(no_args_is_help=True, help="Batches that were pushed, and the rows refused of them.")
request = typer.Typer(no_args_is_help=True, help="Sharing requests: ask, look, decide.")
_FORMATS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json", ".parquet": "parquet", ".arrows": "arrow"}
_PAGE_MAX_ROWS = 100_000
_WHOLE = ("parquet", "arrow")  # cannot be joined page by page


def push(
    resource_id: UUID,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    kind: Annotated[Literal["append", "upsert", "delete", "snapshot"], typer.Option(help="how the rows apply")] = "append",
    batch_id: Annotated[UUID | None, typer.Option(help="without one, the same file is always the same batch")] = None,
    delimiter: Annotated[str | None, typer.Option(help="CSV: the character between fields, if not found by itself")] = None,
    encoding: Annotated[str | None, typer.Option(help="CSV: cp1252 and the like must be declared")] = None,
    sheet: Annotated[str | None, typer.Option(help="XLSX: the sheet, if not the first")] = None,
    receipt: Annotated[Path | None, typer.Option(help="where the receipt is kept; beside the file if not given")] = None,
    wait: Annotated[bool, typer.Option(help="wait for the rules and the receipt")] = True,
    in_parts: Annotated[bool, typer.Option("--in-parts", help="for a link that may be cut: the same command again goes on")] = False,
) -> None:
    """Push a file as a batch of a resource; keep its receipt.

    Ends with 5 when the batch is rejected. Pushing the same file again changes nothing.
    """
    try:
        media_of(file)
    except ValueError as wrong:
        raise ClientError(str(wrong)) from wrong
    options = {name: value for name, value in (("delimiter", delimiter), ("encoding", encoding), ("sheet", sheet)) if value}
    with Client() as client, _bar() as bar:
        task = bar.add_task(file.name, total=file.stat().st_size)
        told: dict[str, Any] = {"kind": kind, "options": options, "progress": lambda count: bar.advance(task, count)}
        if in_parts:
            identity = batch_id or batch_id_of(resource_id, kind, digest_of(file).hex())
            place = file.with_name(file.name + ".upload")
            found, is_new = upload(client, resource_id, file, batch_id=identity, place=place, **told), True
        else:
            found, is_new = client.push(resource_id, file, batch_id=batch_id, **told)
        bar.stop()
        say(f"batch {found.batch_id}: {found.received_count:,} rows received" + ("" if is_new else " earlier; nothing changed"))
        if wait:
            found = client.wait(found.batch_id)
            proof = client.receipt(found.event_id)
            kept = receipt or file.with_name(file.name + ".receipt.json")
            kept.write_text(proof.model_dump_json(indent=2) + "\n", encoding="utf-8")
            say(_verdict(found))
            say(f"receipt kept in {escape(str(kept))}")
        if Mode.json:
            show({**found.model_dump(mode="json"), "is_new": is_new})
        if found.state == "rejected":
            raise BatchRejected(f"batch {found.batch_id} is rejected: {found.reason}; see `dxmesh batch quarantine {found.batch_id}`")


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, disable=Mode.json or not console.is_terminal)


def _verdict(found: Batch) -> str:
    if found.state == "accepted":
        return f"[green]accepted[/green] {found.accepted_count:,} rows, quarantined {found.quarantined_count:,}"
    return f"[red]{found.state}[/red] {escape(found.reason or '')}"


@batch.command("show")
def batch_show(batch_id: UUID) -> None:
    """Show where a batch stands."""
    with Client() as client:
        show(client.batch(batch_id))


@batch.command("list")
def batch_list(resource_id: UUID, limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List the batches of a resource."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/resources/{resource_id}/batches", limit=limit)
        show_all(page.items, ["batch_id", "state", "kind", "received_count", "accepted_count", "quarantined_count", "received_at"])


@batch.command("quarantine")
def batch_quarantine(batch_id: UUID) -> None:
    """Read back the rows that were refused: row number, item, rule, reason."""
    with Client() as client:
        show_all(client.quarantine(batch_id), ["row", "item", "rule", "reason", "value"])


@batch.command("deliveries")
def batch_deliveries(batch_id: UUID) -> None:
    """List where a batch was delivered to."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/batches/{batch_id}/deliveries")
        counts = ["accepted_count", "delivered_count", "withheld_count", "filtered_count", "vanished_count"]
        show_all(page.items, ["view_id", "topic", *counts, "completed_at"])


@request.command("submit")
def request_submit(
    resource_id: UUID,
    basis: Annotated[str, typer.Option(help="legal basis")],
    scenario: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option()],
    approved_by: Annotated[
        str | None, typer.Option(help="the head of your unit who approved this request (Art. 20); without, it is kept as a draft")
    ] = None,
    item: Annotated[list[str] | None, typer.Option(help="an item's code; may be repeated; all without it")] = None,
    use_until: Annotated[datetime | None, typer.Option(help="the end, in local time; of a day alone its beginning")] = None,
    scenario_id: Annotated[UUID | None, typer.Option(help="an entry of the scenario list; approved, it grants what it covers")] = None,
    use_purpose: Annotated[
        str | None, typer.Option(help="ADMINISTRATIVE_BASIS, WORK_REFERENCE, DATA_CHECKING or COLLABORATION; a scenario asks for one")
    ] = None,
    file: terms.File = None,
    where: terms.Where = None,
    mask: terms.Masks = None,
    mode: terms.Modes = None,
    calls_per_minute: terms.Calls = None,
    backfill: Annotated[str | None, typer.Option(help="earlier batches: all, none, or those since a day")] = None,
) -> None:
    """Ask for access to a resource."""
    told = terms.terms_of(file, where, mask, mode, calls_per_minute) | ({"backfill": terms.backfill_of(backfill)} if backfill else {})
    with Client() as client:
        fields: dict[str, Any] = {"legal_basis": basis, "scenario": scenario, "purpose": purpose, "approved_by": approved_by}
        if item:
            fields["items"] = item
        if use_until:
            fields["use_until"] = use_until.astimezone().isoformat()
        if scenario_id:
            fields["scenario_id"] = str(scenario_id)
        if use_purpose:
            fields["use_purpose"] = use_purpose
        show(client.request_access(resource_id, **fields, terms=told))


@request.command("list")
def request_list(limit: Annotated[int, typer.Option(min=1, max=200)] = 50) -> None:
    """List requests your organization made or has to answer."""
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/requests", limit=limit)
        show_all(page.items, ["request_id", "resource_id", "state", "purpose", "submitted_at"])


@request.command("show")
def request_show(request_id: UUID) -> None:
    """Show one request."""
    with Client() as client:
        found = client.call("GET", f"{client.profile.exchange}/v1/requests/{request_id}").json()
    show(found)
    say(escape(f"items {', '.join(found['items'])}"))
    for line in terms.told(found["terms"] or {}):
        say(escape(line))


@request.command("decide")
def request_decide(
    request_id: UUID,
    outcome: Annotated[Literal["granted", "refused"], typer.Argument()],
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved this answer (Art. 20)")],
    reason: Annotated[str | None, typer.Option(help="needed for a refusal (Art. 21)")] = None,
    item: Annotated[list[str] | None, typer.Option(help="some of the items asked for; may be repeated; all without it")] = None,
    use_until: Annotated[datetime | None, typer.Option(help="not later than asked for")] = None,
    file: terms.File = None,
    where: terms.Where = None,
    mask: terms.Masks = None,
    mode: terms.Modes = None,
    calls_per_minute: terms.Calls = None,
    unmasked: terms.Unmasked = None,
) -> None:
    """Answer a request as its provider: whole, narrowed, or not at all."""
    fields: dict[str, Any] = {"terms": terms.terms_of(file, where, mask, mode, calls_per_minute), "unmasked": terms.unmasked_of(unmasked)}
    if item:
        fields["items"] = item
    if use_until:
        fields["use_until"] = use_until.astimezone().isoformat()
    with Client() as client:
        show(client.decide(request_id, outcome, approved_by=approved_by, reason=reason, **fields))


def pull(
    grant_id: UUID,
    file: Annotated[
        Path | None, typer.Argument(help="where to; .csv, .ndjson, .json, .parquet or .arrows; standard output as NDJSON if not given")
    ] = None,
    limit: Annotated[int, typer.Option(help="rows a page", min=1, max=100_000)] = 10_000,
) -> None:
    """Pull the rows of a grant, all of one moment."""
    with Client() as client:
        if file is None:
            lines(client.rows(grant_id, limit=limit))
            return
        form = _FORMATS.get(file.suffix.lower())
        if form is None:
            raise ClientError(f"{file.name}: the format is not known by its ending; it may be one of {', '.join(_FORMATS)}")
        count = _pull_into(client, grant_id, file, form, limit)
        show({"row_count": count, "file": str(file)})


def _pull_into(client: Client, grant_id: UUID, file: Path, form: str, limit: int) -> int:
    """Write pages one behind the other; Parquet and Arrow cannot be joined that way, so they come as one page.

    Returns the number of rows. The file is there when all of it is, and not before.
    """
    partial = file.with_name(file.name + ".part")
    try:
        with partial.open("wb") as target:
            count = _pull_pages(client, grant_id, target, form, limit)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _pull_pages(client: Client, grant_id: UUID, target: BinaryIO, form: str, limit: int) -> int:
    url = f"{client.profile.exchange}/v1/grants/{grant_id}/rows"
    asked = "ndjson" if form == "json" else form  # a line an object: with commas between and brackets around, a JSON array
    parameters: dict[str, Any] = {"format": asked, "limit": _PAGE_MAX_ROWS if form in _WHOLE else limit}
    count = 0
    while True:
        answer = client.call("GET", url, params=parameters)
        page, first = answer.content, "cursor" not in parameters
        if form == "csv" and not first:
            page = page.split(b"\n", 1)[1]
        if form == "json" and page:
            page = (b"[\n" if not count else b",\n") + page.rstrip(b"\n").replace(b"\n", b",\n")
        target.write(page)
        count += int(answer.headers.get("Row-Count", 0))
        cursor = answer.headers.get("Next-Cursor")
        if cursor is None:
            break
        if form in _WHOLE:
            raise ClientError(f"more than {_PAGE_MAX_ROWS:,} rows do not fit one {form} page: pull to a .csv, .ndjson or .json file")
        parameters["cursor"] = cursor
    if form == "json":
        target.write(b"\n]\n" if count else b"[]\n")
    return count


def tail(
    grant_id: UUID,
    count: Annotated[int | None, typer.Option(help="stop after so many rows", min=1)] = None,
    from_start: Annotated[bool, typer.Option(help="begin with the oldest row on the topic")] = False,
    idle_seconds: Annotated[float | None, typer.Option(help="stop when nothing has come for so long", min=0.1)] = None,
) -> None:
    """Follow a grant's topic: each row as a line of JSON with its key, batch and row number."""
    with Client() as client:
        found = client.grant(grant_id)
        if not client.profile.kafka:
            raise ClientError("the profile names no Kafka address: add `kafka` to it, or log in again")
        from dxmesh_client.cli.following import follow  # here, so that no other command waits for a Kafka client to load

        try:
            asyncio.run(follow(client.profile, found.topic, count, from_start=from_start, idle_seconds=idle_seconds))
        except KeyboardInterrupt:
            say("stopped")
