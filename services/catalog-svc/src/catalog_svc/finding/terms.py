"""The terms that suggestions are made of: names of resources and items, in the order of their letters."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

_LOOKED_AT = 2000


@dataclass(slots=True)
class Term:
    """A name, and where resources and items are called so."""

    shown: str
    of_resources: list[int] = field(default_factory=list)
    of_items: list[int] = field(default_factory=list)

    @property
    def positions(self) -> list[int]:
        """Return where it stands."""
        return self.of_resources + self.of_items


class Terms:
    """Names by their folded text."""

    def __init__(self) -> None:
        self._terms: dict[str, Term] = {}
        self._sorted: list[str] = []

    def add_resource(self, folded: str, shown: str, position: int) -> None:
        """Note that the resource at a position is called so."""
        self._term(folded, shown).of_resources.append(position)

    def add_item(self, folded: str, shown: str, position: int) -> None:
        """Note that an item of the resource at a position is called so."""
        self._term(folded, shown).of_items.append(position)

    def remove(self, folded: str, items: Iterable[str], position: int) -> None:
        """Leave out a resource and its items, so that what is changed often is not suggested before what there is more of."""
        self._terms[folded].of_resources.remove(position)
        for item in items:
            self._terms[item].of_items.remove(position)

    def find(self, folded: str) -> Term | None:
        """Return a name's term."""
        return self._terms.get(folded)

    def beginning(self, folded: str) -> list[Term]:
        """Return the terms that begin with a text, the most frequent first; of very many, the first 2,000 by their letters."""
        found: list[Term] = []
        begin = bisect_left(self._sorted, folded)
        for text in self._sorted[begin : begin + _LOOKED_AT]:
            if not text.startswith(folded):
                break
            found.append(self._terms[text])
        return sorted(found, key=lambda term: -len(term.of_resources) - len(term.of_items))

    def _term(self, folded: str, shown: str) -> Term:
        term = self._terms.get(folded)
        if term is None:
            term = self._terms[folded] = Term(shown)
            insort(self._sorted, folded)
        return term
