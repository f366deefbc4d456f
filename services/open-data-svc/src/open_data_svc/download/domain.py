"""What HTTP says about an immutable file: preconditions, ranges, and the name it is saved under."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from enum import Enum
from urllib.parse import quote

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_BYTE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.IGNORECASE)
_ATTR_CHARS = "!#$&+-.^_`|~"


class Verdict(Enum):
    """What the preconditions of a request make of it."""

    SEND = 200
    NOT_MODIFIED = 304
    FAILED = 412


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` to before `end`."""

    start: int
    end: int


class RangeNotSatisfiable(ValueError):
    """The range lies wholly outside the file."""


def http_date(moment: datetime) -> str:
    """Return a time as HTTP writes it (IMF-fixdate, whole seconds)."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _read_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _names(header: str, etag: str, *, weak: bool) -> bool:
    """Say whether a list of entity tags holds one; weak comparison disregards `W/`."""
    if header.strip() == "*":
        return True
    return any(f'"{opaque}"' == etag and (weak or not prefix) for prefix, opaque in _ENTITY_TAG.findall(header))


def judge(
    *,
    etag: str,
    modified_at: datetime,
    if_match: str | None = None,
    if_none_match: str | None = None,
    if_modified_since: str | None = None,
    if_unmodified_since: str | None = None,
) -> Verdict:
    """Evaluate preconditions in their order. Source: RFC 9110 section 13.2.2."""
    modified = modified_at.replace(microsecond=0)
    if if_match is not None:
        if not _names(if_match, etag, weak=False):
            return Verdict.FAILED
    elif if_unmodified_since is not None and (moment := _read_date(if_unmodified_since)) is not None and modified > moment:
        return Verdict.FAILED
    if if_none_match is not None:
        return Verdict.NOT_MODIFIED if _names(if_none_match, etag, weak=True) else Verdict.SEND
    if if_modified_since is not None and (moment := _read_date(if_modified_since)) is not None and modified <= moment:
        return Verdict.NOT_MODIFIED
    return Verdict.SEND


def span(header: str | None, size: int, *, etag: str, modified_at: datetime, if_range: str | None = None) -> Span | None:
    """Return the bytes a Range header asks for; None means the whole file.

    An unknown unit, a malformed or multiple range, and an If-Range that names another content are disregarded, as RFC 9110 section 14.2
    allows. Raises: RangeNotSatisfiable.
    """
    if header is None or (if_range is not None and not _is_same(if_range, etag, modified_at)):
        return None
    found = _BYTE_RANGE.fullmatch(header.strip())
    if found is None or found.group(0).endswith("=-") or not (found.group(1) or found.group(2)):
        return None
    first, last = found.groups()
    if not first:
        wanted = min(int(last), size)
        if wanted == 0:
            raise RangeNotSatisfiable
        return Span(size - wanted, size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable
    return Span(start, min(int(last) + 1, size) if last else size)


def _is_same(if_range: str, etag: str, modified_at: datetime) -> bool:
    """Compare strongly: by tag, or by the exact time. Source: RFC 9110 section 13.1.5."""
    if if_range.lstrip().startswith(('"', "W/")):
        return if_range.strip() == etag
    return _read_date(if_range) == modified_at.replace(microsecond=0)


def content_disposition(name: str, title: str, ending: str) -> str:
    """Return the header that saves a file under its title, or under its plain name where that is not understood.

    Source: RFC 6266, RFC 8187.
    """
    readable = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]+', "_", title).strip(" ._") or name
    encoded = quote(f"{readable[:120]}.{ending}".encode("utf-8", "replace"), safe=_ATTR_CHARS)
    return f"attachment; filename=\"{name}.{ending}\"; filename*=UTF-8''{encoded}"
