"""Forms of the pages: their fields are named by JSON pointers into the body the API takes, so that every fault finds its field."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_schemas.problem import Invalid, Problem, Unreadable

Values = dict[str, list[str]]
"""What was entered, by field; a list of plain values is named `…/-`, as where a JSON pointer adds to one."""
MAX_BYTES = 4_000_000
MISSING = "必填 Required: fill this in"
_MOST_FIELDS = 60_000
_POINTER = re.compile(r"(/[^/]{1,100}){1,6}")
_ROW = re.compile(r"/([a-z_]+)/([0-9]{1,6})(/.+)")


@dataclass
class Form:
    """A form as a page shows it: what was entered, and what was refused of it."""

    name: str
    values: Values = field(default_factory=dict)
    faults: list[dict[str, str]] = field(default_factory=list)
    problem: Problem | None = None
    _at: dict[str, list[str]] = field(default_factory=dict)

    def value(self, pointer: str, default: str = "") -> str:
        """Return what stands in a field."""
        found = self.values.get(pointer)
        return found[0] if found else default

    def chosen(self, pointer: str) -> Sequence[str]:
        """Return all that is chosen in a field of several values."""
        return self.values.get(pointer, ())

    def faults_at(self, pointer: str) -> list[str]:
        """Return what is wrong with a field."""
        return self._at.get(pointer, [])

    def faults_in(self, pointer: str) -> list[str]:
        """Return what is wrong with a list of choices, and with each of them."""
        return [fault["detail"] for fault in self.faults if fault["pointer"] == pointer or fault["pointer"].startswith(f"{pointer}/")]

    def rows(self, name: str) -> range:
        """Return the numbers of a repeated part's rows, at least one."""
        found = [int(match[2]) for pointer in self.values if (match := _ROW.fullmatch(pointer)) and match[1] == name]
        return range(max(found, default=0) + 1)

    def kept(self, offered: Sequence[str], name: str) -> dict[int | None, list[tuple[str, str]]]:
        """Return the values of fields the page does not offer, which it hands on as they are, by the row of a part (None: of none).

        Fields of rows are offered for all of them, as `/items/*/name`.
        """
        names = set(offered)
        found: dict[int | None, list[tuple[str, str]]] = {}
        for pointer, texts in self.values.items():
            match = _ROW.fullmatch(pointer)
            row = int(match[2]) if match is not None and match[1] == name else None
            asked = f"/{name}/*{match[3]}" if match is not None and row is not None else pointer
            if pointer.startswith("/") and asked not in names:
                found.setdefault(row, []).extend((pointer, text) for text in texts)
        return found

    def blame(self, faults: Sequence[dict[str, str]]) -> None:
        """Note what is wrong with its fields."""
        self.faults = list(faults)
        self._at = {}
        for fault in faults:
            self._at.setdefault(fault["pointer"], []).append(fault["detail"])

    def refuse(self, problem: Problem, *, pointer: str | None = None) -> None:
        """Note a refusal; `pointer` is the field it belongs to when it names none."""
        self.problem = problem
        faults = problem.members.get("errors", ())
        self.blame([{"pointer": pointer, "detail": problem.detail}] if not faults and pointer is not None else faults)


@asynccontextmanager
async def refusals(tx: AsyncSession, form: Form, at: Mapping[type[Problem], str] | None = None) -> AsyncIterator[None]:
    """Run a command; what refuses it is noted in the form and nothing is changed. `at` names the fields of problems that name none.

    Raises: Problem of status 500 and above, as the form is not at fault.
    """
    try:
        async with tx.begin_nested():
            yield
    except ValidationError as wrong:
        form.refuse(_invalid(wrong))
    except Problem as problem:
        if problem.status >= 500:
            raise
        form.refuse(problem, pointer=(at or {}).get(type(problem)))


def _invalid(wrong: ValidationError) -> Invalid:
    errors = [
        {
            "pointer": "".join(f"/{part}" for part in one["loc"]),
            "detail": MISSING if one["type"] == "missing" else one["msg"].removeprefix("Value error, "),
        }
        for one in wrong.errors(include_url=False)
    ]
    return Invalid("; ".join(f"{one['pointer']}: {one['detail']}" for one in errors[:5]), errors=errors)


