"""`dxmesh catalog`: a whole department's catalogue at once, and searching it."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from dxmesh_client import catalog_import, catalog_scan
from dxmesh_client.cli.output import Mode, say, show, show_all
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

catalog = typer.Typer(no_args_is_help=True, help="A whole catalogue: import, scan a database for it, search.")
_SHOWN_REFUSALS = 100


class Until(StrEnum):
    """How far each resource is taken."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    PUBLISHED = "published"


@catalog.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help=".xlsx, .csv or .ndjson")],
    until: Annotated[Until, typer.Option(help="how far each resource is taken; your credential needs the roles")] = Until.DRAFT,
    system: Annotated[str | None, typer.Option(help="the information system of resources that name none")] = None,
    provider: Annotated[str | None, typer.Option(help="the provider of resources that name none: its unified social credit code")] = None,
    assessments: Annotated[Path | None, typer.Option(help="a JSON document with what approvals rest on")] = None,
    sheet: Annotated[str | None, typer.Option(help="the sheet of a workbook; the first if not given")] = None,
    report: Annotated[Path | None, typer.Option(help="where all refusals are written, as CSV")] = None,
) -> None:
    """Enter the resources of a file: NDJSON of definitions, or CSV or XLSX in the columns of the catalogue guide.

    Each is entered by itself, those that are there already and equal are left as they are: after a break the same file goes on.
    Ends with 1 when something was refused.
    """
    defaults: dict[str, Any] = {"system": system, "provider": provider, "assessments": _assessments(assessments)}
    entries = catalog_import.read(file, {name: value for name, value in defaults.items() if value is not None}, sheet)
    if not entries:
        raise ClientError(f"{file.name} holds no resource")
    with Client() as client:
        done = 0

        def progress(count: int) -> None:
            nonlocal done
            done += count
            if done < len(entries) and sys.stdout.isatty():
                say(f"[dim]{done:,} of {len(entries):,}[/dim]")

        result = catalog_import.send(client, entries, until=until.value, progress=progress)
    rows = [
        {"row": one.row, "column": one.column, "pointer": one.pointer, "name": one.name, "detail": one.detail} for one in result.refusals
    ]
    if report is not None:
        catalog_import.write_report(report, result.refusals)
    show({"file": str(file), **result.counts, "refusals": rows})
    if rows:
        _show_refusals(rows, report)
        raise typer.Exit(1)


def _show_refusals(rows: list[dict[str, Any]], report: Path | None) -> None:
    """Show the first refusals to a reader; with --json they are in the result."""
    if not Mode.json:
        show_all(rows[:_SHOWN_REFUSALS], ["row", "column", "pointer", "detail"])
        if len(rows) > _SHOWN_REFUSALS:
            where = f"all are in {report}" if report is not None else "write all with --report FILE"
            say(f"and {len(rows) - _SHOWN_REFUSALS:,} more; {escape(where)}")


@catalog.command("scan")
def scan(
    url: Annotated[str, typer.Argument(help="postgresql://user@host/database; the password from PGPASSWORD or ~/.pgpass")],
    system: Annotated[str, typer.Option(help="the information system the database belongs to, as it is registered")],
    class_path: Annotated[str, typer.Option(help="类/项/目/细目 of the resources, such as 3/30/102/01")],
    file: Annotated[Path, typer.Option(help="where the draft is written, as NDJSON")] = Path("catalog.ndjson"),
    schema: Annotated[list[str] | None, typer.Option(help="a schema; may be repeated; all but the system's if not given")] = None,
    update_cycle: Annotated[str, typer.Option(help="更新周期 of the resources")] = "IRREGULAR",
) -> None:
    """Draft a catalogue from a database: a table a resource, a column an item, comments as names. No row is read."""
    definitions, notes = catalog_scan.draft(
        catalog_scan.scan(url, schema or None), system=system, class_path=class_path, update_cycle=update_cycle
    )
    if not definitions:
        raise ClientError("the database shows no table or view to this role; name the schema, or use another role")
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in definitions)
    with file.open("x", encoding="utf-8") as target:  # a draft that somebody has worked on is not written over
        target.write(text)
    look_at = [{"table": note.table, "column": note.column, "detail": note.detail} for note in notes]
    items = sum(len(one["items"]) for one in definitions)
    show({"file": str(file), "resources": len(definitions), "items": items, "look_at": look_at})
    if look_at and not Mode.json:
        show_all(look_at[:_SHOWN_REFUSALS], ["table", "column", "detail"])
    say(f"look it over, then `dxmesh catalog import {escape(str(file))}`")


@catalog.command("template")
def template(
    code: Annotated[str, typer.Argument(help="a base database, such as base-population; `dxmesh taxonomy list --kind base` lists them")],
    system: Annotated[str, typer.Option(help="the information system of the resource, as it is registered")],
    steward: Annotated[str | None, typer.Option(help="the post that keeps the entry current")] = None,
    file: Annotated[Path, typer.Option(help="where the draft is written, as NDJSON")] = Path("catalog.ndjson"),
) -> None:
    """Draft a resource of a base database from the template that comes with the node."""
    with Client() as client:
        base = f"{client.profile.catalog}/v1/taxonomies"
        known = [one for one in client.page(base, q=code, limit=200).items if one["code"].casefold() == code.casefold()]
        if not known:
            raise ClientError(f"no base database, domain warehouse or theme database has the code {code!r}")
        found = client.call("GET", f"{base}/{known[0]['taxonomy_id']}/template").json()
    definition = {"system": system, "steward": steward} | found["entry"]
    with file.open("x", encoding="utf-8") as target:  # a draft that somebody has worked on is not written over
        target.write(json.dumps({name: value for name, value in definition.items() if value is not None}, ensure_ascii=False) + "\n")
    show({"file": str(file), "items": len(definition["items"]), "code_sets": found["code_sets"], "standards": found["standards"]})
    if found["code_sets"]:
        say(f"its code sets must be in force: `dxmesh codes load {' '.join(found['code_sets'])}` (authority)")
    say(f"look it over, then `dxmesh catalog import {escape(str(file))}`")


@catalog.command("search")
def search(
    q: str,
    taxonomy: Annotated[str | None, typer.Option(help="code of a base database, domain warehouse or theme database")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
) -> None:
    """Find resources by name, items, summary, code and provider."""
    asked = {"q": q, "limit": limit} | ({"taxonomy": taxonomy} if taxonomy is not None else {})
    with Client() as client:
        found = client.call("GET", f"{client.profile.catalog}/v1/search", params=asked).json()
    rows = [one | {"provider": one["provider"]["name"]} for one in found["items"]]
    show_all(rows, ["resource_id", "resource_code", "name", "provider", "sharing_type", "item_count"])
    say(f"{found['total']:,} found" + ("; nothing holds all of it, these hold most" if found["is_relaxed"] else ""))


def _assessments(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as wrong:
        raise ClientError(f"{path} is not a JSON document: {wrong}") from wrong
