"""Rules of matching: which published resources may meet a demand, by reference, by name, by the items it speaks of."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from dxmesh_schemas.catalog import OrganizationRef
from dxmesh_schemas.catalog_lists import ListEntryEvent
from dxmesh_schemas.text import comparable
from exchange_svc.demand import words
from exchange_svc.demand.errors import DemandOver, NotYourDemand

LEAST = 0.25
"""Below this score a resource is no candidate."""
_NAME_WEIGHT = 0.6
_ELSEWHERE = 0.8  # a demand that asks a department is met elsewhere only by what fits better
_ENDED = ("done", "cancelled")
_MEANS = {term: group[0] for group in words.SAME for term in group}
_TERMS = re.compile("|".join(sorted(_MEANS, key=len, reverse=True)))
_EMPTY = re.compile("|".join(sorted(words.EMPTY, key=len, reverse=True)))
_NOTES = re.compile(r"[(\[【〔《<][^)\]】〕》>]*[)\]】〕》>]")
_NOT_NAME = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Published:
    """What of a resource in force is looked at: its name, and the names of the items it shares."""

    resource_id: UUID
    name: str
    sharing_type: str
    provider: OrganizationRef
    items: Mapping[str, str]  # name by code


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resource that may meet a demand. score: 0 to 1; items: codes of those the demand speaks of."""

    resource: Published
    score: float
    items: tuple[str, ...]
    reasons: tuple[str, ...]


@lru_cache(maxsize=16384)
def normal(text: str) -> str:
    """Return a name as it is compared: one width and case, no notes or punctuation, each term as the first of those it means."""
    plain = _NOT_NAME.sub("", _NOTES.sub("", comparable(text)))
    return _TERMS.sub(lambda found: _MEANS[found.group()], plain)


def subject(text: str) -> str:
    """Return what a name is about: without terms that say nothing of it, unless there is nothing else."""
    whole = normal(text)
    return _EMPTY.sub("", whole) or whole


def grams(text: str) -> frozenset[str]:
    """Return the pairs of neighbouring characters of a text; the text itself when it is shorter."""
    return frozenset(text[place : place + 2] for place in range(len(text) - 1)) or frozenset({text} - {""})


class Index:
    """What is published here, with how much each part of a name tells: what many share tells little (inverse document frequency)."""

    def __init__(self, published: Iterable[Published]) -> None:
        self._published = tuple(published)
        self._names = [grams(subject(one.name)) for one in self._published]
        self._items = [{normal(name): code for code, name in one.items.items()} for one in self._published]
        self._named = Counter(gram for one in self._names for gram in one)
        self._has = Counter(name for one in self._items for name in one)

    def candidates(self, demand: ListEntryEvent, *, most: int) -> list[Candidate]:
        """Return the resources that may meet a demand, best first; its own department's are left out."""
        name = grams(subject(demand.name))
        spoken = self._spoken(f"{demand.name} {demand.content}")
        found = []
        for place, one in enumerate(self._published):
            if one.provider.organization_id == demand.owner.organization_id:
                continue
            candidate = self._candidate(demand, place, one, name, spoken)
            if candidate.score >= LEAST:
                found.append(candidate)
        return sorted(found, key=lambda one: (-one.score, one.resource.name, one.resource.resource_id))[:most]

    def _candidate(self, demand: ListEntryEvent, place: int, one: Published, name: frozenset[str], spoken: Sequence[str]) -> Candidate:
        has = self._items[place]
        shared = [item for item in spoken if item in has]
        codes = tuple(has[item] for item in shared)
        reasons = []
        if demand.resource_id == one.resource_id:
            named = tuple(code for code in demand.items if code in one.items)
            return Candidate(one, 1.0, named or codes, ("the demand names it",))
        by_name = self._likeness(name, self._names[place])
        if by_name:
            reasons.append(f"names are alike: {by_name:.2f}")
        score = by_name
        if spoken:
            by_items = sum(map(self._item_weight, shared)) / sum(map(self._item_weight, spoken))
            score = _NAME_WEIGHT * by_name + (1 - _NAME_WEIGHT) * by_items
            if shared:
                reasons.append(f"has {len(shared)} of the {len(spoken)} items it speaks of: {', '.join(shared)}")
        if demand.counterpart is not None:
            if demand.counterpart.organization_id == one.provider.organization_id:
                reasons.append("its provider is the department that is asked")
            else:
                score *= _ELSEWHERE
        return Candidate(one, round(score, 4), codes, tuple(reasons))

    def _likeness(self, left: frozenset[str], right: frozenset[str]) -> float:
        """Return how alike two names are: the weight of what they share in that of both (Dice)."""
        both = sum(map(self._gram_weight, left)) + sum(map(self._gram_weight, right))
        return 2 * sum(map(self._gram_weight, left & right)) / both if both else 0.0

    def _gram_weight(self, gram: str) -> float:
        return math.log(1 + (1 + len(self._published)) / (1 + self._named[gram]))

    def _item_weight(self, name: str) -> float:
        return math.log(1 + (1 + len(self._published)) / (1 + self._has[name]))

    def _spoken(self, text: str) -> tuple[str, ...]:
        """Return the names of items known here that a text speaks of, the longest first; what is a part of a longer one does not count."""
        left = normal(text)
        found = []
        for name in sorted((one for one in self._has if len(one) > 1 and one in left), key=lambda one: (-len(one), one)):
            if name in left:
                found.append(name)
                left = left.replace(name, " ")
        return tuple(found)


def check_asks(demand: ListEntryEvent, by: UUID) -> None:
    """Let a department ask by its own open demand. Raises: NotYourDemand (403), DemandOver (409)."""
    if demand.owner.organization_id != by:
        raise NotYourDemand(f"demand {demand.name} is {demand.owner.name}'s; enter one of your own, or ask without one")
    if demand.status in _ENDED:
        raise DemandOver(f"demand {demand.name} is {demand.status}; take it up again in the demand list, or ask without one")
