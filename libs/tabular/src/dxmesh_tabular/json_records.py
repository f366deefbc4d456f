"""JSON object by object: exact literals, doubled and unknown members seen, each fault named; slower than by columns."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dxmesh_schemas.catalog import DataItem, DataType
from dxmesh_tabular.casting import expectation

_UNFIT = re.compile("[\0\ud800-\udfff]")
_NEVER_NUMBERS = (DataType.DATE, DataType.DATETIME, DataType.LOGICAL)
Member = str | bool | None | list[Any] | dict[str, Any]


class Literal(str):
    """A JSON number, as it was written."""

    __slots__ = ()


class Fault(ValueError):
    """Why a text is no JSON object that can be read; `args[0]` says it."""


@dataclass(slots=True)
class Cells:
    """The cells of one object: text by item code, and the cells whose JSON type does not fit."""

    text: dict[str, str | None] = field(default_factory=dict)
    misfits: list[tuple[DataItem, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise Fault(f"has the member {doubled[0]!r} twice")
    return found


def _no_constant(name: str) -> Any:
    raise Fault(f"{name} is no JSON value")


DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=Literal, parse_float=Literal, parse_constant=_no_constant)


def load(text: str) -> dict[str, Any]:
    """Parse one JSON object. Raises: Fault."""
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Fault(f"is not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise Fault("is nested too deeply") from error
    return as_object(value)


def as_object(value: Any) -> dict[str, Any]:
    """Return the value if it is an object. Raises: Fault."""
    if not isinstance(value, dict):
        raise Fault("is not a JSON object")
    return value


def cells(record: Mapping[str, Member], by_key: Mapping[str, DataItem | None]) -> Cells:
    """Turn an object into text cells; `by_key` gives the item of a member's name, None for an unknown one."""
    out = Cells()
    for key, value in record.items():
        item = by_key.get(key)
        if item is None:
            out.unknown.append(key)
        elif item.code in out.text:
            out.doubled.append(key)
        else:
            out.text[item.code] = _text(item, value, out)
    return out


def _text(item: DataItem, value: Member, out: Cells) -> str | None:
    if value is None:
        return None
    if isinstance(value, Literal):
        if item.data_type not in _NEVER_NUMBERS:
            return str(value)
    elif isinstance(value, str):
        if _UNFIT.search(value) is None:
            return value
    elif isinstance(value, bool):
        if item.data_type is DataType.LOGICAL:
            return "true" if value else "false"
    elif item.data_type is DataType.GENERIC:
        return dumps(value)
    out.misfits.append((item, value if isinstance(value, str) else dumps(value)))
    return None


def dumps(value: Any) -> str:
    """Write a parsed value as JSON again, numbers as they were."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{dumps(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def misfit_reason(item: DataItem, value: str) -> str:
    """Say why a cell of a wrong JSON type is refused."""
    if "\0" in value:
        return "holds a NUL character"
    if _UNFIT.search(value):
        return "holds half a surrogate pair, which is no character"
    return expectation(item)
