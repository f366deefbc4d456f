"""How text is made comparable, cut into tokens and grams, and marked where it was found."""

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

MAX_TOKENS = 8
"""Words of a query that are looked at; what follows is left out and said so."""
_IGNORED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_JOINING = frozenset("_-./")
"""Stand inside codes (`person_id`, `3/30/102/01`) and are part of them there, between ASCII letters and digits."""
_CODE = re.compile(r"[0-9a-z]+(?:[_\-./][0-9a-z]+)*")
_FRAGMENT_LEAD, _FRAGMENT_LENGTH = 20, 80


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: `whole` as it is compared with names, its tokens, and whether some were left out."""

    whole: str
    tokens: tuple[str, ...]
    is_cut: bool


@lru_cache(maxsize=8192)
def _folded(character: str) -> str:
    """Return what a character is compared by: NFKC, case folded; nothing for what cannot be seen and for variation selectors."""
    if unicodedata.category(character) in _IGNORED and not character.isspace():
        return ""
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    return unicodedata.normalize("NFKC", character).casefold()


def fold(text: str) -> str:
    """Return text as it is compared: half-width, lower case, blanks as one, nothing unseen (Unicode Annex 15, NFKC).

    Character by character, so that every place in it belongs to a place in the text: `origins` gives them.
    """
    if text.isalnum() and unicodedata.is_normalized("NFKC", text):
        return text.casefold()
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())
    return " ".join("".join(map(_folded, text)).split())


def is_aligned(text: str, folded: str) -> bool:
    """Say whether each character of a folded text stands where the one it was made of stands."""
    return len(text) == len(folded) and all(len(_folded(character)) == 1 for character in text)


def _folding(text: str) -> tuple[str, Sequence[int]]:
    """Return the text folded, blanks kept as they are, and for each of its characters the index it comes from."""
    folded: list[str] = []
    origins: list[int] = []
    for index, character in enumerate(text):
        for part in _folded(character):
            folded.append(part)
            origins.append(index)
    return "".join(folded), origins


@lru_cache(maxsize=8192)
def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" or unicodedata.category(character) in ("So", "Sk")


def tokens(folded: str) -> list[str]:
    """Cut folded text at blanks and punctuation; codes keep the signs between their letters and digits."""
    if folded.isalnum() or _CODE.fullmatch(folded):
        return [folded]
    found: list[str] = []
    word: list[str] = []
    last = len(folded) - 1
    for index, character in enumerate(folded):
        if _is_word(character) or (character in _JOINING and 0 < index < last and _joins(folded[index - 1], folded[index + 1])):
            word.append(character)
        elif word:
            found.append("".join(word))
            word = []
    if word:
        found.append("".join(word))
    return found


def _joins(before: str, behind: str) -> bool:
    return (before + behind).isascii() and before.isalnum() and behind.isalnum()


def read_query(text: str) -> Query:
    """Return what a reader's text asks for: distinct tokens in their order, at most eight."""
    folded = fold(text)
    distinct = list(dict.fromkeys(tokens(folded)))
    return Query(folded, tuple(distinct[:MAX_TOKENS]), len(distinct) > MAX_TOKENS)


def grams(folded: str) -> set[str]:
    """Return the characters and pairs of neighbours of every token; a code's parts are found as well as the whole."""
    found: set[str] = set()
    for token in tokens(folded):
        found.update(token)
        found.update(map("".join, pairwise(token)))
    return found


@lru_cache(maxsize=4096)
def grams_of_term(folded: str) -> frozenset[str]:
    """Return the grams of an item's name or code, and how it starts; the items of a catalogue share few of them."""
    return frozenset(grams(folded).union(starts(folded)))


def pairs(token: str) -> list[str]:
    """Return the grams a token is looked up by: its pairs of neighbours, or itself when it is one character."""
    return [token] if len(token) == 1 else [token[index : index + 2] for index in range(len(token) - 1)]


def starts(folded: str) -> Iterator[str]:
    """Yield the first character and the first pair of a text, marked as its beginning."""
    if folded:
        yield "^" + folded[0]
        if len(folded) > 1:
            yield "^" + folded[:2]


def _spans(text: str, wanted: Sequence[str], aligned: str | None) -> list[tuple[int, int]]:
    """Return the stretches of a text that tokens are found at; their pairs of neighbours where no token stands whole."""
    folded, origins = (aligned, range(len(text))) if aligned is not None else _folding(text)
    found: list[tuple[int, int]] = []
    for token in wanted:
        parts = [token] if token in folded else [part for part in pairs(token) if part in folded]
        for part in parts:
            at = folded.find(part)
            while at >= 0:
                found.append((origins[at], origins[at + len(part) - 1] + 1))
                at = folded.find(part, at + len(part))
    found.sort()
    joined: list[tuple[int, int]] = []
    for begin, end in found:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def marked(text: str, wanted: Sequence[str], *, whole: bool = True, aligned: str | None = None) -> str | None:
    """Return the text as HTML with what was found between <mark> and </mark>; None when nothing was found in it.

    Everything else is escaped, so the answer may stand in a page as it is. Without `whole`, a stretch of about 80 characters around
    the first place is returned, with … where it was cut. `aligned` is the text folded, when that is known and stands place by place.
    """
    spans = _spans(text, wanted, aligned)
    if not spans:
        return None
    begin, end = 0, len(text)
    if not whole and len(text) > _FRAGMENT_LENGTH:
        begin = max(spans[0][0] - _FRAGMENT_LEAD, 0)
        end = min(max(begin + _FRAGMENT_LENGTH, spans[0][1]), len(text))
    parts = ["…" if begin else ""]
    at = begin
    for first, last in spans:
        if first >= end:
            break
        last = min(last, end)
        parts += (html.escape(text[at:first]), "<mark>", html.escape(text[first:last]), "</mark>")
        at = last
    parts += (html.escape(text[at:end]), "…" if end < len(text) else "")
    return "".join(parts)
