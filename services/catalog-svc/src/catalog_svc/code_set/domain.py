"""Rules of code sets: every code once at a time, none that only looks different, parents and successors that are there."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

from catalog_svc.code_set.entry import CodeSetKind, Entry
from catalog_svc.organization.domain import check_uscc
from dxmesh_schemas.catalog_events import CodeSetPublished
from dxmesh_schemas.problem import Fault
from dxmesh_schemas.text import check_code, check_name, check_text

MAX_CODES = 20_000
"""Codes in force at a time: what one event carries."""
MAX_ENTRIES = 100_000
"""Entries of a version, retired codes and those of several sources included."""
MAX_CODE_CHARACTERS = 200
MAX_LABEL_CHARACTERS = 200
MAX_NOTE_CHARACTERS = 4_000
MAX_SUCCESSORS = 50
MAX_EVENT_BYTES = 900 * 1024
"""A record must stay below Kafka's usual 1 MiB with its headers."""
MAX_FAULTS = 20

EntryFault = tuple[int, str, str]
"""(index of the entry, its field, what is wrong)."""


@dataclass(frozen=True, slots=True)
class About:
    """What a code set is, beside its codes.

    `parent_set`: the set that holds the parents its own codes lack; `leading_source`: the source that decides what is in force.
    """

    title: str
    kind: CodeSetKind = CodeSetKind.OWN
    standard: str | None = None
    parent_set: str | None = None
    leading_source: str | None = None


def space_of(uscc: str) -> str:
    """Return how the names of an organization's own code sets begin; no other's ever do."""
    return f"{uscc.lower()}."


def owner_of(name: str) -> str | None:
    """Return the uscc of the organization in whose name space a name stands, None for the node's own names."""
    uscc = name.partition(".")[0].upper()
    try:
        return check_uscc(uscc) if "." in name else None
    except ValueError:
        return None


def faults(codes: Sequence[str]) -> list[Fault]:
    """Return (JSON pointer, what is wrong) for the first wrong codes of a plain list, at most 20."""
    found = entry_faults([Entry(code) for code in codes])
    return [(f"/codes/{index}", what.replace("/entries/", "/codes/")) for index, _, what in found]


def entry_faults(entries: Sequence[Entry], *, outer: Collection[str] = (), limit: int = MAX_FAULTS) -> list[EntryFault]:
    """Return the first faults of a set's entries; `outer` are the codes of its parent set.

    Codes are compared by their NFKC form (Unicode Annex 15), case kept: two codes a reader cannot tell apart are one.
    """
    found: list[EntryFault] = []
    for fault in _all_faults(entries, outer):
        found.append(fault)
        if len(found) >= limit:
            break
    return found


def _all_faults(entries: Sequence[Entry], outer: Collection[str]) -> Iterator[EntryFault]:
    wrong = False
    for fault in _each(entries):
        wrong = True
        yield fault
    if wrong:
        return  # what follows speaks of codes and periods that are sound
    yield from _alike(entries)
    yield from _at_the_same_time(entries)
    known = {entry.code for entry in entries}
    yield from _parents(entries, known, outer)
    yield from _successors(entries, known)


def _each(entries: Sequence[Entry]) -> Iterator[EntryFault]:
    for index, entry in enumerate(entries):
        if len(entry.code) > MAX_CODE_CHARACTERS:
            yield index, "code", f"has {len(entry.code)} characters; at most {MAX_CODE_CHARACTERS} are allowed"
        else:
            try:
                check_code(entry.code)
            except ValueError as wrong:
                yield index, "code", str(wrong)
        for field, value, longest in (
            ("label", entry.label, MAX_LABEL_CHARACTERS),
            ("source", entry.source or None, MAX_LABEL_CHARACTERS),
            ("note", entry.note, MAX_NOTE_CHARACTERS),
        ):
            if value is None:
                continue
            try:
                (check_text if field == "note" else check_name)(value)
            except ValueError as wrong:
                yield index, field, str(wrong)
            if len(value) > longest:
                yield index, field, f"has {len(value)} characters; at most {longest} are allowed"
        if entry.valid_from is not None and entry.valid_until is not None and entry.valid_until <= entry.valid_from:
            yield (
                index,
                "valid_until",
                f"{entry.valid_until} is not after valid_from {entry.valid_from}: it is the first day without the code",
            )
        if entry.is_retired and entry.valid_until is not None:
            yield index, "is_retired", "is for a retirement without a day; this entry has valid_until, so leave it out"
        if entry.successors and entry.valid_until is None and not entry.is_retired:
            yield index, "successors", "belong to a code that is retired; give valid_until, or is_retired when the day is not known"
        if len(entry.successors) > MAX_SUCCESSORS:
            yield index, "successors", f"are {len(entry.successors)}; at most {MAX_SUCCESSORS} are allowed"


def _same(code: str) -> str:
    # ASCII, the usual case, is its own NFKC form
    return code if code.isascii() else unicodedata.normalize("NFKC", code)


def _alike(entries: Sequence[Entry]) -> Iterator[EntryFault]:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        earlier = first.setdefault(_same(entry.code), index)
        if entries[earlier].code != entry.code:
            yield index, "code", f"is the same as /entries/{earlier}; remove one of them"


