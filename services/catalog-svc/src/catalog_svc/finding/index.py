"""The search index of one process: every resource's words as sets of positions, with the facets beside them."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from catalog_svc.finding import domain
from catalog_svc.finding.domain import Query
from catalog_svc.finding.entry import Entry, Found, Marks, Organization, Place, Scope, Taxonomy
from catalog_svc.finding.facets import Facets
from catalog_svc.finding.masks import Postings, first_of, mask_of, positions_of
from catalog_svc.finding.ordered import Codes, Ordered
from catalog_svc.finding.terms import Term, Terms

_ID_BITS = 128
_LARGEST_ID = (1 << _ID_BITS) - 1
_LEAST_CODE_LENGTH = 3
_READ_AT_MOST = 1000
_DENSE = 16
"""Where more than a sixteenth of all is found, the first ones are had by walking through all in their order."""
_RELAXED_PAIRS = 32
_RELAXED_PART = 0.6
_MARKED_ITEMS, _MARKED_LENGTH = 5, 600
_DEAD_AT_LEAST, _DEAD_PART = 1000, 0.25


@dataclass(slots=True)
class _Kept:
    entry: Entry
    name: str  # folded
    summary: str  # folded
    items: str  # folded, each name, then each code, between line ends
    is_aligned: bool  # the summary and its folded text, place by place


@dataclass(frozen=True, slots=True)
class _Provider:
    organization: Organization
    key: str  # its value as a facet
    name: str  # folded


class Index:
    """All that can be found; `put` and `remove` change it, `search` and `suggest` read it. One thread at a time.

    A changed resource takes a new position; its old one stays in the grams' sets and is left out by what may be seen. `is_worn`
    says when so many are left behind that the index should be made anew.
    """

    def __init__(self) -> None:
        self._kept: list[_Kept | None] = []
        self._orders: list[int] = []
        self._position: dict[UUID, int] = {}
        self._all = 0
        self._public = 0
        self._drafts: dict[UUID, int] = {}
        self._grams = {name: Postings() for name in ("name", "item", "summary")}
        self._facets = Facets()
        self._organizations: dict[UUID, _Provider] = {}
        self._codes = Codes()
        self._newest = Ordered(lambda order: self._position[_newest_id(order)])
        self._best = Ordered(lambda order: self._position[_id(order)])
        self._terms = Terms()

    def __len__(self) -> int:
        return len(self._position)

    @property
    def is_worn(self) -> bool:
        """Say whether the positions left behind are worth making the index anew."""
        dead = len(self._kept) - len(self._position)
        return dead > _DEAD_AT_LEAST and dead > _DEAD_PART * len(self._kept)

    @property
    def revisions(self) -> dict[UUID, int]:
        """Return the revision of every resource it holds."""
        return {resource_id: self._at(position).entry.revision for resource_id, position in self._position.items()}

    def find(self, resource_id: UUID) -> Entry | None:
        """Return a resource, if it holds it."""
        position = self._position.get(resource_id)
        return self._at(position).entry if position is not None else None

    def organization(self, organization_id: UUID) -> Organization | None:
        """Return a provider that resources have been put in for."""
        known = self._organizations.get(organization_id)
        return known.organization if known else None

    @property
    def taxonomies(self) -> Mapping[str, Taxonomy]:
        """Return the entries of taxonomies by code."""
        return self._facets.taxonomies

    # --- changes

    def put_taxonomies(self, taxonomies: Mapping[str, Taxonomy]) -> None:
        """Hold the entries of taxonomies as they are now."""
        self._facets.put_taxonomies(taxonomies)

    def put(self, entry: Entry) -> None:
        """Hold a resource as it is now."""
        self.remove(entry.resource_id)
        position, bit = len(self._kept), 1 << len(self._kept)
        terms = [(domain.fold(name), name) for _, name in entry.items]
        codes = [domain.fold(code) for code, _ in entry.items]
        summary = domain.fold(entry.summary)
        lines = "\n".join(("", *(folded for folded, _ in terms), *codes, ""))
        kept = _Kept(entry, domain.fold(entry.name), summary, lines, domain.is_aligned(entry.summary, summary))
        self._kept.append(kept)
        self._orders.append(len(kept.name) << _ID_BITS | entry.resource_id.int)
        self._position[entry.resource_id] = position
        self._newest.add(_LARGEST_ID - entry.resource_id.int)
        self._best.add(self._orders[position])
        self._all |= bit
        organization = entry.organization
        if entry.version:
            self._public |= bit
        else:
            self._drafts[organization.organization_id] = self._drafts.get(organization.organization_id, 0) | bit
        self._organizations[organization.organization_id] = _Provider(
            organization, str(organization.organization_id), domain.fold(organization.name)
        )
        self._put_grams(position, kept, [folded for folded, _ in terms], codes)
        self._facets.put(bit, entry)
        self._codes.add(domain.fold(entry.resource_code), position)
        self._terms.add_resource(kept.name, entry.name, position)
        for folded, name in dict(terms).items():
            self._terms.add_item(folded, name, position)

    def remove(self, resource_id: UUID) -> None:
        """Hold a resource no longer."""
        position = self._position.pop(resource_id, None)
        if position is None:
            return
        kept, bit = self._at(position), 1 << position
        entry = kept.entry
        self._terms.remove(kept.name, set(kept.items[1:-1].split("\n")[: len(entry.items)]), position)
        self._kept[position] = None
        self._all &= ~bit
        self._public &= ~bit
        if not entry.version:
            self._drafts[entry.organization.organization_id] &= ~bit
        self._codes.remove(domain.fold(entry.resource_code), position)
        self._newest.remove(_LARGEST_ID - resource_id.int)
        self._best.remove(self._orders[position])

    def _put_grams(self, position: int, kept: _Kept, names: Sequence[str], codes: Sequence[str]) -> None:
        of_items: set[str] = set()
        for text in (*names, *codes):
            of_items |= domain.grams_of_term(text)
        fields = {
            "name": domain.grams(kept.name).union(domain.starts(kept.name)),
            "item": of_items,
            "summary": domain.grams(kept.summary),
        }
        for name, grams in fields.items():
            postings = self._grams[name]
            for gram in grams:
                postings.add(gram, position)

    def _at(self, position: int) -> _Kept:
        kept = self._kept[position]
        assert kept is not None, "a position that may be seen holds a resource"
        return kept

    # --- search

    def search(
        self, query: Query | None, scope: Scope, filters: Mapping[str, str], *, limit: int, after: Place | None = None, relax: bool = True
    ) -> Found:
        """Return the best results of a query, or with None the newest resources, and the counts of all results by facet.

        Results stand by score, then by the length of their names, then as they were entered.
        """
        within = self._visible(scope)
        for name, value in filters.items():
            within &= self._facets.mask(name, value)
        scores = {0: within} if query is None else self._scores(query, within)
        is_relaxed = False
        if query is not None and not scores and relax:
            scores = self._relaxed(query, within)
            is_relaxed = bool(scores)
        total_mask = 0
        for mask in scores.values():
            total_mask |= mask
        if query is None:
            behind = after.order if after is not None else -1
            places = [Place(0, order) for order in self._newest.first(total_mask, limit + 1, behind)]
        else:
            places = self._best_of(scores, limit + 1, after)
        more, places = len(places) > limit, places[:limit]
        id_of = _newest_id if query is None else _id
        entries = [self._at(self._position[id_of(place.order)]).entry for place in places]
        facets = self._facets.counts(total_mask, filters.get("class_path"))
        return Found(total_mask.bit_count(), entries, places[-1] if more and places else None, facets, is_relaxed)

    def _visible(self, scope: Scope) -> int:
        if scope.all:
            return self._all
        return self._public | (self._drafts.get(scope.organization_id, 0) if scope.organization_id else 0)

    def _scores(self, query: Query, within: int) -> dict[int, int]:
        """Return score → positions; a result's score is the sum of its tokens' grades, 0 when its whole name is what was asked for."""
        scores = {0: within} if query.tokens and within else {}
        for token in query.tokens:
            reached = 0
            for mask in scores.values():
                reached |= mask
            grades = self._grades(token, reached)
            joined: dict[int, int] = {}
            for score, mask in scores.items():
                for grade, of_grade in grades:
                    if both := mask & of_grade:
                        joined[score + grade] = joined.get(score + grade, 0) | both
            scores = joined
        if len(query.tokens) > 1 and (named := self._named(query.whole, within)):
            scores = {score: left for score, mask in scores.items() if (left := mask & ~named)}
            scores[0] = scores.get(0, 0) | named
        return scores

    def _named(self, folded: str, within: int) -> int:
        term = self._terms.find(folded)
        return mask_of(term.of_resources) & within if term is not None else 0

    def _grades(self, token: str, within: int) -> list[tuple[int, int]]:
        """Return (grade, positions): the field first (name, item, summary, organization), then exact, prefix, part, scattered pairs.

        What has a better grade is not looked at again, so few texts are read.
        """
        pairs = domain.pairs(token)
        scattered = {name: postings.all_of(pairs, within) for name, postings in self._grams.items()}
        code_exact, code_start = self._coded(token, within)
        organizations = self._organized(token)
        term = self._terms.find(token)
        item_exact = mask_of(term.of_items) if term is not None else 0
        graded: list[Callable[[int], int]] = [
            lambda left: (self._named(token, within) | code_exact) & left,
            lambda left: self._starting(token, "name", scattered["name"] & left) | code_start & left,
            lambda left: self._containing(token, "name", scattered["name"] & left),
            lambda left: scattered["name"] & left,
            lambda left: item_exact & left,
            lambda left: self._starting(token, "item", scattered["item"] & left),
            lambda left: self._containing(token, "item", scattered["item"] & left),
            lambda left: scattered["item"] & left,
            lambda left: self._containing(token, "summary", scattered["summary"] & left),
            lambda left: scattered["summary"] & left,
            *((lambda left, mask=mask: mask & left) for mask in organizations),
            lambda left: self._anywhere(pairs, left),
        ]
        found, left = [], within
        for grade, positions in enumerate(graded):
            if mask := positions(left):
                found.append((grade, mask))
                left &= ~mask
        return found

    def _anywhere(self, pairs: Sequence[str], within: int) -> int:
        """Return where every pair stands, each in some field."""
        for pair in pairs:
            if not within:
                break
            within &= self._grams["name"].mask(pair) | self._grams["item"].mask(pair) | self._grams["summary"].mask(pair)
        return within

    def _containing(self, token: str, field_name: str, candidates: int) -> int:
        """Keep those whose text holds the token in one piece; for one or two characters the gram has said so already.

        Of very many that hold its pairs, as good as all hold it in one piece, and they are not read.
        """
        if len(token) <= 2 or candidates.bit_count() > _READ_AT_MOST:
            return candidates
        if field_name == "item":
            return mask_of(at for at in positions_of(candidates) if token in self._at(at).items)
        if field_name == "name":
            return mask_of(at for at in positions_of(candidates) if token in self._at(at).name)
        return mask_of(at for at in positions_of(candidates) if token in self._at(at).summary)

    def _starting(self, token: str, field_name: str, candidates: int) -> int:
        candidates &= self._grams[field_name].mask("^" + token[:2])
        if len(token) <= 2 or candidates.bit_count() > _READ_AT_MOST:
            return candidates
        if field_name == "item":
            return mask_of(at for at in positions_of(candidates) if "\n" + token in self._at(at).items)
        return mask_of(at for at in positions_of(candidates) if self._at(at).name.startswith(token))

    def _coded(self, token: str, within: int) -> tuple[int, int]:
        """Return what has the token as its resource code, and what has a code that begins with it."""
        if len(token) < _LEAST_CODE_LENGTH or not token[0].isdigit():
            return 0, 0
        exact, starting = self._codes.beginning(token)
        return mask_of(exact) & within, mask_of(starting) & within

    def _organized(self, token: str) -> tuple[int, int, int]:
        """Return the resources of providers whose name is the token, begins with it, holds it."""
        exact = starting = holding = 0
        for provider in self._organizations.values():
            if token in provider.name:
                mask = self._facets.mask("organization", provider.key)
                if provider.name == token:
                    exact |= mask
                elif provider.name.startswith(token):
                    starting |= mask
                else:
                    holding |= mask
        return exact, starting, holding

    def _relaxed(self, query: Query, within: int) -> dict[int, int]:
        """Return what holds most of the query's pairs, the fewer are missing the better; nothing for a single pair."""
        pairs = list(dict.fromkeys(pair for token in query.tokens for pair in domain.pairs(token)))[:_RELAXED_PAIRS]
        if len(pairs) < 2:
            return {}
        at_least = [within] + [0] * len(pairs)  # at_least[k]: where k of the pairs stand
        for count, pair in enumerate(pairs, 1):
            mask = self._grams["name"].mask(pair) | self._grams["item"].mask(pair) | self._grams["summary"].mask(pair)
            for k in range(count, 0, -1):
                at_least[k] |= at_least[k - 1] & mask
        needed = max(2 if len(pairs) > 2 else 1, int(len(pairs) * _RELAXED_PART + 0.999))
        scores: dict[int, int] = {}
        seen = 0
        for k in range(len(pairs), needed - 1, -1):
            if new := at_least[k] & ~seen:
                scores[len(pairs) - k] = new
                seen |= new
        return scores

    def _best_of(self, scores: Mapping[int, int], count: int, after: Place | None) -> list[Place]:
        """Return the first places behind one: by score, then by the length of the name, then as they were entered."""
        found: list[Place] = []
        for score in sorted(scores):
            if after is not None and score < after.score:
                continue
            behind = after.order if after is not None and score == after.score else -1
            found += [Place(score, order) for order in self._first_of(scores[score], count - len(found), behind)]
            if len(found) == count:
                break
        return found

    def _first_of(self, mask: int, count: int, behind: int) -> list[int]:
        if mask.bit_count() * _DENSE > len(self._best):
            return self._best.first(mask, count, behind)
        return heapq.nsmallest(count, [order for at in positions_of(mask) if (order := self._orders[at]) > behind])

    def marks(self, entry: Entry, query: Query) -> Marks:
        """Return where a result holds what was asked for, as HTML."""
        position = self._position.get(entry.resource_id)
        if position is None:
            return Marks(None, None, None, [], 0)
        kept, wanted = self._at(position), query.tokens
        lines = kept.items[1:-1].split("\n")
        count = len(entry.items)
        matching = [at for at in range(count) if any(token in lines[at] or token in lines[count + at] for token in wanted)]
        items = [(*entry.items[at], domain.marked(entry.items[at][1], wanted)) for at in matching[:_MARKED_ITEMS]]
        return Marks(
            name=domain.marked(entry.name, wanted),
            summary=self._marked_summary(kept, query),
            organization=domain.marked(entry.organization.name, wanted),
            items=items,
            item_count=len(matching),
        )

    def _marked_summary(self, kept: _Kept, query: Query) -> str | None:
        if kept.is_aligned:
            return domain.marked(kept.entry.summary, query.tokens, whole=False, aligned=kept.summary)
        return domain.marked(kept.entry.summary[:_MARKED_LENGTH], query.tokens, whole=False)

    # --- suggestions

    def suggest(self, folded: str, scope: Scope, *, limit: int) -> list[tuple[str, str, int]]:
        """Return (text, kind, how many resources) of terms that begin with the text, then of resources whose names hold it."""
        if not folded:
            return []
        visible = self._visible(scope)
        found: dict[str, tuple[str, str, int]] = {}
        for provider in self._organizations.values():
            if provider.name.startswith(folded):
                name, mask = provider.organization.name, self._facets.mask("organization", provider.key) & visible
                if mask:
                    found[name] = (name, "organization", mask.bit_count())
        for term in self._terms.beginning(folded):
            if len(found) >= limit:
                break
            if count := (mask_of(term.positions) & visible).bit_count():
                text, kind = self._as_seen(term, visible)
                found.setdefault(text, (text, kind, count))
        if len(found) < limit:
            query = domain.read_query(folded)
            if query.tokens:
                for entry in self.search(query, scope, {}, limit=limit, relax=False).entries:
                    found.setdefault(entry.name, (entry.name, "resource", 1))
        return list(found.values())[:limit]

    def _as_seen(self, term: Term, visible: int) -> tuple[str, str]:
        """Return a term's text and kind as the first of the visible resources has it: how a draft is called is not given away."""
        if named := mask_of(term.of_resources) & visible:
            return self._at(first_of(named)).entry.name, "resource"
        entry = self._at(first_of(mask_of(term.of_items) & visible)).entry
        folded = domain.fold(term.shown)
        return next(name for _, name in entry.items if domain.fold(name) == folded), "item"


def _id(order: int) -> UUID:
    return UUID(int=order & _LARGEST_ID)


def _newest_id(order: int) -> UUID:
    return UUID(int=_LARGEST_ID - order)
