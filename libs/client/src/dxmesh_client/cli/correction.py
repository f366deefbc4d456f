"""`dxmesh correction`: doubts about shared records, and what their providers answer."""

from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import show, show_all
from dxmesh_client.cli.sending import send
from dxmesh_client.client import Client

correction = typer.Typer(no_args_is_help=True, help="Doubts about shared records (Art. 26): corrected, or answered why not.")

Why = Annotated[str, typer.Option(help="the reason, as it is written down")]
_SHOWN = ["correction_id", "resource_id", "state", "standing", "due_on", "reason", "answer", "batch_id", "covered_count", "uncovered_count"]


def _record(text: str) -> dict[str, Any]:
    """Read BATCH_ID:ROW, or item=value pairs of the key with commas between them."""
    batch_id, separator, row = text.rpartition(":")
    if separator and row.isascii() and row.isdigit() and "=" not in text:
        return {"batch_id": batch_id, "row": int(row)}
    pairs = [one.partition("=") for one in text.split(",")]
    if not all(name and separator and value for name, separator, value in pairs):
        raise typer.BadParameter(f"{text}: write BATCH_ID:ROW as it came with the record, or code=330602,year=2026 of its key")
    return {"key": {name.strip(): value.strip() for name, _, value in pairs}}


@correction.command("file")
def correction_file(
    grant_id: UUID,
    record: Annotated[list[str], typer.Option(help="BATCH_ID:ROW, or the key as code=330602; may be repeated")],
    reason: Why,
    item: Annotated[list[str] | None, typer.Option(help="an item whose values are doubted; may be repeated")] = None,
) -> None:
    """Doubt records that a grant reads; the provider answers within the policy's days (steward)."""
    send("exchange", "POST", f"grants/{grant_id}/corrections", records=[_record(one) for one in record], reason=reason, items=item or None)


@correction.command("list")
def correction_list(
    state: Annotated[str | None, typer.Option(help="filed, corrected, rejected or withdrawn")] = None, limit: Limit = 50
) -> None:
    """List what your organization doubts or has to answer, newest first."""
    with Client() as client:
        show_all(client.page(f"{client.profile.exchange}/v1/corrections", state=state, limit=limit).items, _SHOWN)


@correction.command("show")
def correction_show(correction_id: UUID) -> None:
    """Show a correction request with its records."""
    with Client() as client:
        show(client.call("GET", f"{client.profile.exchange}/v1/corrections/{correction_id}").json())


@correction.command("answer")
def correction_answer(
    correction_id: UUID,
    outcome: Annotated[Literal["corrected", "rejected"], typer.Argument()],
    approved_by: Annotated[str, typer.Option(help="the head of your unit who approved this answer")],
    batch: Annotated[UUID | None, typer.Option(help="the accepted batch that brings the corrected records")] = None,
    reason: Annotated[str | None, typer.Option(help="why the records stay as they are")] = None,
) -> None:
    """Answer a doubt as the provider: name the batch that corrects, or the reason why not."""
    send(
        "exchange",
        "POST",
        f"corrections/{correction_id}/answer",
        outcome=outcome,
        approved_by=approved_by,
        batch_id=None if batch is None else str(batch),
        reason=reason,
    )


@correction.command("withdraw")
def correction_withdraw(correction_id: UUID, reason: Why) -> None:
    """Doubt no more."""
    send("exchange", "POST", f"corrections/{correction_id}/withdrawal", reason=reason)
