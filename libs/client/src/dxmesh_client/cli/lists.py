"""`dxmesh list|edition|report`: the six lists as files, yearly editions, the ledger and the reports."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dxmesh_client.cli.output import Mode, show, show_all
from dxmesh_client.client import MEDIA_TYPES, Client
from dxmesh_client.edition_proof import EditionInvalid, verify
from dxmesh_client.errors import ClientError, NotVerified, ProblemAnswer

lists = typer.Typer(no_args_is_help=True, help="System, data, demand, duty, negative and scenario lists.")
edition = typer.Typer(no_args_is_help=True, help="Yearly editions of the catalogue.")
_READ = (".csv", ".xlsx")


class Kind(StrEnum):
    """A list."""

    SYSTEM = "system"
    DATA = "data"
    DEMAND = "demand"
    DUTY = "duty"
    NEGATIVE = "negative"
    SCENARIO = "scenario"


class Report(StrEnum):
    """A report."""

    COVERAGE = "coverage"
    ORPHANS = "orphans"
    NON_SHARING = "non-sharing"
    NEGATIVE_LIST = "negative-list"
    DUTIES = "duties"
    DUTY_TOTALS = "duty-totals"
    IDLE_SYSTEMS = "idle-systems"
    OFF_CLOUD = "off-cloud"
    LAPSED_PAPERS = "lapsed-papers"
    DUPLICATES = "duplicates"
    TOTALS = "totals"
    TAXONOMIES = "taxonomies"
    LINEAGE = "lineage"
    STALE = "stale"


File = Annotated[Path, typer.Argument(help="a file that ends in .csv or .xlsx", dir_okay=False)]


def _form(file: Path, *also: str) -> str:
    suffix = file.suffix.lower()
    if suffix not in (*_READ, *also):
        raise ClientError(f"{file.name}: the form is told by the ending; it may be {', '.join((*_READ, *also))}")
    return suffix.removeprefix(".")


def _kept(client: Client, url: str, file: Path, *also: str, **query: int) -> None:
    content = client.call("GET", f"{client.profile.catalog}{url}", params={"format": _form(file, *also)} | query).content
    file.write_bytes(content)
    show({"file": str(file), "byte_count": len(content)})


@lists.command("show")
def list_show(kind: Kind, limit: Annotated[int, typer.Option(help="how many at most", min=1, max=200)] = 50) -> None:
    """Show a list."""
    own = ["owner_name", "name", "resource_count"] if kind is Kind.SYSTEM else ["provider_name", "resource_code", "name", "sharing_type"]
    columns = own if kind in (Kind.SYSTEM, Kind.DATA) else ["entry_id", "name", "status", "due_on", "version"]
    with Client() as client:
        show_all(client.page(f"{client.profile.catalog}/v1/lists/{kind.value}", limit=limit).items, columns)


@lists.command("export")
def list_export(kind: Kind, file: File) -> None:
    """Write a list to a file."""
    with Client() as client:
        _kept(client, f"/v1/lists/{kind.value}/file", file)


@lists.command("template")
def list_template(kind: Kind, file: File) -> None:
    """Write a list's columns to a file, to fill in and import."""
    with Client() as client:
        _kept(client, f"/v1/lists/{kind.value}/template", file)


@lists.command("import")
def list_import(
    kind: Kind,
    file: Annotated[Path, typer.Argument(help="a file that ends in .csv or .xlsx", exists=True, dir_okay=False)],
    good: Annotated[bool, typer.Option("--good", help="keep the good rows and name the others, instead of all or none")] = False,
    sheet: Annotated[str | None, typer.Option(help="of a workbook; the first when not given")] = None,
) -> None:
    """Take in a file of a list; wrong rows are named."""
    media = MEDIA_TYPES[f".{_form(file)}"]
    query = {"mode": "good" if good else "all"} | ({"sheet": sheet} if sheet else {})
    with Client() as client:
        url = f"{client.profile.catalog}/v1/lists/{kind.value}/import"
        try:
            # an import that comes again enters nothing twice
            found = client.call("POST", url, repeat=True, params=query, content=file.read_bytes(), headers={"Content-Type": media}).json()
        except ProblemAnswer as refused:
            _name_rows(refused.problem.get("errors", []))
            raise
        _name_rows(found["faults"])
        show(found)


def _name_rows(faults: list[dict[str, Any]]) -> None:
    rows = [fault for fault in faults if "row" in fault]
    if rows and not Mode.json:
        show_all(rows, ["row", "column", "reason", "remedy"])


