"""What a grant lets out, as the command line says it: a file of terms, and filters, masks and ways as options beside it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from dxmesh_client.errors import ClientError

File = Annotated[Path | None, typer.Option("--terms", exists=True, dir_okay=False, readable=True, help="a JSON file, as in the API")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="ITEM eq|ne|lt|le|gt|ge VALUE · ITEM in A,B · ITEM prefix A,B · ITEM period FIRST..LAST; may be repeated: all hold"
        " (a text true or false stands in double quotes)"
    ),
]
Masks = Annotated[
    list[str] | None,
    typer.Option(
        "--mask",
        help="ITEM keep PREFIX,SUFFIX · ITEM pseudonym · ITEM date month|quarter|year|decade · ITEM number WIDTH ·"
        " ITEM place province|city|county · ITEM drop · ITEM replace TEXT; may be repeated",
    ),
]
Modes = Annotated[list[str] | None, typer.Option("--mode", help="topic, pull, webhook, file, table or verify; may be repeated")]
Calls = Annotated[int | None, typer.Option(min=1, help="calls a minute")]
Unmasked = Annotated[list[str] | None, typer.Option(help="ITEM=REASON: of level 3 and above, and leaves as it is; may be repeated")]


def terms_of(
    file: Path | None, where: Sequence[str] | None, masks: Sequence[str] | None, modes: Sequence[str] | None, calls: int | None
) -> dict[str, Any]:
    """Return terms as the API has them; options come on top of the file's. Raises: ClientError."""
    told = {} if file is None else _read(file)
    if where:
        told["where"] = [*told.get("where", ()), *map(condition_of, where)]
    if masks:
        told["masks"] = [*told.get("masks", ()), *map(mask_of, masks)]
    if modes:
        told["modes"] = list(modes)
    if calls is not None:
        told["calls_per_minute"] = calls
    return told


def condition_of(text: str) -> dict[str, Any]:
    """Return a condition. Raises: ClientError."""
    item, op, rest = _words(text, "--where")
    if op in ("eq", "ne", "lt", "le", "gt", "ge") and rest:
        return {"item": item, "op": op, "value": _value(rest)}
    if op in ("in", "prefix") and rest:
        return {"item": item, "op": op, "values": [_value(one) if op == "in" else one for one in rest.split(",")]}
    if op == "period" and ".." in rest:
        first, last = (_day(day, "--where") if day else None for day in rest.split("..", 1))
        return {"item": item, "op": op, "first": first, "last": last}
    raise ClientError(
        f"--where {text!r} is no condition: write `age ge 60`, `code in A,B`, `code prefix 3306` or `day period 2026-01-01..`"
    )


def mask_of(text: str) -> dict[str, Any]:
    """Return a mask. Raises: ClientError."""
    item, mask, rest = _words(text, "--mask")
    fields = _MASKS.get(mask)
    try:
        if fields is not None:
            return {"item": item, "mask": mask, **fields(rest)}
    except ValueError:
        pass
    raise ClientError(
        f"--mask {text!r} is no mask: write `name keep 1,0`, `id pseudonym`, `born date year`, `pay number 1000` or `note drop`"
    )


def told(terms: Mapping[str, Any]) -> Iterator[str]:
    """Yield terms as lines for people, in the words in which they are given here."""
    for one in terms.get("where") or ():
        values = one.get("values") or [f"{one.get('first') or ''}..{one.get('last') or ''}" if one["op"] == "period" else one.get("value")]
        yield f"where {one['item']} {one['op']} {','.join(map(str, values))}"
    for one in terms.get("masks") or ():
        how = ",".join(str(value) for name, value in one.items() if name not in ("item", "mask"))
        yield f"mask {one['item']} {one['mask']} {how}".rstrip()
    if terms.get("modes"):
        yield f"modes {', '.join(terms['modes'])}"


def unmasked_of(given: Sequence[str] | None) -> dict[str, str]:
    """Return why items leave as they are. Raises: ClientError."""
    pairs = [one.partition("=") for one in given or ()]
    if bad := [item for item, sign, reason in pairs if not (sign and reason)]:
        raise ClientError(f"--unmasked {', '.join(bad)}: write it as ITEM=REASON")
    return {item: reason for item, _, reason in pairs}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as wrong:
        raise ClientError(f"{file}: not JSON: {wrong}") from wrong
    if not isinstance(found, dict):
        raise ClientError(f'{file}: terms are an object, such as {{"where": [], "masks": []}}')
    return found


def backfill_of(text: str) -> dict[str, str]:
    """Return which earlier batches are wanted. Raises: ClientError."""
    return {"since": text if text in ("all", "none") else _day(text, "--backfill", "all, none, or ")}


def _day(text: str, option: str, others: str = "") -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ClientError(f"{option}: {text!r} is no day: write {others}a day such as 2026-01-31") from None


def _words(text: str, option: str) -> tuple[str, str, str]:
    item, _, rest = text.strip().partition(" ")
    word, _, rest = rest.strip().partition(" ")
    if not word:
        raise ClientError(f"{option} {text!r}: an item, a word and what goes with it, with blanks between")
    return item, word, rest.strip()


def _value(text: str) -> str | bool:
    """Return yes and no as such; every other value stays text, which the node reads by the item's type."""
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _keep(rest: str) -> dict[str, Any]:
    prefix, _, suffix = rest.partition(",")
    return {"prefix": int(prefix or 0), "suffix": int(suffix or 0)}


def _nothing(rest: str) -> dict[str, Any]:
    if rest:
        raise ValueError(rest)
    return {}


def _named(name: str) -> Callable[[str], dict[str, Any]]:
    def field(rest: str) -> dict[str, Any]:
        if not rest:
            raise ValueError(name)
        return {name: rest}

    return field


_MASKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "keep": _keep,
    "pseudonym": _nothing,
    "date": _named("to"),
    "number": _named("width"),
    "place": _named("to"),
    "drop": _nothing,
    "replace": lambda rest: {"value": rest},
}
