"""What keeps the index of items, changes synonyms, and finds items that may be the same."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from catalog_svc.matching import domain, store
from catalog_svc.matching.domain import DOUBTFUL, Element, Lexicon, Name
from catalog_svc.matching.errors import SynonymInvalid, SynonymNotFound
from dxmesh_schemas.catalog import DataItem, ResourceSnapshot

_REMOVED_AT_ONCE = 5_000


@lru_cache(maxsize=4)
def _lexicon(own: tuple[tuple[str, str], ...]) -> Lexicon:
    return Lexicon(dict(own))


async def lexicon(tx: AsyncSession) -> Lexicon:
    """Return the synonyms in force: the shipped ones and the node's own."""
    return _lexicon(tuple(sorted((await store.own_synonyms(tx)).items())))


async def index(tx: AsyncSession, resources: Sequence[ResourceSnapshot]) -> list[ResourceSnapshot]:
    """Put versions' items into the index; return those versions it has now: the newest of each resource, none older than it had."""
    newest = {one.resource_id: one for one in sorted(resources, key=lambda one: one.version)}
    await store.lock_resources(tx, newest)
    known = await store.newest_versions(tx, newest)
    taken = [one for one in newest.values() if one.version >= known.get(one.resource_id, 0)]
    if not taken:
        return []
    words = await lexicon(tx)
    elements = [(one, item, words.of_item(item)) for one in taken for item in one.items]
    await store.add_names(tx, [element.name for _, _, element in elements if element.name.key])
    # where the provider is by now: it may have moved since the version was published
    divisions = await store.divisions_of(tx, {one.provider.organization_id for one in taken})
    entries = [_entry(*element) | {"division_code": divisions[element[0].provider.organization_id]} for element in elements]
    await store.put_entries(tx, [one.resource_id for one in taken], entries)
    return taken


def _entry(resource: ResourceSnapshot, item: DataItem, element: Element) -> dict[str, Any]:
    name = element.name
    return {
        "resource_id": resource.resource_id,
        "item": item.code,
        "resource_version": resource.version,
        "organization_id": resource.provider.organization_id,
        "name": item.name,
        "plain": name.plain,
        "key": name.key,
        "head": name.head,
        "unit": name.unit,
        "kind": element.kind,
        "format": element.format,
        "code_set": element.code_set,
        "length": element.length,
        "sharing_type": item.sharing_type.value,
        "is_reference": item.reference is not None and item.reference.resource_id != resource.resource_id,
        "is_vague": _is_vague(name),
    }


def _is_vague(name: Name) -> bool:
    return name.is_technical or name.is_bare


async def like_keys(tx: AsyncSession, elements: Sequence[Element], *, most: int = 5) -> list[list[str]]:
    """Return for each item the keys of up to `most` indexed names it may be the same as, the most alike first."""
    asked = [element.name for element in elements]
    places = [place for place, name in enumerate(asked) if name.key and not name.is_technical]
    found: list[list[str]] = [[] for _ in asked]
    for place, names in zip(places, await store.like_names(tx, [asked[place] for place in places]), strict=True):
        scored = []
        for key, head in names:
            other = Element(Name(key, key, head, key[: len(key) - len(head)]))
            likeness = domain.compare(Element(asked[place]), other).similarity
            if likeness >= DOUBTFUL:
                scored.append((-likeness, key))
        found[place] = [key for _, key in sorted(scored)[:most]]
    return found


async def put_synonym(tx: AsyncSession, term: str, *, concept: str, by: str, now: datetime) -> store.Synonym:
    """Say what a term means on this node, and bring the indexed names that say it to their new form.

    Raises: SynonymInvalid (422).
    """
    plain, meaning = domain.normalized(term)[0], domain.normalized(concept)[0]
    for pointer, text in (("term", plain), ("concept", meaning)):
        if not text:
            at = "path:term" if pointer == "term" else "/concept"
            raise SynonymInvalid.of([(at, "holds no letter or digit; write the words as they stand in names of items")])
    if len(plain) < 2:  # a single character stands in too many names
        raise SynonymInvalid.of([("path:term", "has one character; a term needs two or more")])
    await store.lock_whole(tx)
    row = await store.find_synonym(tx, plain)
    if row is None:
        row = store.Synonym(term=plain, concept=meaning, entered_by=by, entered_at=now)
        tx.add(row)
    else:
        row.concept, row.entered_by, row.entered_at = meaning, by, now
    await tx.flush()
    await _rekey(tx, plain)
    return row


async def remove_synonym(tx: AsyncSession, term: str) -> None:
    """Forget what a term means on this node; a shipped synonym is in force again. Raises: SynonymNotFound (404)."""
    plain = domain.normalized(term)[0]
    await store.lock_whole(tx)
    row = await store.find_synonym(tx, plain) if plain else None
    if row is None:
        raise SynonymNotFound(f"the node has no synonym of its own for {term!r}; shipped ones are overridden with PUT")
    await tx.delete(row)
    await tx.flush()
    await _rekey(tx, plain)


async def rekey_all(tx: AsyncSession) -> int:
    """Bring every indexed name to the words in force, as after a release that ships others; return how many changed."""
    await store.lock_whole(tx)
    return await _brought(tx, await store.all_entries(tx))


async def _rekey(tx: AsyncSession, term: str) -> None:
    await _brought(tx, await store.entries_saying(tx, [term]))


async def _brought(tx: AsyncSession, entries: Sequence[store.ItemEntry]) -> int:
    known = await lexicon(tx)
    renamed = []
    for entry in entries:
        name = known.element(entry.name, form=entry.format).name
        if (name.key, name.head, _is_vague(name)) != (entry.key, entry.head, entry.is_vague):
            renamed.append((entry, name, _is_vague(name)))
    await store.add_names(tx, [name for _, name, _ in renamed if name.key])
    await store.rekey(tx, renamed)
    return len(renamed)


async def forget(tx: AsyncSession, resource_id: UUID) -> None:
    """Take a resource's items out of the index."""
    await store.remove_entries(tx, [resource_id])


async def move_organization(tx: AsyncSession, organization_id: UUID) -> None:
    """Bring an organization's items to the division it is in now, also those a version is being indexed with meanwhile."""
    await store.lock_whole(tx)
    await store.move_organization(tx, organization_id)


async def remove_unused_names(tx: AsyncSession, now: datetime) -> int:  # noqa: ARG001  # nothing of it depends on the time
    """Take out names that no item has any more; return of how many. What is indexed meanwhile keeps its names."""
    if not await store.unused_names(tx, most=1):  # so that nobody waits for nothing
        return 0
    await store.lock_whole(tx)
    unused = await store.unused_names(tx, most=_REMOVED_AT_ONCE)
    await store.remove_names(tx, unused)
    return len(unused)
