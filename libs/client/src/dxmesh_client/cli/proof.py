"""`dxmesh receipt|verify|login|doctor`: proof, and the way to a node."""

import shutil
import socket
import sys
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer

from dxmesh_client import config
from dxmesh_client.cli.output import say, show, show_all
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError, NotConfigured, NotVerified
from dxmesh_client.receipt import ReceiptInvalid
from dxmesh_client.receipt import verify as verify_receipt

_SKEW_SECONDS = 30


def receipt(batch_id: UUID, file: Annotated[Path | None, typer.Argument(help="where it is kept; shown if not given")] = None) -> None:
    """Fetch the receipt of a batch."""
    with Client() as client:
        found = client.receipt(client.batch(batch_id).event_id)
        if file is None:
            show(found)
        else:
            file.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
            show({"receipt": str(file)})


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    key: Annotated[str | None, typer.Option(help="the log's verifier key; the one kept at login if not given")] = None,
) -> None:
    """Verify a receipt offline: entry, inclusion proof and checkpoint. Ends with 4 when it does not hold."""
    log_key = key or config.load().log_key
    if not log_key:
        raise NotConfigured("no log key is known: give --key, or log in once so that it is kept")
    try:
        found = verify_receipt(file.read_bytes(), log_key)
    except ReceiptInvalid as wrong:
        raise NotVerified(f"{file} does not verify: {wrong}") from wrong
    say("[green]verified[/green]")
    facts = {
        name: getattr(found, name) for name in ("event_id", "event_type", "source", "time", "topic", "key", "index", "tree_size", "origin")
    }
    show({"verified": True, **facts, "root_hash": found.root_hash.hex(), "event": found.event()})


def login(
    node: Annotated[Path | None, typer.Option(help="a node's profile file, as its operator gives it out")] = None,
    client_id: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Keep the node's addresses and your credential; the secret is asked for, or read from standard input."""
    profile = config.read(node) if node else config.load()
    if client_id:
        asked = typer.prompt("client secret", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
        profile = profile.as_client(client_id, asked)
    with Client(profile, patience_seconds=3) as client:
        client.token()
        now = client.log_key()
    if profile.log_key and profile.log_key != now:
        raise NotVerified(f"the node's log key is {now}, but {profile.log_key} was kept: ask its operator before trusting it")
    kept = config.save(profile.model_copy(update={"log_key": now}))
    show({"profile": str(kept), "client_id": profile.client_id, "log_key": now})


def doctor() -> None:
    """Check what a push needs: profile, services, token, clock, Kafka, disk. Ends with 1 when something is wrong."""
    found: list[dict[str, Any]] = []

    def note(what: str, problem: str | None, fine: str = "") -> None:
        found.append({"check": what, "ok": problem is None, "detail": problem or fine})

    try:
        profile = config.load()
    except NotConfigured as missing:
        note("profile", str(missing))
        _report(found)
    for name in ("catalog", "exchange", "quality", "open_data", "audit"):
        _check_service(note, name, getattr(profile, name))
    try:
        with Client(profile, patience_seconds=2) as client:
            client.token()
            note("token", None, f"for {profile.client_id}")
    except ClientError as wrong:
        note("token", str(wrong))
    if profile.kafka:
        note("kafka", *_check_port(profile.kafka.split(",")[0]))
    free = shutil.disk_usage(Path.cwd()).free
    note("disk", None if free > 1 << 30 else f"{free >> 20} MB are free here: make room before pulling", f"{free >> 30} GB free")
    _report(found)


def _check_service(note: Any, name: str, url: str) -> None:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=3)
        skew = abs(time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp())
        missing = ", ".join(answer.json().get("missing", [])) if answer.status_code != 200 else ""
        problem = f"{url} waits for {missing}" if missing else None
        if skew > _SKEW_SECONDS:
            problem = f"the clocks of {url} and this machine differ by {skew:.0f} s: tokens will be refused; set the time"
        note(name, problem, url)
    except (httpx.HTTPError, ValueError, KeyError) as away:
        note(name, f"{url} does not answer: {away}; start it (`make up`) or correct the profile")


def _check_port(address: str) -> tuple[str | None, str]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError) as away:
        return f"{address} does not answer: {away}", ""
    return None, address


def _report(found: list[dict[str, Any]]) -> None:
    show_all(found, ["check", "ok", "detail"])
    raise typer.Exit(0 if all(item["ok"] for item in found) else 1)
