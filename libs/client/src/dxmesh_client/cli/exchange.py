"""`dxmesh push|batch|request|grant|pull|tail`: sending rows, asking for them, reading them."""

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from dxmesh_client.cli.output import Mode, console, lines, say, show, show_all
from dxmesh_client.client import Client, media_of
from dxmesh_client.errors import BatchRejected, ClientError, Unreachable
from dxmesh_client.models import Batch

batch = typer.Typer(no_args_is_help=True, help="Batches that were pushed, and the rows refused of them.")
request = typer.Typer(no_args_is_help=True, help="Sharing requests: ask, look, decide.")
grant = typer.Typer(no_args_is_help=True, help="Grants: what may be read, and where.")
_FORMATS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json", ".parquet": "parquet"}


def push(
    resource_id: UUID,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    kind: Annotated[str, typer.Option(help="append, upsert, delete or snapshot")] = "append",
    batch_id: Annotated[UUID | None, typer.Option(help="without one, the same file is always the same batch")] = None,
    delimiter: Annotated[str | None, typer.Option(help="CSV: the character between fields, if not found by itself")] = None,
    encoding: Annotated[str | None, typer.Option(help="CSV: cp1252 and the like must be declared")] = None,
    sheet: Annotated[str | None, typer.Option(help="XLSX: the sheet, if not the first")] = None,
    receipt: Annotated[Path | None, typer.Option(help="where the receipt is kept; beside the file if not given")] = None,
    wait: Annotated[bool, typer.Option(help="wait for the rules and the receipt")] = True,
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
        found, is_new = client.push(
            resource_id, file, kind=kind, batch_id=batch_id, options=options, progress=lambda count: bar.advance(task, count)
        )
        bar.stop()
        say(f"batch {found.batch_id}: {found.received_count:,} rows received" + ("" if is_new else " earlier; nothing changed"))
        if wait:
            found = client.wait(found.batch_id)
            proof = client.receipt(found.event_id)
            kept = receipt or file.with_name(file.name + ".receipt.json")
            kept.write_text(proof.model_dump_json(indent=2) + "\n", encoding="utf-8")
            say(_verdict(found))
            say(f"receipt kept in {kept}")
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
    return f"[red]{found.state}[/red] {found.reason or ''}"


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
        show_all(page.items, ["view_id", "topic", "accepted_count", "delivered_count", "completed_at"])


@request.command("submit")
def request_submit(
    resource_id: UUID,
    basis: Annotated[str, typer.Option(help="legal basis")],
    scenario: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option()],
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved this request (Art. 20)")],
    item: Annotated[list[str] | None, typer.Option(help="an item's code; may be repeated; all without it")] = None,
    use_until: Annotated[datetime | None, typer.Option()] = None,
) -> None:
    """Ask for access to a resource."""
    with Client() as client:
        fields: dict[str, Any] = {"legal_basis": basis, "scenario": scenario, "purpose": purpose, "approved_by": approved_by}
        if item:
            fields["items"] = item
        if use_until:
            fields["use_until"] = use_until.astimezone().isoformat()
        show(client.request_access(resource_id, **fields))


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
        show(client.call("GET", f"{client.profile.exchange}/v1/requests/{request_id}").json())


@request.command("decide")
def request_decide(
    request_id: UUID,
    outcome: Annotated[str, typer.Argument(help="granted or refused")],
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved this answer (Art. 20)")],
    reason: Annotated[str | None, typer.Option(help="needed for a refusal (Art. 21)")] = None,
) -> None:
    """Answer a request as its provider."""
    with Client() as client:
        show(client.decide(request_id, outcome, approved_by=approved_by, reason=reason))


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


@grant.command("terminate")
def grant_terminate(grant_id: UUID, reason: Annotated[str, typer.Option()]) -> None:
    """End a grant."""
    with Client() as client:
        show(client.call("POST", f"{client.profile.exchange}/v1/grants/{grant_id}/termination", json={"reason": reason}).json())


def pull(
    grant_id: UUID,
    file: Annotated[
        Path | None, typer.Argument(help="where to; .csv, .ndjson, .json or .parquet; standard output as NDJSON if not given")
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
        show({"rows": count, "file": str(file)})


def _pull_into(client: Client, grant_id: UUID, file: Path, form: str, limit: int) -> int:
    """Write pages one behind the other; JSON and Parquet cannot be joined that way, so they come as one page."""
    url = f"{client.profile.exchange}/v1/grants/{grant_id}/rows"
    cursor: str | None = None
    count = 0
    partial = file.with_name(file.name + ".part")
    with partial.open("wb") as target:
        while True:
            parameters: dict[str, Any] = {"format": form, "limit": limit if form in ("csv", "ndjson") else 100_000}
            if cursor:
                parameters["cursor"] = cursor
            answer = client.call("GET", url, params=parameters)
            body = answer.content
            target.write(body.split(b"\n", 1)[1] if form == "csv" and cursor else body)
            count += int(answer.headers.get("Row-Count", 0))
            cursor = answer.headers.get("Next-Cursor")
            if cursor and form in ("json", "parquet"):
                raise ClientError(f"more than 100,000 rows do not fit one {form} page: pull to a .csv or .ndjson file")
            if not cursor:
                break
    partial.replace(file)
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
        try:
            asyncio.run(_tail(client.profile.kafka, found.topic, count, from_start, idle_seconds))
        except KafkaError as away:
            raise Unreachable(f"Kafka at {client.profile.kafka}: {away}") from away
        except KeyboardInterrupt:
            say("stopped")


async def _tail(servers: str, topic: str, count: int | None, from_start: bool, idle_seconds: float | None) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest" if from_start else "latest",
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    try:
        seen = 0
        while count is None or seen < count:
            try:
                record = await asyncio.wait_for(consumer.getone(), idle_seconds)
            except TimeoutError:
                return
            headers = {name: value.decode() for name, value in record.headers}
            row = {
                "key": record.key.decode() if record.key else None,
                "value": json.loads(record.value) if record.value else None,
                "batch": headers.get("batch"),
                "row": int(headers["row"]) if "row" in headers else None,
            }
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            seen += 1
    finally:
        await consumer.stop()
