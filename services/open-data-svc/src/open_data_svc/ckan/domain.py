"""How an action's parameters are read: numbers, lists, the search language and orders."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from open_data_svc.ckan.errors import SearchQueryError, ValidationError
from open_data_svc.dataset.domain import FIELDS, Order

MAX_ROWS = 1_000
"""Most datasets of a package_search page (CKAN: ckan.search.rows_max)."""
MAX_RECORDS = 32_000
"""Most rows of a datastore_search page (CKAN: ckan.datastore.search.rows_max)."""
MAX_OFFSET = 2**31 - 1
_MAX_WORDS = 20
_TOKEN = re.compile(r'([+-]?)([A-Za-z_]+):("(?:[^"\\]|\\.)*"|\([^()]*\)|\S+)|"((?:[^"\\]|\\.)*)"|(\S+)')
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s()"]+)')
_ORDERS: Mapping[str, tuple[Order, Order]] = {
    "metadata_modified": ("oldest", "newest"),
    "metadata_created": ("created", "created_desc"),
    "name": ("name", "name_desc"),
    "title": ("title", "title_desc"),
    "title_string": ("title", "title_desc"),
}


def safe(text: str) -> str:
    """Return a text as PostgreSQL and UTF-8 can hold it: without NUL and lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


@dataclass
class Parameters:
    """The parameters of one call; what is wrong is gathered and raised together by `check`."""

    values: Mapping[str, Any]
    errors: dict[str, list[str]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ValidationError (409) when a parameter was wrong."""
        if self.errors:
            raise ValidationError(self.errors)

    def wrong(self, name: str, reason: str) -> None:
        """Note a fault."""
        self.errors.setdefault(name, []).append(reason)

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str | int | float):
            self.wrong(name, "Must be a string")
            return default
        return safe(str(value))

    def number(self, name: str, default: int, *, most: int) -> int:
        """Return a natural number, at most `most` (a larger one is cut, as CKAN does)."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not re.fullmatch(r"-?[0-9]{1,40}", text):
            self.wrong(name, "Invalid integer")
            return default
        if (number := int(text)) < 0:
            self.wrong(name, "Must be a natural number")
            return default
        return min(number, most)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a yes or no."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        match str(value).strip().lower():
            case "true" | "yes" | "t" | "y" | "1" | "on":
                return True
            case "false" | "no" | "f" | "n" | "0" | "off":
                return False
            case _:
                self.wrong(name, "Must be true or false")
                return default

    def texts(self, name: str) -> list[str]:
        """Return a list: a JSON array, a list, or texts separated by commas."""
        value = self._json(name, "[")
        if value is None or value == "":
            return []
        if isinstance(value, str):
            return [part for part in (safe(one.strip()) for one in value.split(",")) if part]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return [safe(one) for one in value]
        self.wrong(name, "Must be a list of strings")
        return []

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object, given as such or as JSON."""
        value = self._json(name, "{")
        if value is None or value == "":
            return {}
        if isinstance(value, dict):
            return value
        self.wrong(name, "Must be a JSON object")
        return {}

    def words(self, name: str) -> str | dict[str, Any]:
        """Return words to search everywhere, or an object of words per field."""
        value = self._json(name, "{")
        if isinstance(value, dict):
            return value
        return self.text(name)

    def _json(self, name: str, opening: str) -> Any:
        value = self.values.get(name)
        if isinstance(value, str) and value.lstrip().startswith(opening):
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                self.wrong(name, "Cannot parse JSON")
                return None
        return value


@dataclass(frozen=True, slots=True)
class Query:
    """A search: words that must all occur, and fields that must (or must not) have one of some values."""

    words: tuple[str, ...]
    fields: tuple[tuple[str, tuple[str, ...], bool], ...]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _values(text: str) -> tuple[str, ...]:
    if not text.startswith("("):
        return (_unescaped(text[1:-1]) if len(text) > 1 and text.startswith('"') and text.endswith('"') else text,)
    found = [_unescaped(quoted) if quoted else plain for quoted, plain in _VALUE.findall(text[1:-1])]
    return tuple(value for value in found if value not in ("OR", "AND"))


def parse_query(text: str, *, strict: bool) -> Query:
    """Read CKAN's search language: words, "phrases", field:value, field:"a value", field:(a OR b), a leading - excludes.

    `strict` (fq) refuses fields that are not known; else (q) they are words, and a trailing * is what words mean anyway.
    Raises: SearchQueryError (400).
    """
    words: list[str] = []
    fields: list[tuple[str, tuple[str, ...], bool]] = []
    for sign, name, value, phrase, word in _TOKEN.findall(text):
        if name in FIELDS and (values := _values(value)):
            fields.append((name, values, sign != "-"))
        elif name and strict:
            raise SearchQueryError(f"fq: the field {name} is not known; known are {', '.join(FIELDS)}")
        elif phrase:
            words.append(_unescaped(phrase))
        else:
            plain = (word or f"{name}:{value}").strip("*")
            if plain and plain not in (":", "AND", "+"):
                words.append(plain)
    if len(words) + len(fields) > _MAX_WORDS:
        raise SearchQueryError(f"at most {_MAX_WORDS} words and fields are searched at once")
    return Query(tuple(words), tuple(fields))


def parse_order(text: str) -> Order:
    """Read an order such as `name asc` or `score desc, metadata_modified desc`; its first known field decides.

    Raises: SearchQueryError (400).
    """
    chosen: Order | None = None
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, direction = part.partition(" ")
        if direction.strip().lower() not in ("", "asc", "desc") or (name not in _ORDERS and name not in ("score", "rank", "relevance")):
            raise SearchQueryError(f'sort: "{part}" is not an order; fields are score, {", ".join(_ORDERS)}, directions asc and desc')
        if name in _ORDERS and chosen is None:
            chosen = _ORDERS[name][direction.strip().lower() == "desc"]
    return chosen or "newest"


def parse_row_order(text: str, columns: Sequence[str]) -> list[tuple[str, bool]]:
    """Read an order of rows such as `name, age desc` as (column, descending). Raises: ValidationError (409)."""
    found: list[tuple[str, bool]] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        match = re.fullmatch(r'"?(.+?)"?(?:\s+(asc|desc)(?:\s+nulls\s+(?:first|last))?)?', part, re.IGNORECASE)
        name = match.group(1) if match else part
        if match is None or name not in columns:
            raise ValidationError({"sort": [f'field "{name}" not in table']})
        found.append((name, (match.group(2) or "").lower() == "desc"))
    return found
