"""What a code is and what became of it: how it stands on a day, what each source says, what it became and what it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.code_set import store
from catalog_svc.code_set.entry import Entry, Standing, decided, standing
from catalog_svc.code_set.errors import CodeNotFound

MAX_STEPS = 20
"""Successors of successors that are followed."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one source says of a code on a day; a source that does not have it says nothing (`standing` None)."""

    source: str
    standing: Standing | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """A code that another became: since when, and how it stands itself."""

    code: str
    came_from: str
    label: str | None
    since: date | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class Explained:
    """A code on a day."""

    code: str
    on: date
    standing: Standing
    label: str | None
    entries: Sequence[Entry]
    words: Sequence[Word]
    is_disputed: bool
    became: Sequence[Step]
    formerly: Sequence[Step]
    path: Sequence[tuple[str, str | None]]
    text: str


def words_of(entries: Sequence[Entry], sources: Sequence[str], day: date, *, known_on: date) -> list[Word]:
    """Return what each source of a set says of a code."""
    found = []
    for source in sources:
        state, entry = decided(entries, day, known_on=known_on, leading_source=source)
        found.append(Word(source, state if entry else None, entry.label if entry else None))
    return found


def disputed(words: Sequence[Word]) -> bool:
    """Say whether the sources differ: one has the code in force and another has not, or has under another label."""
    said = {(word.standing is Standing.VALID, word.label if word.standing is Standing.VALID else None) for word in words}
    return len(said) > 1


async def explain(tx: AsyncSession, row: store.CodeSetVersion, code: str, *, on: date) -> Explained:
    """Return what a version says of a code. Raises: CodeNotFound (404)."""
    known_on = row.codes_on
    entries = (await store.entries_of(tx, row.name, row.version, [code])).get(code)
    if not entries:
        raise CodeNotFound(f"version {row.version} of {row.name!r} has no code {code!r}, neither in force nor retired")
    state, deciding = decided(entries, on, known_on=known_on, leading_source=row.leading_source)
    words = words_of(entries, await store.sources(tx, row.name, row.version), on, known_on=known_on)
    became = await _became(tx, row, code, on)
    was = await store.entries_of(tx, row.name, row.version, await store.forerunners(tx, row.name, row.version, code))
    formerly = [
        Step(other, code, entry.label, entry.valid_until, standing(entry, on, known_on=known_on))
        for other in sorted(was)
        for entry in was[other][:1]
    ]
    label = (deciding or entries[0]).label
    path = await _path(tx, row, (deciding or entries[0]).parent, on)
    text = _text(code, label, state, deciding, became, words if disputed(words) else [])
    return Explained(code, on, state, label, entries, words, disputed(words), became, formerly, path, text)


async def _became(tx: AsyncSession, row: store.CodeSetVersion, code: str, on: date) -> list[Step]:
    """Follow the successors of a code, and theirs, each code once."""
    steps: list[Step] = []
    seen, wave = {code}, [code]
    for _ in range(MAX_STEPS):
        said = await store.entries_of(tx, row.name, row.version, wave)
        links: dict[str, Entry] = {}
        for other in wave:
            for entry in said.get(other, []):
                links |= {successor: entry for successor in entry.successors if successor not in seen}
        if not links:
            break
        next_said: Mapping[str, Sequence[Entry]] = await store.entries_of(tx, row.name, row.version, list(links))
        for successor, entry in links.items():
            state, own = decided(next_said.get(successor, []), on, known_on=row.codes_on, leading_source=row.leading_source)
            shown = own or next(iter(next_said.get(successor, [])), None)
            steps.append(Step(successor, entry.code, shown.label if shown else None, entry.valid_until, state))
        seen |= set(links)
        wave = list(links)
    return steps


async def _path(tx: AsyncSession, row: store.CodeSetVersion, parent: str | None, on: date) -> list[tuple[str, str | None]]:
    """Return the codes above one, outermost first, on into the parent set."""
    path: list[tuple[str, str | None]] = []
    version = row
    while parent is not None and len(path) < MAX_STEPS:
        said = (await store.entries_of(tx, version.name, version.version, [parent])).get(parent, [])
        if not said and version.parent_set is not None:
            version = await store.get_version(tx, version.parent_set)
            continue
        _, own = decided(said, on, known_on=version.codes_on, leading_source=version.leading_source)
        shown = own or next(iter(said), None)
        path.append((parent, shown.label if shown else None))
        parent = shown.parent if shown else None
    return path[::-1]


_SAYS = {
    Standing.VALID: "is in force",
    Standing.NOT_YET: "is not in force yet",
    Standing.RETIRED: "is retired",
    Standing.UNCERTAIN: "may have been in force: it was retired later, and no source says when",
    Standing.UNLISTED: "is not in force: the leading source does not have it",
}


def _text(code: str, label: str | None, state: Standing, entry: Entry | None, became: Sequence[Step], words: Sequence[Word]) -> str:
    parts = [f"{code} {label or ''}".strip() + f" {_SAYS[state]}"]
    if entry is not None and state is Standing.RETIRED:
        parts[0] += f" since {entry.valid_until}" if entry.valid_until else ", since when no source says"
    if entry is not None and state is Standing.NOT_YET:
        parts[0] += f"; it begins on {entry.valid_from}"
    if became:
        parts.append("it became " + ", ".join(f"{step.code} {step.label or ''}".strip() for step in became if step.came_from == code))
    if words:
        said = ", ".join(f"{word.source or 'no named source'}: {word.standing or 'does not have it'}" for word in words)
        parts.append(f"the sources differ ({said})")
    return "; ".join(parts)
