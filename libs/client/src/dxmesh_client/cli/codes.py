"""`dxmesh codes`: code sets, those that come with the node and your own."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dxmesh_client import code_files
from dxmesh_client.cli.output import Mode, say, show, show_all
from dxmesh_client.client import MEDIA_TYPES, Client
from dxmesh_client.errors import ClientError

codes = typer.Typer(no_args_is_help=True, help="Code sets: division, industry and other codes with their history.")

_XLSX = MEDIA_TYPES[".xlsx"]
_COLUMNS = ["code", "standing", "label", "parent", "successors"]


@codes.command("shipped")
def shipped() -> None:
    """List the code sets that come with the node."""
    with Client() as client:
        show_all(
            client.call("GET", f"{client.profile.catalog}/v1/shipped-code-sets").json(), ["name", "title", "standard", "source", "licence"]
        )


@codes.command("load")
def load(
    names: Annotated[list[str] | None, typer.Argument(help="shipped sets; all of them when none is named")] = None,
) -> None:
    """Put the code sets that come with the node in force (authority)."""
    with Client() as client:
        base = f"{client.profile.catalog}/v1/shipped-code-sets"
        wanted = names or [one["name"] for one in client.call("GET", base).json()]
        found = []
        for name in wanted:
            answer = client.call("POST", f"{base}/{name}/publication", repeat=True)
            made = answer.json()
            found.append({"name": name, "version": made["version"], "codes": len(made["codes"]), "is_new": answer.status_code == 201})
        show_all(found, ["name", "version", "codes", "is_new"])


@codes.command("import")
def import_file(
    name: str,
    file: Annotated[Path, typer.Argument(help="CSV (UTF-8; .gz and .xz too) or XLSX", exists=True, dir_okay=False)],
    title: Annotated[str | None, typer.Option(help="needed for a new set")] = None,
    kind: Annotated[str | None, typer.Option(help="division, industry, national, international or own")] = None,
    source: Annotated[str | None, typer.Option(help="who says so; what others say stays beside it")] = None,
    prefix: Annotated[str, typer.Option(help="only codes that begin so: the streets of a province, the villages of a city")] = "",
    parent_set: Annotated[str | None, typer.Option(help="the set that holds the parents")] = None,
    leading_source: Annotated[str | None, typer.Option(help="the source that decides what is in force")] = None,
    skip_bad: Annotated[bool, typer.Option(help="take the good rows and name the bad ones")] = False,
) -> None:
    """Import a file of codes (authority)."""
    is_workbook = file.suffix.lower() == ".xlsx"
    if is_workbook and prefix:
        raise ClientError("--prefix is for CSV; leave it out for a workbook")
    body = file.read_bytes() if is_workbook else code_files.as_csv(code_files.rows_of(file, prefix=prefix))
    given = {
        "title": title,
        "kind": kind,
        "source": source,
        "parent_set": parent_set,
        "leading_source": leading_source,
        "skip_bad": "true" if skip_bad else None,
    }
    with Client() as client:
        found = client.call(
            "POST",
            f"{client.profile.catalog}/v1/code-sets/{name}/import",
            params={key: value for key, value in given.items() if value is not None},
            content=body,
            headers={"Content-Type": _XLSX if is_workbook else "text/csv; charset=utf-8"},
        ).json()
        refused: list[dict[str, Any]] = found["refused"]
        show(found)
        if refused and not Mode.json:
            show_all(refused, ["pointer", "detail"], title=f"{found['refused_count']} left out")


@codes.command("draft")
def draft(
    name: Annotated[str, typer.Argument(help="your organization's unified social credit code in small letters, a dot, and a word")],
    file: Annotated[Path, typer.Argument(help="CSV (UTF-8; .gz and .xz too)", exists=True, dir_okay=False)],
    title: Annotated[str, typer.Option()],
    kind: Annotated[str, typer.Option(help="division, industry, national, international or own")] = "own",
    standard: Annotated[str | None, typer.Option(help="the standard it follows")] = None,
    parent_set: Annotated[str | None, typer.Option(help="the set that holds the parents")] = None,
    prefix: Annotated[str, typer.Option(help="only codes that begin so")] = "",
) -> None:
    """Write the draft of a code set of your organization (steward)."""
    if file.suffix.lower() == ".xlsx":
        raise ClientError(f"{file.name} is a workbook; save its sheet as CSV, which a draft is made of")
    body = {
        "title": title,
        "kind": kind,
        "standard": standard,
        "parent_set": parent_set,
        "entries": code_files.as_entries(code_files.rows_of(file, prefix=prefix)),
    }
    with Client() as client:
        show(client.call("PUT", f"{client.profile.catalog}/v1/code-sets/{name}/draft", json=body).json())


@codes.command("drafts")
def drafts(limit: Annotated[int, typer.Option(min=1, max=1000)] = 100) -> None:
    """List the drafts of your organization, or all of them (authority)."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/code-set-drafts", limit=limit)
        show_all(page.items, ["name", "title", "kind", "entry_count", "drafted_at", "drafted_by"])


@codes.command("publish")
def publish(name: str) -> None:
    """Put a draft in force as the next version (steward)."""
    with Client() as client:
        answer = client.call("POST", f"{client.profile.catalog}/v1/code-sets/{name}/draft/publication")
        made = answer.json()
        show({"name": name, "version": made["version"], "codes": len(made["codes"]), "is_new": answer.status_code == 201})


@codes.command("discard")
def discard(name: str) -> None:
    """Discard a draft; what is in force stays (steward)."""
    with Client() as client:
        client.call("DELETE", f"{client.profile.catalog}/v1/code-sets/{name}/draft")
        show({"name": name, "discarded": True})


@codes.command("retire")
def retire(name: str, reason: Annotated[str, typer.Option()]) -> None:
    """Take a code set out of use for good; what uses it in force goes on (steward whose it is, authority)."""
    with Client() as client:
        found = client.call("POST", f"{client.profile.catalog}/v1/code-sets/{name}/retirement", json={"reason": reason}).json()
        show({"name": name, "retired_at": found["code_set"]["retired_at"], "used_by": len(found["used_by"])})


@codes.command("list")
def list_sets(limit: Annotated[int, typer.Option(min=1, max=1000)] = 100) -> None:
    """List the code sets of the node."""
    with Client() as client:
        page = client.page(f"{client.profile.catalog}/v1/code-sets", limit=limit)
        show_all(page.items, ["name", "version", "title", "kind", "code_count", "published_at", "retired_at"])


@codes.command("show")
def show_codes(
    name: str,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="only the codes that held on this day")] = None,
    q: Annotated[str | None, typer.Option(help="beginning of the code, or part of the label")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
) -> None:
    """List the codes of a set."""
    with Client() as client:
        day = on.date().isoformat() if on else None
        page = client.page(f"{client.profile.catalog}/v1/code-sets/{name}/codes", on=day, q=q, limit=limit)
        show_all([item | {"successors": " ".join(item["successors"])} for item in page.items], _COLUMNS)


@codes.command("explain")
def explain(name: str, code: str, on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None) -> None:
    """Say what a code is, or what became of it."""
    with Client() as client:
        params = {"on": on.date().isoformat()} if on else {}
        found = client.call("GET", f"{client.profile.catalog}/v1/code-sets/{name}/codes/{code}", params=params).json()
        if Mode.json:
            show(found)
            return
        say(found["text"])
        show_all(found["sources"], ["source", "standing", "label"])