def _at_the_same_time(entries: Sequence[Entry]) -> Iterator[EntryFault]:
    groups: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(entries):
        groups.setdefault((entry.code, entry.source), []).append(index)
    for group in groups.values():
        for kept in (True, False):  # a retirement without a day is over before what still has days begins
            same = sorted(
                (index for index in group if entries[index].is_retired is kept), key=lambda index: (_start(entries[index]), index)
            )
            for earlier, later in pairwise(same):
                if _start(entries[later]) < (entries[earlier].valid_until or date.max):
                    first, second = sorted((earlier, later))
                    yield second, "code", f"is the same as /entries/{first}; remove one of them, or give each its own days"


def _start(entry: Entry) -> date:
    return entry.valid_from or date.min


def _parents(entries: Sequence[Entry], known: Collection[str], outer: Collection[str]) -> Iterator[EntryFault]:
    graph: dict[str, set[str]] = {}
    for index, entry in enumerate(entries):
        if entry.parent is None:
            continue
        if entry.parent == entry.code:
            yield index, "parent", "is the code itself; leave it out for a code at the top"
        elif entry.parent not in known and entry.parent not in outer:
            yield index, "parent", f"{entry.parent!r} is no code of the set{' or its parent set' if outer else ''}; add it, or name its set"
        else:
            graph.setdefault(entry.code, set()).add(entry.parent)
    in_loop = _looping(graph)
    for index, entry in enumerate(entries):
        if entry.code in in_loop and entry.parent in in_loop:
            yield index, "parent", f"{entry.parent!r} leads into a loop of parents; cut it"


def _successors(entries: Sequence[Entry], known: Collection[str]) -> Iterator[EntryFault]:
    wrong = False
    for index, entry in enumerate(entries):
        for successor in entry.successors:
            if successor == entry.code:
                wrong = True
                yield index, "successors", "name the code itself; a code that goes on needs no successor"
            elif successor not in known:
                wrong = True
                yield index, "successors", f"{successor!r} is no code of the set; add it or leave it out"
    if not wrong:
        yield from _circles(entries)


def _circles(entries: Sequence[Entry]) -> Iterator[EntryFault]:
    """Codes may come back; but where the last word on each code of a circle is another of it, nobody learns what holds now."""
    last: dict[str, dict[str, int]] = {}
    for index, entry in enumerate(entries):
        of_source = last.setdefault(entry.source, {})
        if _end(entry) >= _end(entries[of_source.setdefault(entry.code, index)]):
            of_source[entry.code] = index
    for of_source in last.values():
        graph = {code: set(entries[index].successors) for code, index in of_source.items() if entries[index].successors}
        circle = _looping(graph)
        for code in circle:
            if onward := sorted(graph[code] & circle):
                yield of_source[code], "successors", f"{', '.join(onward)} lead into a circle of successors; say which code holds now"


def _end(entry: Entry) -> date:
    """Return the first day without an entry; a retirement without a day is over before what still has days begins."""
    if entry.is_retired:
        return date.min
    return entry.valid_until or date.max


def _looping(graph: dict[str, set[str]]) -> set[str]:
    """Return the codes from which every way up has an end taken off: those on loops or below one."""
    waiting = {code: set(parents) for code, parents in graph.items()}
    below: dict[str, list[str]] = {}
    for code, parents in graph.items():
        for parent in parents:
            below.setdefault(parent, []).append(code)
    done = [parent for parent in below if parent not in waiting]
    while done:
        parent = done.pop()
        for code in below.get(parent, ()):
            waiting[code].discard(parent)
            if not waiting[code]:
                del waiting[code]
                done.append(code)
    return set(waiting)


def settle(entries: Sequence[Entry], kind: CodeSetKind, outer: Collection[str] = ()) -> list[Entry]:
    """Return the entries with what the codes themselves say filled in: a division's parent is in its digits (GB/T 2260 section 4)."""
    if kind is not CodeSetKind.DIVISION:
        return list(entries)
    known = {entry.code for entry in entries} | set(outer)
    return [replace(entry, parent=_division_above(entry.code, known)) if entry.parent is None else entry for entry in entries]


def _division_above(code: str, known: Collection[str]) -> str | None:
    """Return the nearest division around another that the set has: village, street, county, city, province."""
    wider = [code[:length] for length in (9, 6, 4, 2) if length < len(code)]
    if len(code) >= 6:
        wider += [code[:4] + "00", code[:2] + "0000"]
    return next(
        (above for above in sorted(wider, key=lambda above: (-len(above.rstrip("0")), -len(above))) if above != code and above in known),
        None,
    )


def size_fault(codes: Sequence[str], entry_count: int, day: date) -> str | None:
    """Say whether a set is too large, or has no code to check by."""
    if entry_count > MAX_ENTRIES:
        return f"has {entry_count} entries; at most {MAX_ENTRIES} are kept in one set: {_PARTS}"
    if len(codes) > MAX_CODES:
        return f"has {len(codes)} codes in force on {day}; one event carries at most {MAX_CODES}: {_PARTS}"
    if not codes:
        return f"has no code in force on {day}; give at least one"
    return None


_PARTS = "publish it in parts, say the streets of each province and the villages of each city as a set of their own with its parent_set"


def event_fault(event: CodeSetPublished) -> Fault | None:
    """Say whether the codes together are too many bytes for one event."""
    size = len(event.encode())
    if size <= MAX_EVENT_BYTES:
        return None
    return (
        "/codes",
        f"the codes together take {size} bytes as JSON; at most {MAX_EVENT_BYTES} fit one event: use shorter codes or split the set",
    )
