"""How the command line speaks: for people in tables and colour, with --json as one JSON value on standard output."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import simplejson
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_PIPE_COLUMNS = 250  # where no terminal says how wide it is: ids and addresses stay in one piece
console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Mode:
    """Whether this run speaks JSON."""

    json = False


def say(text: str) -> None:
    """Print a line for people, in rich's markup (escape what came from elsewhere); silent with --json."""
    if not Mode.json:
        console.print(text, soft_wrap=True)


def complain(text: str) -> None:
    """Say on standard error what went wrong."""
    errors.print(f"[red]dxmesh:[/red] {escape(text)}")


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def show(value: Any, *, title: str = "") -> None:
    """Print one thing: as JSON, or as a table of fields."""
    found = plain(value)
    if Mode.json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2, default=str) + "\n")
        return
    table = Table(title=title or None, show_header=False, box=None, title_justify="left")
    for name, item in found.items():
        if item is not None and not isinstance(item, list | dict):
            table.add_row(f"[dim]{escape(name)}[/dim]", escape(str(item)), end_section=False)
    console.print(table)


def show_all(items: Iterable[Mapping[str, Any]], columns: Sequence[str], *, title: str = "") -> None:
    """Print many things: as a JSON array, or as a table of the named columns."""
    if Mode.json:
        sys.stdout.write(json.dumps([plain(item) for item in items], ensure_ascii=False, indent=2, default=str) + "\n")
        return
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for item in items:
        table.add_row(*(escape(_told(item.get(column))) for column in columns))
    console.print(table)


def _told(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def lines(items: Iterable[Any]) -> None:
    """Print each thing as a line of JSON (NDJSON), as it comes; a Decimal is a number with all its digits."""
    for item in items:
        sys.stdout.write(simplejson.dumps(plain(item), ensure_ascii=False, use_decimal=True, default=str) + "\n")
    sys.stdout.flush()