@edition.command("publish")
def edition_publish(year: int, title: Annotated[str, typer.Option()]) -> None:
    """Publish a year's edition: what is in force, signed, for good (authority)."""
    with Client() as client:
        show(client.call("POST", f"{client.profile.catalog}/v1/editions", json={"year": year, "title": title}).json())


@edition.command("save")
def edition_save(
    year: int,
    folder: Annotated[Path, typer.Argument(help="where edition.json, content.ndjson and jwks.json are put", file_okay=False)] = Path(),
) -> None:
    """Keep an edition with its signature and the node's keys, to be checked without the node."""
    with Client() as client:
        base = client.profile.catalog
        folder.mkdir(parents=True, exist_ok=True)
        for name, url in (
            ("edition.json", f"/v1/editions/{year}"),
            ("content.ndjson", f"/v1/editions/{year}/content"),
            ("jwks.json", "/.well-known/jwks.json"),
        ):
            (folder / name).write_bytes(client.call("GET", f"{base}{url}").content)
        show({"folder": str(folder), "year": year})


@edition.command("table")
def edition_table(year: int, file: File) -> None:
    """Write an edition to a file, one row an item."""
    with Client() as client:
        _kept(client, f"/v1/editions/{year}/content", file)


@edition.command("verify")
def edition_verify(
    folder: Annotated[Path, typer.Argument(help="where `dxmesh edition save` put it", exists=True, file_okay=False)],
    keys: Annotated[
        Path | None, typer.Option(help="the node's keys as you got them yourself; jwks.json of the folder if not given", exists=True)
    ] = None,
) -> None:
    """Verify a kept edition offline: signature, digest and counts. Ends with 4 when it does not hold."""
    try:
        found = verify((folder / "edition.json").read_bytes(), folder / "content.ndjson", (keys or folder / "jwks.json").read_bytes())
    except EditionInvalid as wrong:
        raise NotVerified(f"{folder} does not verify: {wrong}") from wrong
    show({"verified": True, **asdict(found)})


@edition.command("compare")
def edition_compare(
    year: int,
    later: int,
    file: Annotated[Path | None, typer.Argument(help="where to put it: a file that ends in .csv, .xlsx or .json", dir_okay=False)] = None,
) -> None:
    """Show what came, went and changed between two editions, or write it to a file."""
    url = f"/v1/editions/{year}/comparison"
    with Client() as client:
        if file is not None:
            _kept(client, url, file, ".json", **{"with": later})
            return
        found = client.call("GET", f"{client.profile.catalog}{url}", params={"with": later}).json()
        if Mode.json:
            show(found)
            return
        show({name: found[name] for name in ("added_count", "removed_count", "changed_count")})
        if found["rows"]:
            show_all(found["rows"], ["change", "resource_code", "name", "provider_name", "before_version", "after_version", "is_breaking"])


def ledger() -> None:
    """Show the ledger: systems, resources and items, by department and level."""
    with Client() as client:
        found = client.call("GET", f"{client.profile.catalog}/v1/ledger").json()
        if Mode.json:
            show(found)
            return
        counts = ["system_count", "resource_count", "item_count", "shareable_item_count"]
        lines = [{"name": "all", **found["total"]}, *({"name": line["level"], **line} for line in found["levels"]), *found["departments"]]
        show_all(lines, ["name", *counts])


def report(
    name: Report,
    file: Annotated[Path | None, typer.Argument(help="where to put it: a file that ends in .csv, .xlsx or .json", dir_okay=False)] = None,
    days: Annotated[int | None, typer.Option(help="of idle-systems: how long nothing came or went", min=1, max=3650)] = None,
) -> None:
    """Show a report, or write it to a file."""
    query = {} if days is None else {"days": days}
    also = () if name is Report.STALE else (".json",)  # the stale resources are told page by page
    with Client() as client:
        url = f"/v1/reports/{name.value}"
        if file is not None:
            _kept(client, url, file, *also, **query)
            return
        if name is Report.STALE:
            columns = ["resource_code", "name", "organization_name", "update_cycle", "fresh_through", "overdue_days"]
            show_all(client.page(f"{client.profile.catalog}{url}", limit=200).items, columns)
            return
        found = client.call("GET", f"{client.profile.catalog}{url}", params=query).json()
        if Mode.json:
            show(found)
            return
        show(found["summary"], title=found["title"])
        if found["rows"]:
            show_all(found["rows"], list(found["rows"][0]))
