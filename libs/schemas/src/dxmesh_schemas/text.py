"""What text written by people may hold, and when two names are the same."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_EMPTY = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Letters and marks that show nothing (Unicode: Default_Ignorable_Code_Point, and the empty Braille cell).

Mongolian's own variation selectors are not among them: its words need them.
"""
_LAYOUT = frozenset("\n\t")
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_LIKE_LATIN = "\u0391\u0392\u0395-\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u0400-\u052f"  # Greek, Cyrillic
_MIXED = re.compile(f"[A-Za-z](?P<after>[{_LIKE_LATIN}])|(?P<before>[{_LIKE_LATIN}])[A-Za-z]")


def unseen(text: str, *, layout: bool = False) -> str | None:
    """Name the first character that cannot be seen (controls, zero-width, direction marks, fillers), or None.

    Two names that differ by one of these look the same to a reader, and PostgreSQL refuses U+0000.
    """
    empty = None if text.isascii() else _EMPTY.search(text)
    if empty is None and text.isprintable():  # most are, and this is a hundred times as quick
        return None
    for character in text if empty is None else text[: empty.start()]:
        if unicodedata.category(character) in _UNSEEN and not (layout and character in _LAYOUT):
            return f"U+{ord(character):04X}"
    return f"U+{ord(empty.group()):04X}" if empty is not None else None


def full_width(text: str) -> str | None:
    """Return the first full-width digit or Latin letter, or None; Chinese punctuation is full-width by right."""
    found = _FULL_WIDTH.search(text)
    return found.group() if found else None


def mixed_scripts(text: str) -> str | None:
    """Return the first Cyrillic or Latin-looking Greek letter that stands beside a Latin one, or None.

    Two such names look the same and are not (Unicode TS 39 section 5). Letters of other scripts may stand beside Chinese,
    and Greek ones that look like no Latin letter beside Latin ones, as in μm.
    """
    found = _MIXED.search(text)
    return (found["after"] or found["before"]) if found else None


def comparable(name: str) -> str:
    """Return what two names are compared by: NFKC (Unicode Annex 15), case folded, runs of blanks as one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def check_name(text: str) -> str:
    """Return the name without outer blanks. Raises ValueError saying what is wrong and what to write."""
    stripped = text.strip()
    if not stripped:
        raise ValueError("is empty; write at least one visible character")
    if (character := unseen(stripped)) is not None:
        raise ValueError(f"holds {character}, a character that cannot be seen; remove it")
    if (character := full_width(stripped)) is not None:
        raise ValueError(f"holds the full-width {character!r}; write {unicodedata.normalize('NFKC', character)!r}")
    if (character := mixed_scripts(stripped)) is not None:
        raise ValueError(f"holds {character!r} ({unicodedata.name(character)}) among Latin letters; write the Latin one it looks like")
    return stripped


def check_text(text: str) -> str:
    """Return the text without outer blanks; line breaks and tabs may stand in it. Raises ValueError."""
    if (character := unseen(text, layout=True)) is not None:
        raise ValueError(f"holds {character}, a character that cannot be seen; remove it")
    return text.strip()


def check_code(text: str) -> str:
    """Return a code as it is: codes are compared character by character, so nothing is trimmed. Raises ValueError."""
    if not text.strip():
        raise ValueError("is empty; leave it out or write the code")
    if text != text.strip():
        raise ValueError("begins or ends with a blank; remove it")
    return check_name(text)


def faults(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, what is wrong) for every text in a JSON value that holds an unseen character, keys included."""
    if isinstance(value, str):
        if (character := unseen(value, layout=True)) is not None:
            yield pointer, f"holds {character}, a character that cannot be seen; remove it"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from faults(inner, f"{pointer}/{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from faults(inner, f"{pointer}/{index}")


Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(check_name), Field(json_schema_extra={"minLength": 1})]
"""What people call a thing: 1 to 200 visible characters."""
Paragraph = Annotated[str, StringConstraints(max_length=4000), AfterValidator(check_text)]
"""Running text, up to 4,000 characters; may be empty."""
Reason = Annotated[str, StringConstraints(min_length=1, max_length=4000), AfterValidator(check_text), StringConstraints(min_length=1)]
"""Running text that must say something."""
Search = Annotated[str, StringConstraints(max_length=200), AfterValidator(check_text)]
"""What a reader looks for."""
