"""`dxmesh api`: the shared APIs, what was called, questions about rows, and what changed."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from dxmesh_client.cli.output import lines, say, show, show_all
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError

api = typer.Typer(no_args_is_help=True, help="Shared APIs: the registry, calls, questions about rows, changes.")
Limit = Annotated[int, typer.Option(min=1, max=1000)]
System = Annotated[UUID | None, typer.Option(help="your system that calls, where the grant names systems")]
_OPERATORS = {"=": "eq", "!=": "ne", "<=": "le", ">=": "ge", "<": "lt", ">": "gt"}


@api.command("list")
def api_list(provider: UUID | None = None, resource: UUID | None = None, limit: Limit = 100) -> None:
    """List the APIs you provide or may call."""
    asked = {name: str(value) for name, value in (("provider_id", provider), ("resource_id", resource)) if value}
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/apis", limit=limit, **asked)
        show_all(
            page.items, ["resource_id", "resource_name", "api", "version", "holder_count", "call_count", "refused_count", "last_called_at"]
        )


@api.command("usage")
def api_usage(
    by: Annotated[Literal["total", "day", "hour"], typer.Option()] = "total",
    resource: UUID | None = None,
    since: Annotated[datetime | None, typer.Option()] = None,
    limit: Limit = 100,
) -> None:
    """List what was called: by grant, API, system and client."""
    asked: dict[str, Any] = {"by": by}
    if resource:
        asked["resource_id"] = str(resource)
    if since:
        asked["since"] = since.astimezone().isoformat()
    with Client() as client:
        page = client.page(f"{client.profile.exchange}/v1/apis/usage", limit=limit, **asked)
        columns = ["period", "grant_id", "api", "system_id", "subject", "call_count", "refused_count", "row_count", "question_count"]
        show_all(page.items, columns)


@api.command("verify")
def api_verify(
    grant_id: UUID,
    condition: Annotated[list[str] | None, typer.Argument(help="one question: item=value, item>=value and so on")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="a JSON file with a list of questions instead", exists=True, dir_okay=False)
    ] = None,
    system: System = None,
) -> None:
    """Ask whether there is a row for which all conditions hold; they name the business key or an identifier."""
    found = _asked(grant_id, "verification", condition, questions, system)
    for answer in found["answers"]:
        say("yes" if answer else "no")
    show(found)


@api.command("count")
def api_count(
    grant_id: UUID,
    condition: Annotated[list[str] | None, typer.Argument(help="one question: item=value, item>=value and so on; none: all rows")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="a JSON file with a list of questions instead", exists=True, dir_okay=False)
    ] = None,
    system: System = None,
) -> None:
    """Count rows; too small a group is not told."""
    found = _asked(grant_id, "count", condition, questions, system)
    for one in found["counts"]:
        say(f"{one['count']:,}" if one["withheld"] is None else f"withheld: {one['withheld']}, the floor is {found['floor']}")
    show(found)


@api.command("changes")
def api_changes(
    grant_id: UUID,
    cursor: Annotated[str | None, typer.Option(help="where to go on; the log's beginning if not given")] = None,
    limit: Annotated[int, typer.Option(help="changes a page", min=1, max=10_000)] = 1000,
    system: System = None,
) -> None:
    """Read what changed, a line of JSON each, to the end of the log as it is; the cursor to go on with is told last."""
    with Client() as client:
        url = f"{client.profile.exchange}/v1/grants/{grant_id}/changes"
        while True:
            asked = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            page = client.call("GET", url, params=asked, headers=_named(system)).json(parse_float=Decimal)
            lines(page["items"])
            cursor = page["next_cursor"]
            if page["is_end"]:
                break
        say(f"cursor {cursor}")


def _asked(grant_id: UUID, way: str, conditions: list[str] | None, questions: Path | None, system: UUID | None) -> dict[str, Any]:
    if questions is None:
        asked = [{"conditions": [_condition(text) for text in conditions or ()]}]
    else:
        try:
            asked = json.loads(questions.read_text(encoding="utf-8"))
        except ValueError as wrong:
            raise ClientError(f"{questions.name} is not JSON: {wrong}") from None
    with Client() as client:
        url = f"{client.profile.exchange}/v1/grants/{grant_id}/{way}"
        found: dict[str, Any] = client.call("POST", url, json={"questions": asked}, headers=_named(system)).json()
        return found


def _named(system: UUID | None) -> dict[str, str]:
    return {} if system is None else {"X-System": str(system)}


def _condition(text: str) -> dict[str, Any]:
    """Read `item=value`; what is a number or true or false in JSON is sent as one only behind a colon: `people>=:100`."""
    places = [(text.index(sign), -len(sign), sign) for sign in _OPERATORS if sign in text]
    if not places or min(places)[0] == 0:
        raise ClientError(f"{text}: write item, one of {' '.join(_OPERATORS)}, and a value, such as code=330602001 or people>=:100")
    at, _, sign = min(places)
    value = text[at + len(sign) :]
    try:
        plain = json.loads(value[1:]) if value.startswith(":") else value
    except ValueError:
        raise ClientError(f"{text}: behind the colon stands a number, true or false") from None
    return {"item": text[:at], "op": _OPERATORS[sign], "value": plain}
