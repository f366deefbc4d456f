"""Rules of organizations: the unified social credit code, the division code, and what each kind must or may show."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator

from dxmesh_schemas.catalog import Contract, Licence, OrganizationKind
from dxmesh_schemas.problem import Fault

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC = re.compile(r"[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_INNER_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
DIVISION = re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}([0-9]{3}([0-9]{3})?)?)?)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CHINA = timezone(timedelta(hours=8))  # one zone all year, so no zone database is needed


def check_uscc(code: str) -> str:
    """Return a unified social credit code that keeps its rules. Raises ValueError saying what is wrong.

    Source: GB 32100-2015 section 5 and annex A (mod 31); GB 11714-1997 for positions 9 to 17 (mod 11).
    """
    if not USCC.fullmatch(code):
        raise ValueError("is not 18 of 0-9 A-Z without I O S V Z, in half-width capitals, positions 3 to 8 digits (GB 32100)")
    total = sum(_ALPHABET.index(character) * weight for character, weight in zip(code, _WEIGHTS, strict=False))
    expected = _ALPHABET[-total % 31]
    if code[17] != expected:
        raise ValueError(f"ends in {code[17]} where its check character is {expected} (GB 32100)")
    inner = -sum(int(character, 36) * weight for character, weight in zip(code[8:16], _INNER_WEIGHTS, strict=True)) % 11
    if code[16] != "0123456789X"[inner]:
        raise ValueError(
            f"has {code[16]} at position 17 where the organization code's check character is {'0123456789X'[inner]} (GB 11714)"
        )
    return code


def check_division_code(code: str) -> str:
    """Return a division code of 2, 4, 6, 9 or 12 ASCII digits (GB/T 2260, GB/T 10114). Raises ValueError."""
    if not DIVISION.fullmatch(code):
        raise ValueError("is not 2, 4, 6, 9 or 12 half-width digits")
    return code


def check_day(value: object) -> object:
    """Return what may be read as a day. Raises ValueError for a number, a time, or another way of writing it."""
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("is not a day; write it as 2026-01-31")
    return value


Day = Annotated[date, BeforeValidator(check_day)]
"""A day of the calendar in China, as text YYYY-MM-DD (ISO 8601)."""


def day_of(now: datetime) -> date:
    """Return the day it is in China at a time."""
    return now.astimezone(_CHINA).date()


@dataclass(frozen=True, slots=True)
class Standing:
    """By what an organization's kind lets its data be here."""

    kind: OrganizationKind
    licence: Licence | None = None
    contract: Contract | None = None


Paper = Literal["licence", "contract"]
OWED: dict[OrganizationKind, Paper] = {OrganizationKind.PUBLIC_UTILITY: "licence", OrganizationKind.SOCIAL_BODY: "contract"}
"""The paper by which the data of an organization of that kind are had."""


def paper_fault(entry: Standing, *, today: date) -> Fault | None:
    """Return (JSON pointer, what is wrong and what to do) when the paper that the kind owes is missing or not good today."""
    owed = OWED.get(entry.kind)
    if owed is None:
        return None
    paper: Licence | None = getattr(entry, owed)
    if paper is None:
        return f"/{owed}", f"is missing: the data of a {entry.kind.value} are had by its {owed}; have the data authority enter it"
    if paper.valid_until is not None and paper.valid_until < today:
        return f"/{owed}/valid_until", f"was {paper.valid_until}: the {owed} has lapsed; have the data authority enter the one good today"
    return None


def faults(entry: Standing, *, before: Standing | None, today: date) -> list[Fault]:
    """Return (JSON pointer, what is wrong and what to do) for every rule of the kind that is broken.

    A paper that lapsed since it was entered stays; one that is entered must be good today.
    """
    return [*_paper("licence", entry, before, today), *_paper("contract", entry, before, today)]


def _paper(field: str, entry: Standing, before: Standing | None, today: date) -> Iterator[Fault]:
    paper: Licence | None = getattr(entry, field)
    if paper is None:
        return
    if entry.kind is OrganizationKind.DEPARTMENT:
        yield f"/{field}", "belongs to public utilities and social bodies, and this is a department; send null or another kind"
    known = before is not None and getattr(before, field) == paper
    if not known and paper.valid_until is not None and paper.valid_until < today:
        yield f"/{field}/valid_until", f"ended on {paper.valid_until}; enter the {field} that is good today"


def loop(organization_id: UUID, above: Sequence[UUID]) -> bool:
    """Say whether an organization would stand under itself, given its new parent and all above that."""
    return organization_id in above
