"""Rules of code sets: every code once, none that only looks different."""

import unicodedata
from collections.abc import Sequence

from dxmesh_schemas.catalog_events import CodeSetPublished
from dxmesh_schemas.text import check_code

MAX_CODES = 20_000
MAX_CODE_CHARACTERS = 200
MAX_EVENT_BYTES = 900 * 1024
"""A record must stay below Kafka's usual 1 MiB with its headers."""
MAX_FAULTS = 20

Fault = tuple[str, str]


def faults(codes: Sequence[str]) -> list[Fault]:
    """Return (JSON pointer, what is wrong) for the first wrong codes, at most 20.

    Codes are compared by their NFKC form (Unicode Annex 15), case kept: two codes a reader cannot tell apart are one.
    """
    found: list[Fault] = []
    seen: dict[str, int] = {}
    for index, code in enumerate(codes):
        if len(found) >= MAX_FAULTS:
            break
        pointer = f"/codes/{index}"
        if len(code) > MAX_CODE_CHARACTERS:
            found.append((pointer, f"has {len(code)} characters; at most {MAX_CODE_CHARACTERS} are allowed"))
            continue
        try:
            check_code(code)
        except ValueError as wrong:
            found.append((pointer, str(wrong)))
            continue
        first = seen.setdefault(_same(code), index)
        if first != index:
            found.append((pointer, f"is the same as /codes/{first}; remove one of them"))
    return found


def _same(code: str) -> str:
    # ASCII, the usual case, is its own NFKC form
    return code if code.isascii() else unicodedata.normalize("NFKC", code)


def event_fault(event: CodeSetPublished) -> Fault | None:
    """Say whether the codes together are too many bytes for one event."""
    size = len(event.encode())
    if size <= MAX_EVENT_BYTES:
        return None
    return (
        "/codes",
        f"the codes together take {size} bytes as JSON; at most {MAX_EVENT_BYTES} fit one event: use shorter codes or split the set",
    )
