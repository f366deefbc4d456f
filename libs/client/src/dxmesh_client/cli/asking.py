"""`dxmesh request approve|hand-in|materials|supply|extend|consent|withdraw`: a request's way between its draft and its answer."""

from typing import Annotated
from uuid import UUID

import typer

from dxmesh_client.cli.sending import send

Why = Annotated[str, typer.Option(help="the reason, as it is written down")]


def add_to(request: typer.Typer) -> None:
    """Add these commands to `dxmesh request`."""
    for name, command in (
        ("approve", approve),
        ("hand-in", hand_in),
        ("materials", materials),
        ("supply", supply),
        ("extend", extend),
        ("consent", consent),
        ("withdraw", withdraw),
    ):
        request.command(name)(command)


def approve(request_id: UUID, approved_by: Annotated[str, typer.Option(help="the head of your unit who approved it (Art. 20)")]) -> None:
    """Note that your head approved a draft."""
    send("exchange", "POST", f"requests/{request_id}/approval", approved_by=approved_by)


def hand_in(request_id: UUID) -> None:
    """Hand in a draft that your head approved; it is answered at once where consent stands or its scenario covers it."""
    send("exchange", "POST", f"requests/{request_id}/submission")


def materials(request_id: UUID, missing: Annotated[list[str], typer.Option(help="what is missing; may be repeated")]) -> None:
    """Name everything that is missing, as the provider: once, in one notice (Art. 21)."""
    send("exchange", "POST", f"requests/{request_id}/materials", missing=missing)


def supply(request_id: UUID, supplied: Annotated[str, typer.Option(help="what was missing")]) -> None:
    """Supply what the provider found missing; the answer is due again."""
    send("exchange", "POST", f"requests/{request_id}/supply", supplied=supplied)


def extend(request_id: UUID, days: Annotated[int, typer.Option(min=1, help="working days")], reason: Why) -> None:
    """Ask the data authority for more working days to answer, as the provider: once."""
    send("exchange", "POST", f"requests/{request_id}/extension", days=days, reason=reason)


def consent(
    request_id: UUID,
    approved_by: Annotated[str, typer.Option(help="the head who decided")],
    refuse: Annotated[bool, typer.Option("--refuse", help="give no more time")] = False,
) -> None:
    """Consent to an extension, or not, as the data authority."""
    send("exchange", "POST", f"requests/{request_id}/extension/decision", consents=not refuse, approved_by=approved_by)


def withdraw(request_id: UUID, reason: Why) -> None:
    """Take a request back that is not answered yet."""
    send("exchange", "POST", f"requests/{request_id}/withdrawal", reason=reason)