def read(body: bytes) -> Values:
    """Return the fields of a form that was sent (application/x-www-form-urlencoded). Raises: Unreadable (400)."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as wrong:
        raise Unreadable(f"the form cannot be read: {wrong}; send it from its page") from wrong
    values: Values = {}
    for name, text in pairs:
        values.setdefault(name, []).append(text.replace("\r\n", "\n"))
    return values


def flat(body: Mapping[str, Any], above: str = "") -> Values:
    """Return a body as the fields of its form."""
    values: Values = {}
    for name, said in body.items():
        pointer = f"{above}/{name}"
        if isinstance(said, Mapping):
            values |= flat(said, pointer)
        elif isinstance(said, list | tuple) and any(isinstance(one, Mapping) for one in said):
            values |= flat({str(number): one for number, one in enumerate(said)}, pointer)
        elif isinstance(said, list | tuple):
            values[f"{pointer}/-"] = [str(one) for one in said]
        elif said is not None:
            values[pointer] = [str(said).lower() if isinstance(said, bool) else str(said)]
    return values


def body_of(values: Values) -> dict[str, Any]:
    """Return the body a form stands for; fields left blank are left out. Raises: Unreadable (400) for fields that contradict."""
    tree: dict[str, Any] = {}
    for pointer, texts in values.items():
        said = [text for text in texts if text.strip()]
        if not said or not _POINTER.fullmatch(pointer):
            continue
        *path, last = pointer.split("/")[1:]
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise Unreadable(f"the field {pointer[:100]!r} lies within another one; send the form from its page")
        node.update({str(number): text for number, text in enumerate(said)} if last == "-" else {last: said[0]})
    found: dict[str, Any] = _lists(tree)
    return found


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(name.isascii() and name.isdigit() for name in node):
        return [_lists(node[name]) for name in sorted(node, key=int)]
    return {name: _lists(said) for name, said in node.items()}


def written(values: Values) -> str:
    """Return fields as a form carries them unseen: what it was made on."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def passed(read: str, now: Values) -> list[tuple[str, str, str]]:
    """Return what became of an entry since a form was made on what it was (`written`): the fields, before and now."""
    try:
        before = json.loads(read)
    except ValueError:
        return []
    if not isinstance(before, dict):
        return []
    told = {pointer: _told(before.get(pointer)) for pointer in sorted({*before, *now})}
    return [(pointer, text, _told(now.get(pointer))) for pointer, text in told.items() if text != _told(now.get(pointer))]


def _told(said: Any) -> str:
    return ", ".join(str(one) for one in said) if isinstance(said, list) else ""


def removed(asked: str) -> int | None:
    """Return which row the button `remove-N` takes away; anything else takes none."""
    number = asked.removeprefix("remove-")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def renumbered(values: Values, name: str, *, told_by: Sequence[str], without: int | None = None, one_more: bool = False) -> Values:
    """Return the values with the rows of a part counted from 0: blank ones are dropped, and `without`.

    A row is blank when the fields that tell what it is (`told_by`) are; faults then point at the row the reader sees.
    """
    rows: dict[int, Values] = {}
    others: Values = {}
    for pointer, texts in values.items():
        match = _ROW.fullmatch(pointer)
        if match is None or match[1] != name:
            others[pointer] = texts
        else:
            rows.setdefault(int(match[2]), {})[match[3]] = texts
    said = [rows[number] for number in sorted(rows) if number != without and _is_said(rows[number], told_by)]
    for number, row in enumerate([*said, {f"/{told_by[0]}": [""]}] if one_more or not said else said):
        others |= {f"/{name}/{number}{rest}": texts for rest, texts in row.items()}
    return others


def _is_said(row: Values, told_by: Sequence[str]) -> bool:
    return any(text.strip() for name in told_by for text in row.get(f"/{name}", ()))
