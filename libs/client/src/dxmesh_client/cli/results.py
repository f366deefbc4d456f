"""`dxmesh result`: results of supervision that departments recognise from each other."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError

from dxmesh_client import result_proof
from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import say, show, show_all
from dxmesh_client.cli.sending import answer_of, send
from dxmesh_client.client import Client
from dxmesh_client.errors import NotVerified
from dxmesh_schemas.exchange_results import ResultStatement

result = typer.Typer(no_args_is_help=True, help="Results that departments recognise from each other, signed by their issuer.")
KeyFile = Annotated[Path, typer.Option("--key", help="the issuer's private key, PEM")]
Why = Annotated[str, typer.Option(help="the reason, as it is written down")]
_COLUMNS = ["result_id", "kind", "subject", "outcome", "issuer", "issued_on", "valid_until", "revoked_at"]


def _loaded(path: Path) -> Any:
    try:
        return result_proof.load_key(path)
    except result_proof.ResultInvalid as wrong:
        raise typer.BadParameter(str(wrong)) from wrong


@result.command("keygen")
def keygen(file: Path) -> None:
    """Make an issuer's key; an existing file is never replaced."""
    key = result_proof.create_key(file)
    show({"file": str(file), "kid": key.thumbprint()})


@result.command("register-key")
def register_key(key: KeyFile, organization: Annotated[UUID, typer.Option(help="your organization's id")]) -> None:
    """Register the public part of your organization's key with the node."""
    loaded = _loaded(key)
    body = {"jwk": result_proof.public_jwk(loaded), "proof": result_proof.prove_possession(loaded, organization)}
    send("exchange", "POST", "issuer-keys", **body)


@result.command("end-key", context_settings={"ignore_unknown_options": True})  # one id in 64 begins with a dash
def end_key(kid: str, why: Why) -> None:
    """End a key: nothing more is issued under it."""
    send("exchange", "POST", f"issuer-keys/{kid}/end", reason=why)


@result.command("issue")
def issue(
    statement: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the statement as JSON")],
    key: KeyFile,
    share_with: Annotated[list[UUID] | None, typer.Option(help="an organization that may have it; every one if not given")] = None,
) -> None:
    """Sign a statement and issue it."""
    try:
        said = ResultStatement.model_validate_json(statement.read_bytes())
    except ValidationError as wrong:
        faults = "; ".join(f"/{'/'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in wrong.errors())
        raise typer.BadParameter(f"{statement}: {faults}") from wrong
    body = {"result": result_proof.sign(_loaded(key), said), "shared_with": [str(one) for one in share_with] if share_with else None}
    send("exchange", "POST", "results", **body)


@result.command("list")
def list_results(subject: str | None = None, kind: str | None = None, limit: Limit = 50) -> None:
    """List the results your organization may have, newest first."""
    with Client() as client:
        found = client.page(f"{client.profile.exchange}/v1/results", subject=subject, kind=kind, limit=limit).items
    show_all([one | one["statement"] | {"issuer": one["issuer"]["name"]} for one in found], _COLUMNS)


@result.command("proof")
def proof(result_id: UUID, file: Path) -> None:
    """Fetch what proves a result offline, and keep it."""
    file.write_text(json.dumps(answer_of("exchange", "GET", f"results/{result_id}/proof"), indent=1) + "\n", encoding="utf-8")
    show({"proof": str(file)})


@result.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    node_keys: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="the node's JWK set, kept from before")],
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day it must be good; today in China if not given")] = None,
) -> None:
    """Verify a result offline. Ends with 4 when it does not hold."""
    try:
        found = result_proof.verify(file.read_bytes(), node_keys.read_bytes(), today=on.date() if on else _today())
    except result_proof.ResultInvalid as wrong:
        raise NotVerified(f"{file} does not verify: {wrong}") from wrong
    say("[green]verified[/green]")
    facts = {"issuer": found.issuer.get("name"), "key_id": found.key_id, "node": found.node, "as_of": found.as_of}
    show({"verified": True, **facts, **found.statement.model_dump(mode="json", exclude={"issuer"})})


def _today() -> date:
    return (datetime.now(UTC) + timedelta(hours=8)).date()


@result.command("revoke")
def revoke(result_id: UUID, why: Why) -> None:
    """Take a result of yours back."""
    send("exchange", "POST", f"results/{result_id}/revocation", reason=why)


@result.command("recognise")
def recognise(
    result_id: UUID,
    purpose: Annotated[str, typer.Option(help="what it is used for")],
    accepted: Annotated[bool, typer.Option("--accept/--decline")] = True,
    why: Annotated[str | None, typer.Option(help="needed to decline")] = None,
) -> None:
    """Say that a result is used in place of an own check, or why it is not."""
    body = {"accepted": accepted, "purpose": purpose, "reason": why}
    show_all(
        answer_of("exchange", "POST", f"results/{result_id}/recognitions", **body),
        ["organization", "accepted", "purpose", "reason", "recognised_at"],
    )
